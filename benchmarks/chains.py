"""What zenlib costs per step: a chain of steps that do nothing, against raw SQLite."""

from __future__ import annotations

import itertools
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path

from measure import interleaved, tree_cpu_s
from report import Row

from zenlib import pipeline, step

TIMES = 7
ROW_BYTES = (1100, 700, 300)
"""Of the three rows of a raw transaction: about what a step's own records hold."""


@step
def increment(x: int) -> int:
    return x + 1


@pipeline(progress=False)
def chain(start: int, n: int):
    for _ in range(n):
        start = increment(start)
    return start


starts = itertools.count(1_000_000, 1_000_000)


def check(start: int, n: int, status: str) -> None:
    """Run a chain and fail unless every step has this status; not for measuring."""
    assert {each.status for each in chain(start, n).steps.values()} == {status}


def raw_transactions(n: int) -> Callable[[], None]:
    """Return an action that commits n transactions of three rows, as a program by hand would."""
    database = sqlite3.connect(Path("raw.db"), isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    for table in "abc":
        database.execute(f"CREATE TABLE {table} (id TEXT PRIMARY KEY, body TEXT) WITHOUT ROWID")
    texts = ["x" * size for size in ROW_BYTES]

    def action() -> None:
        for _ in range(n):
            database.execute("BEGIN IMMEDIATE")
            for table, text in zip("abc", texts, strict=True):
                row = (str(uuid.uuid4()), text)
                database.execute(f"INSERT INTO {table} VALUES (?, ?)", row)
            database.execute("COMMIT")

    return action


def rows(*, small: bool) -> list[Row]:
    """Measure in a warm process, on the default stack."""
    raw = raw_transactions(100)
    check(0, 1000, "completed")
    check(0, 1000, "cached")
    raw()
    computed, by_hand = interleaved(TIMES, lambda: chain(next(starts), 100), raw, clock=tree_cpu_s)
    short = interleaved(TIMES, lambda: chain(0, 100), clock=tree_cpu_s)[0]
    long = interleaved(TIMES, lambda: chain(0, 1000), clock=tree_cpu_s)[0]
    older = interleaved(
        TIMES, lambda: chain(next(starts), 2), lambda: chain(0, 100), clock=tree_cpu_s
    )[1]
    base, per_raw_ms = "raw transaction, 3 inserts", by_hand.cpu_s * 10
    return [
        Row("chain of 100, computed, per step", computed.cpu_s * 10, "ms CPU", base, per_raw_ms, 8),
        Row("the same, wall time", computed.wall_s * 10, "ms", base, by_hand.wall_s * 10),
        Row("chain of 100, all hits, per step", short.cpu_s * 10, "ms CPU", target=0.15),
        Row("chain of 1,000, all hits, per step", long.cpu_s, "ms CPU", target=0.15),
        Row("chain of 100, hits of an older run, per step", older.cpu_s * 10, "ms CPU"),
    ]

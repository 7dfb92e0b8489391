"""zenlib: a pipeline of 100 chained steps on its defaults (SQLite, local files)."""

import itertools

from peer import peer

from zenlib import pipeline, step


@step
def increment(x: int) -> int:
    return x + 1


@pipeline
def chain(start: int, n: int):
    for _ in range(n):
        start = increment(start)
    return start


starts = itertools.count(1_000_000, 1_000_000)


def check(start: int, n: int, status: str) -> None:
    assert {each.status for each in chain(start, n).steps.values()} == {status}


check(0, 100, "completed")
check(0, 100, "cached")
peer(
    "zenlib",
    "from zenlib import pipeline, step",
    fresh=lambda n: chain(next(starts), n),
    hits=lambda n: chain(0, n),
    note="",
)

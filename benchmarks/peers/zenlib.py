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


def run(start: int, n: int, status: str) -> None:
    steps = chain(start, n).steps.values()
    assert {each.status for each in steps} == {status}


def hits(n: int) -> None:
    run(0, n, "cached")


chain(0, 100)  # holds the shorter chain too
peer(
    "zenlib",
    "from zenlib import pipeline, step",
    fresh=lambda n: run(next(starts), n, "completed"),
    hits=hits,
    note="",
)

"""zenlib: a pipeline of 100 chained steps on its defaults (SQLite, local files)."""

import itertools

from peer import imported, peer

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


chains = {n: chain.with_options(name=f"chain{n}") for n in (10, 100)}


def check(start: int, n: int, status: str) -> None:
    assert {each.status for each in chains[n](start, n).steps.values()} == {status}


seconds, modules = imported("import zenlib.running, zenlib.stores.sql, zenlib.orchestrators.local")
check(0, 100, "completed")
check(0, 100, "cached")
peer(
    "zenlib",
    "from zenlib import pipeline, step",
    fresh=lambda n: chains[n](next(starts), n),
    hits=lambda n: chains[n](0, n),
    note=f"what a run needs is loaded by the first one: {seconds:.2f} s, {modules} modules",
)

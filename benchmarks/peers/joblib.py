"""joblib.Memory: a chain of cached calls, each stored as a file. Keeps no runs and no lineage."""

import itertools
import tempfile

from joblib import Memory
from peer import peer

memory = Memory(tempfile.mkdtemp(), verbose=0)


@memory.cache
def increment(x: int) -> int:
    return x + 1


def chain(start: int, n: int) -> None:
    for _ in range(n):
        start = increment(start)


starts = itertools.count(1_000_000, 1_000_000)
peer(
    "joblib",
    "from joblib import Memory",
    fresh=lambda n: chain(next(starts), n),
    hits=lambda n: chain(0, n),
    note="results only: no run, status or lineage is recorded",
)

"""ZenML: a pipeline of 100 chained steps on the default local stack (SQLite, local files)."""

import os
import tempfile

os.environ.update(  # documented switches: no usage statistics, no log lines, a home of its own
    ZENML_ANALYTICS_OPT_IN="false",
    ZENML_LOGGING_VERBOSITY="CRITICAL",
    ZENML_CONFIG_PATH=tempfile.mkdtemp(),
    ZENML_LOCAL_STORES_PATH=tempfile.mkdtemp(),
)

from peer import peer
from zenml import pipeline, step


@step
def begin(start: int) -> int:
    return start


@step
def increment(x: int) -> int:
    return x + 1


def chain_of(n: int):
    @pipeline(name=f"chain{n}")
    def chain(start: int) -> None:
        value = begin(start)
        for i in range(n - 1):
            value = increment(value, id=f"increment{i}")

    return chain


chains = {n: chain_of(n) for n in (10, 100)}
starts = iter(range(1_000_000, 1_000_000_000, 1_000_000))


def run(start: int, n: int) -> None:
    assert chains[n](start=start).status.is_successful


peer(
    "zenml",
    "from zenml import pipeline, step",
    fresh=lambda n: run(next(starts), n),
    hits=lambda n: run(0, n),
    note="local orchestrator, in one process",
    times=1,
)

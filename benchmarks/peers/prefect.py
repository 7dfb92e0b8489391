"""Prefect: a flow of 100 chained tasks with persisted results, on the server it starts by itself."""

import os
import tempfile

os.environ.update(  # documented switches: no usage statistics, no log lines, a home of its own
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    DO_NOT_TRACK="1",
    PREFECT_LOGGING_LEVEL="CRITICAL",
    PREFECT_HOME=tempfile.mkdtemp(),
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE="true",
)

from peer import peer
from prefect import flow, task
from prefect.cache_policies import INPUTS


@task(cache_policy=INPUTS, persist_result=True)
def increment(x: int) -> int:
    return x + 1


@flow
def chain(start: int, n: int) -> int:
    for _ in range(n):
        start = increment(start)
    return start


starts = iter(range(1_000_000, 1_000_000_000, 1_000_000))


def run(start: int, n: int) -> None:
    assert chain(start, n) == start + n


peer(
    "prefect",
    "from prefect import flow, task",
    fresh=lambda n: run(next(starts), n),
    hits=lambda n: run(0, n),
    note="the server process that it starts is not counted",
)

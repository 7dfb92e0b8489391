"""Dagster: a job of 100 chained ops in this process, on an instance with SQLite storage."""

import itertools
import logging
import tempfile
from pathlib import Path

from dagster import DagsterInstance, FilesystemIOManager, In, Out, graph, op
from peer import peer

folder = Path(tempfile.mkdtemp())
(folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")  # documented switch

logging.disable(logging.CRITICAL)  # its log of each event is not what is measured


@op(out=Out(int))
def start() -> int:
    return 0


@op(ins={"x": In(int)}, out=Out(int))
def increment(x: int) -> int:
    return x + 1


def job_of(n: int):
    @graph(name=f"chain{n}")
    def chain():
        value = start()
        for i in range(n - 1):
            value = increment.alias(f"increment{i}")(value)

    return chain.to_job(resource_defs={"io_manager": FilesystemIOManager(base_dir=str(folder))})


jobs = {n: job_of(n) for n in (10, 100)}
counted = itertools.count()

with DagsterInstance.from_config(str(folder)) as instance:

    def fresh(n: int) -> None:
        assert jobs[n].execute_in_process(instance=instance).success

    peer(
        "dagster",
        "from dagster import job, op",
        fresh=fresh,
        hits=None,
        note="no reuse of results by content in this mode; in one process",
    )

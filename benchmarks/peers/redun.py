"""redun: a chain of 100 tasks in a scheduler on a SQLite file."""

import logging
import tempfile
from pathlib import Path

from peer import peer
from redun import Scheduler, task
from redun.config import Config

logging.disable(logging.CRITICAL)  # its log of each job is not what is measured


@task(namespace="bench")
def increment(x: int) -> int:
    return x + 1


@task(namespace="bench")
def chain(start: int, n: int) -> int:
    for _ in range(n):
        start = increment(start)
    return start


folder = Path(tempfile.mkdtemp()).resolve()
scheduler = Scheduler(config=Config({"backend": {"db_uri": f"sqlite:///{folder}/redun.db"}}))
scheduler.load(migrate=True)
starts = iter(range(1_000_000, 1_000_000_000, 1_000_000))


def run(start: int, n: int) -> None:
    assert scheduler.run(chain(start, n)) == start + n


peer(
    "redun",
    "from redun import Scheduler, task",
    fresh=lambda n: run(next(starts), n),
    hits=lambda n: run(0, n),
    note="its log output is off",
)

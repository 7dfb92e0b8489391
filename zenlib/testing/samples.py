"""Records, names and threads for the tests that every metadata store passes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from zenlib.errors import Conflict
from zenlib.records import Artifact, Record, Run, Status, StepRun
from zenlib.stores.base import MetadataStore

THREADS = 8
NAMES = [
    "A",
    "a",
    "a ",
    "á",
    "a\u0301",
    " a",
    "ａ",
    "ß",
    "ss",
    "%",
    "_",
    "a%",
    "a_",
    "'",
    '"',
    "\\",
]
"""Names that careless databases take for one another, or for a pattern."""
TEXTS = [
    "",
    "'; DROP TABLE runs; --",
    "\\",
    "%s",
    "{}",
    "?",
    ":x",
    "日本語",
    "🐍👩‍🔬",
    "\r\n\t",
    "\u2028",
]


def run(**changes: Any) -> Run:
    """Return a run, with some fields changed."""
    return Run(**{"pipeline": "training", "started_us": 1, **changes})


def step(**changes: Any) -> StepRun:
    """Return a completed step run."""
    fields = {
        "run_id": "run",
        "pipeline": "training",
        "node": "fit",
        "step": "fit",
        "status": Status.COMPLETED,
        "started_us": 1,
        "ended_us": 2,
    }
    return StepRun(**{**fields, **changes})


def artifact(**changes: Any) -> Artifact:
    """Return an artifact without a number."""
    fields = {
        "name": "model",
        "digest": "b3:0",
        "size_bytes": 1,
        "serializer": "json",
        "type": "builtins.int",
        "content": {},
    }
    return Artifact(**{**fields, **changes})


def everything(
    store: MetadataStore,
    kind: type[Record],
    where: Any = None,
    *,
    order: str = "id",
    limit: int = 3,
) -> list[Any]:
    """Return all pages of a query in one list, and see that the pages are as they must be."""
    items: list[Any] = []
    cursor = None
    while True:
        page = store.find(kind, where, order=order, limit=limit, cursor=cursor)
        items += page.items
        if page.cursor is None:
            return items
        assert len(page.items) == limit
        cursor = page.cursor


def race(work: Callable[[int], object], threads: int = THREADS) -> list[object]:
    """Do the work in several threads at once; return results and `Conflict`s."""
    ready = threading.Barrier(threads)

    def begin(number: int) -> object:
        ready.wait()
        try:
            return work(number)
        except Conflict as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(begin, range(threads)))

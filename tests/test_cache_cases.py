"""The cache, end to end: every case is a small project that is run, edited, and run again.

What these runs gave is the page `docs/cache-cases.md`. After a change that is meant, write it anew:

    ZENLIB_TEST_WRITE=1 python -m pytest tests/test_cache_cases.py
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cache_cases import CASES, SEPARATE, Case, Files
from project_files import loaded, write

from zenlib import Client, Pipeline, Run, StepFailed
from zenlib.artifacts.blobs import key_of
from zenlib.explain import verdict_of
from zenlib.records import Artifact, StepRun
from zenlib.settings import load_stack
from zenlib.stack import open_stack

PAGE = Path(__file__).parent.parent / "docs" / "cache-cases.md"
HOUR_US = 3600 * 10**6


@dataclass(frozen=True)
class Seen:
    """What became of a case.

    Attributes:
        verdicts: node -> what the second run did with it, of every node.
        why: the line about the case's node.
        foreseen: node -> what `explain()` said before that run.
        values: node -> the value that the second run gave, where it can be loaded.
    """

    verdicts: dict[str, str]
    why: str
    foreseen: dict[str, str]
    value: Any = None
    plain: Any = None


_seen: dict[str, Seen] = {}


def seen(case: Case, folder: Path) -> Seen:
    """Run a case, once for all tests."""
    if case.name not in _seen:
        _seen[case.name] = _see(case, folder)
    return _seen[case.name]


def _see(case: Case, folder: Path) -> Seen:
    before, after = project(folder / "before", case.before), project(folder / "after", case.after)
    try:
        with imported(before, case.env[0]) as flow:
            call(flow, case.calls[0])
            for name in case.between:
                ACTIONS[name](flow, case)
        with imported(after, case.env[1]) as flow:
            foreseen = {
                step.why.node: step.why.verdict for step in foresee(flow, case.calls[1]).steps
            }
            run = call(flow, case.calls[1])
            return _seen_in(run, case, foreseen, flow)
    finally:
        with contextlib.chdir(after):
            open_stack(load_stack()).close()


def _seen_in(run: Run, case: Case, foreseen: dict[str, str], flow: Any) -> Seen:
    verdicts = {name: verdict_of(step.status) for name, step in run.all_steps.items()}
    value = plain = None
    if case.plain:
        value = run.steps[case.node].output.load()
        plain = flow.plain()
    return Seen(verdicts, str(run.why(case.node)), foreseen, value, plain)


def project(root: Path, files: Files) -> Path:
    """Write the files of a project whose history is in the folder beside it."""
    history = (root.parent / "history").as_posix()
    settings = f"""
        [stacks.default]
        metadata_store = "sqlite:///{history}/metadata.db"
        artifact_store = "{history}/artifacts"
        orchestrator = {{ type = "local", workers = 1 }}
        """
    return write(root, {"zenlib.toml": settings, "proj/pipeline_mod.py": "work = None\n", **files})


@contextlib.contextmanager
def imported(root: Path, env: dict[str, str]) -> Iterator[Any]:
    """Give the project's module `flow`, in its folder; forget all of its modules after."""
    with contextlib.chdir(root), pytest.MonkeyPatch.context() as patch, loaded(root):
        for name, value in env.items():
            patch.setenv(name, value)
        yield importlib.import_module("proj.flow")


def call(flow: Any, text: str) -> Run:
    """Run a pipeline of the project; a failed run is a result too."""
    try:
        found = eval(text, vars(flow))
    except StepFailed as error:
        found = Client().run(error.run_id)
    assert isinstance(found, Run)
    return found


class Foresight:
    """A pipeline of which a call says what would run, instead of running it."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def __call__(self, *args, **kwargs):
        return self._pipeline.plan(*args, **kwargs).explain()

    def with_options(self, **options):
        return Foresight(self._pipeline.with_options(**options))


def foresee(flow: Any, text: str) -> Any:
    """Return what `explain()` says about a call."""
    found = {n: Foresight(v) if isinstance(v, Pipeline) else v for n, v in vars(flow).items()}
    return eval(text, found)


# What happens between the two runs.


def again(flow: Any, case: Case) -> None:
    call(flow, case.calls[0])


def wait(flow: Any, case: Case) -> None:
    time.sleep(0.1)


def age(flow: Any, case: Case) -> None:
    """Make everything that is remembered 20 hours older."""
    metadata = Client().stack.metadata
    for one in metadata.find(StepRun, limit=100).items:
        key = dict(one.key)
        if "computed_us" in key:
            key["computed_us"] -= 20 * HOUR_US
        times = {name: getattr(one, name) - 20 * HOUR_US for name in ("started_us", "ended_us")}
        metadata.put(one.next(key=key, **times))


def blob_paths(case: Case) -> list[Path]:
    """Return the files of the outputs of the node whose files the case is about."""
    client = Client()
    outputs = client.run("latest").steps[case.target].outputs.values()
    store = client.stack.shelf.blobs.store
    return [
        store.local_path(key_of(file.digest)) for found in outputs for file in found.content.blobs()
    ]


def delete(flow: Any, case: Case) -> None:
    for path in blob_paths(case):
        path.unlink()


def truncate(flow: Any, case: Case) -> None:
    for path in blob_paths(case):
        path.chmod(0o644)
        os.truncate(path, path.stat().st_size // 2)


def flip(flow: Any, case: Case) -> None:
    for path in blob_paths(case):
        path.chmod(0o644)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)


def forget(flow: Any, case: Case) -> None:
    metadata = Client().stack.metadata
    metadata.delete(Artifact, [one.id for one in metadata.find(Artifact, limit=100).items])


ACTIONS: dict[str, Callable[[Any, Case], None]] = {
    action.__name__: action for action in (again, wait, age, delete, truncate, flip, forget)
}


# The table.


def stable(line: str) -> str:
    """Return a `why` line without what differs from run to run."""
    line = re.sub(r"b3:[0-9a-f]+…?", "DIGEST", line)
    line = re.sub(r"run [0-9a-f]{8}-[0-9a-f-]+", "run ID", line)
    return re.sub(r"just now|\d+ (s|min|h) ago", "AGE", line)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_step_runs_again_exactly_when_it_may_give_something_else(case, tmp_path):
    found = seen(case, tmp_path)
    assert found.verdicts[case.node] == case.expect, found.why
    assert case.says in found.why
    assert {node: found.verdicts[node] for node in case.also} == case.also
    if case.plain:
        assert found.value == found.plain

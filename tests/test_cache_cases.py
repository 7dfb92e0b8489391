"""The cache, end to end: every case is a small project that is run, edited, and run again.

What these runs gave is the page `docs/cache-cases.md`. After a change that is meant, write it anew:

    ZENLIB_TEST_WRITE=1 python -m pytest tests/test_cache_cases.py
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cache_cases import CASES, SEPARATE, Case, Files
from project_files import loaded, write

from zenlib import Client, CorruptArtifact, Pipeline, Run, Status, StepFailed
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
        verdicts: step -> what the second run did with it.
        why: the line about the step that is looked at.
        foreseen: step -> what `explain()` said before that run.
        output: of the step, and what `plain()` gave; None where they are not compared.
    """

    verdicts: dict[str, str]
    why: str
    foreseen: dict[str, str]
    output: Any = None
    plain: Any = None


_seen: dict[str, Seen] = {}
_seen_apart: dict[str, str] = {}


def seen(case: Case, folder: Path) -> Seen:
    """Run a case in this process, once for all tests."""
    if case.name not in _seen:
        _seen[case.name] = _see(case, folder)
    return _seen[case.name]


def _see(case: Case, folder: Path) -> Seen:
    before, after = (project(folder / n, f) for n, f in (("1", case.before), ("2", case.after)))
    try:
        with imported(before, case.env[0]) as flow:
            call(flow, case.calls[0])
            for name in case.between:
                ACTIONS[name](flow, case)
        with imported(after, case.env[1]) as flow:
            foreseen = {one.why.node: one.why.verdict for one in foresee(flow, case.calls[1]).steps}
            run = call(flow, case.calls[1])
            verdicts = {name: verdict_of(step.status) for name, step in run.all_steps.items()}
            why = str(run.why(case.node))
            if not case.plain:
                return Seen(verdicts, why, foreseen)
            return Seen(verdicts, why, foreseen, run.steps[case.node].output.load(), flow.plain())
    finally:
        with contextlib.chdir(after):
            open_stack(load_stack()).close()


SCRIPT = "from proj import flow\n\nprint(flow.p().why('work'))\n"


def seen_apart(case: Case, folder: Path) -> str:
    """Run a case as two processes, edited in place between them; return the second one's line."""
    if case.name not in _seen_apart:
        assert (case.calls, case.between, case.env) == (("p()", "p()"), (), ({}, {}))
        root = folder / "project"
        for files in (case.before, case.after):
            shutil.rmtree(root, ignore_errors=True)
            line = _script(project(root, {**files, "script.py": SCRIPT}))
        _seen_apart[case.name] = line
    return _seen_apart[case.name]


def _script(root: Path) -> str:
    path = os.pathsep.join(str(root / name) for name in ("libs", "editable"))
    # Without bytecode: Python takes an old one for new if file size and second are the same.
    env = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=root, env=env, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


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


def blob_paths(node: str) -> list[Path]:
    """Return the files of the outputs of a step in the last run."""
    client = Client()
    outputs = client.run("latest").steps[node].outputs.values()
    store = client.stack.shelf.blobs.store
    found = [store.local_path(key_of(f.digest)) for o in outputs for f in o.content.blobs()]
    assert found, f"{node} has no files"
    return found


def delete(flow: Any, case: Case) -> None:
    for path in blob_paths(case.target):
        path.unlink()


def delete_first(flow: Any, case: Case) -> None:
    for path in blob_paths("make"):
        path.unlink()


def truncate(flow: Any, case: Case) -> None:
    for path in blob_paths(case.target):
        path.chmod(0o644)
        os.truncate(path, path.stat().st_size // 2)


def flip(flow: Any, case: Case) -> None:
    for path in blob_paths(case.target):
        path.chmod(0o644)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)


def forget(flow: Any, case: Case) -> None:
    metadata = Client().stack.metadata
    metadata.delete(Artifact, [one.id for one in metadata.find(Artifact, limit=100).items])


ACTIONS: dict[str, Callable[[Any, Case], None]] = {
    action.__name__: action
    for action in (again, wait, age, delete, delete_first, truncate, flip, forget)
}


# The tests.

BY_NAME = {case.name: case for case in CASES}


def param(case: Case) -> Any:
    """Return a case as a parameter; one that shows a gap must fail, until the gap is closed."""
    marks = [pytest.mark.xfail(reason=case.gap)] if case.gap else []
    return pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", [param(case) for case in CASES])
def test_a_step_runs_again_exactly_when_it_may_give_something_else(case, tmp_path):
    found = seen(case, tmp_path)
    assert found.verdicts[case.node] == case.expect, found.why
    assert case.says in found.why
    assert {node: found.verdicts[node] for node in case.also} == case.also
    assert found.output == found.plain


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_explain_foresees_is_what_happens(case, tmp_path):
    found = seen(case, tmp_path)
    if case.gap or "flip" in case.between:  # a changed byte is seen when it is read, not before
        return
    happened = {node: word for node, word in found.verdicts.items() if node in found.foreseen}
    for node, word in happened.items():
        foreseen = found.foreseen[node]
        assert foreseen == "may run" or (foreseen == "cached") == (word == "cached"), node


@pytest.mark.parametrize("name", SEPARATE)
def test_separate_processes_and_one_process_decide_alike(name, tmp_path):
    case = BY_NAME[name]
    apart = stable(seen_apart(case, tmp_path / "apart"))
    assert apart == stable(seen(case, tmp_path / "together").why)
    assert apart.startswith(f"work {case.expect}: ")


def test_a_damaged_hit_raises_when_it_is_loaded_and_is_whole_again_after_a_repair(tmp_path):
    case = BY_NAME["stored: flip a bit of its output, and edit what reads it"]
    with imported(project(tmp_path, case.before), {}) as flow:
        call(flow, "p()")
        flip(flow, case)
        run = call(flow, "p()")
        assert run.steps["make"].status is Status.CACHED
        with pytest.raises(CorruptArtifact, match="other bytes"):
            run.steps["make"].output.load()
        call(flow, "p.with_options(cache=False)()")
        assert run.steps["make"].output.load()[-1] == 999
        open_stack(load_stack()).close()


def test_the_table_is_large_and_its_names_are_unique():
    assert len(BY_NAME) == len(CASES) >= 60


def test_the_page_shows_what_these_runs_gave(tmp_path):
    text = page(tmp_path)
    if os.environ.get("ZENLIB_TEST_WRITE"):
        PAGE.write_text(text, encoding="utf-8", newline="\n")
    shown = PAGE.read_text(encoding="utf-8")
    assert shown == text, "run ZENLIB_TEST_WRITE=1 python -m pytest tests/test_cache_cases.py"


# The page.

HEAD = """# Cache cases

What the cache decides after an edit, and what `why` says: {count} cases, each a small pipeline that is run,
edited and run again. The rows are what these runs gave. They are written by
`ZENLIB_TEST_WRITE=1 python -m pytest tests/test_cache_cases.py`, and the same tests fail when a decision is
not the one expected or this page is out of date. [Caching](caching.md) explains the rules.

The edits are in `tests/cache_cases.py` and `tests/fingerprint/cases.py`. A case is about the step `work`
unless its line names another. `ID`, `AGE` and `DIGEST` stand for what differs from run to run.
"""
APART = """
## In separate processes

The same edits, made in place between two runs of a script.
"""


def page(folder: Path) -> str:
    """Return the page for what the cases gave."""
    rows = []
    for number, case in enumerate(CASES):
        found = seen(case, folder / str(number))
        rows.append(row(case, found.verdicts[case.node], found.why))
    apart = []
    for number, name in enumerate(SEPARATE):
        line = seen_apart(BY_NAME[name], folder / f"apart{number}")
        apart.append(row(BY_NAME[name], line.split(":")[0].removeprefix("work "), line))
    lines = [HEAD.format(count=len(rows)), *TITLES, *rows, APART, *TITLES, *apart]
    return "\n".join(lines) + "\n"


TITLES = ("| case | edit | expected | actual | why |", "|---|---|---|---|---|")


def row(case: Case, actual: str, why: str) -> str:
    """Return one row of the table; a decision that is not the expected one stands out."""
    shown = actual if actual == case.expect else f"**{actual}**"
    cells = (case.category, case.edit, case.expect, shown, f"`{stable(why)}`")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def stable(line: str) -> str:
    """Return a `why` line without what differs from run to run."""
    line = re.sub(r"b3:[0-9a-f]+…?", "DIGEST", line)
    line = re.sub(r"run [0-9a-f]{8}-[0-9a-f-]+", "run ID", line)
    return re.sub(r"just now|\d+ (s|min|h|days?) ago", "AGE", line)

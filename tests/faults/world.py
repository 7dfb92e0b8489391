"""What the tests of bad input and faults share: scripts, damage, small disks, and what must hold."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from zenlib import Client, Stack, Status, pipeline, step
from zenlib.records import Artifact
from zenlib.serializers.base import Content

posix = pytest.mark.skipif(
    os.name != "posix", reason="needs POSIX signals and rights; runs on Linux and macOS"
)
linux_root = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0,
    reason="mounting a small disk needs Linux and the administrator",
)


def data_of(home: Path) -> Path:
    """Return the folder of history and artifacts."""
    return home / "data"


def database_of(home: Path) -> Path:
    return data_of(home) / "metadata.db"


def statuses(run) -> dict[str, str]:
    return {name: str(found.status) for name, found in run.all_steps.items()}


# Scripts in processes of their own.


class Answer:
    """What a process answered: exit code, stdout, stderr."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out}--- stderr\n{self.err}"


def write(folder: Path, text: str, name: str = "train.py") -> Path:
    script = folder / name
    script.write_text(textwrap.dedent(text), "utf-8")
    return script


def start(command: Sequence[object], folder: Path, **options) -> subprocess.Popen:
    """Start Python with these arguments in `folder`."""
    environment = {**os.environ, **options.pop("env", {})}
    return subprocess.Popen(
        [*options.pop("before", ()), sys.executable, *(str(word) for word in command)],
        cwd=folder,
        env={name: value for name, value in environment.items() if value is not None},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="backslashreplace",
        **options,
    )


def answer(process: subprocess.Popen) -> Answer:
    out, err = process.communicate(timeout=120)
    return Answer(process.returncode, out, err)


def python(folder: Path, text: str, *args: object, **options) -> Answer:
    """Run a script to its end."""
    return answer(start([write(folder, text).name, *args], folder, **options))


def command(folder: Path, *args: object, **options) -> Answer:
    """Run the command line in a process of its own."""
    return answer(start(["-m", "zenlib", *args], folder, **options))


def wait_until(holds: Callable[[], object], process: subprocess.Popen) -> None:
    """Wait until something holds; fail when the process ends before that."""
    end = time.monotonic() + 60
    while not holds():
        if process.poll() is not None:
            raise AssertionError(f"it ended too early: {answer(process)!r}")
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.005)


def wait_for(file: Path, process: subprocess.Popen) -> None:
    """Wait until a file has something in it."""
    wait_until(lambda: file.exists() and file.stat().st_size, process)


def without_privileges() -> tuple[str, ...]:
    """Return what to put before a command so that rights on files count for it; skip if unknown."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("the administrator may write anywhere, and there is no setpriv to change that")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner")


# Damage.


def blobs(home: Path) -> list[Path]:
    """Return the files of all stored values."""
    return sorted((data_of(home) / "artifacts" / "b3").glob("*/*"))


def flip(path: Path) -> None:
    """Change one bit of a file; its size stays the same."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    overwrite(path, bytes(data))


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(data)
    path.chmod(0o400)


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system in memory of a few MiB; skip when that is not allowed."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("root without the right to mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


# What must hold whatever happened.


def check_history(home: Path, client: Client | None = None) -> list[str]:
    """Check that nothing half-done is visible; return the statuses of all runs, oldest first.

    The database is sound; every artifact loads; every run that says it is completed has all its
    outputs; nothing that is finished is without an end; no unfinished file lies about.
    """
    client = client or Client()
    metadata = client.stack.metadata
    path = database_of(home)
    if path.exists():
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    for artifact in metadata.find(Artifact, limit=10_000).items:
        client.stack.shelf.load(Content.from_json(artifact.content), place=artifact.name)
    runs = client.runs(limit=10_000)
    for run in runs:
        for step_run in run.step_runs:
            done = step_run.status in (Status.COMPLETED, Status.CACHED)
            assert done or not step_run.outputs
            for output in step_run.outputs.values():
                assert run.artifact(output.artifact).digest == output.digest
        if run.status is Status.COMPLETED:
            assert all(step.status.finished for step in run.steps.values())
            if run.outputs is not None:
                run.outputs.load()
    return [str(run.status) for run in reversed(runs)]


def unfinished(home: Path) -> list[Path]:
    """Return the temporary files that lie in the artifact store."""
    return sorted((data_of(home) / "artifacts" / "tmp").glob("*"))


# Steps and runs.


def alone() -> Stack:
    """A stack in the home of this test, where all steps run in this process, one by one."""
    return Stack(orchestrator={"type": "local", "workers": 1})


def run_of(body, *args, **options):
    return pipeline(**{"name": "p", **options})(body)(*args)


@step
def numbers(n: int) -> np.ndarray:
    return np.arange(n, dtype=float)


@step
def plus_one(data: np.ndarray) -> np.ndarray:
    return data + 1


@step
def add_up(data: np.ndarray, k: int) -> float:
    return float(data.sum()) + k


@step(isolated=True)
def add_up_elsewhere(data: np.ndarray, k: int) -> float:
    return float(data.sum()) + k


@step
def total(values: list[float]) -> float:
    return sum(values)


@step
def one(n: int = 1) -> int:
    return n

"""Many processes on one SQLite file: first use, steady writing, and sudden deaths."""

import collections
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from zenlib.records import Artifact, Run, Status, StepRun
from zenlib.stores.sql import SqlStore
from zenlib.testing.samples import everything


@pytest.fixture
def writers(tmp_path):
    """Start writers that begin together when `go` is called."""
    started = []
    url = f"sqlite:///{tmp_path}/new/metadata.db"

    def start(processes, count):
        for number in range(processes):
            script = str(Path(__file__).with_name("storm.py"))
            command = [sys.executable, script, url, str(number), str(count)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            started.append(subprocess.Popen(command, stderr=subprocess.PIPE, **pipes))
        for process in started:
            assert process.stdout.readline() == "ready\n"
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        return url, started

    yield start
    for process in started:
        process.kill()
        process.communicate()


def check_whole(store):
    """Assert that only whole transactions are there; return the steps of each run."""
    steps = collections.Counter(item.run_id for item in everything(store, StepRun, limit=10_000))
    numbers = collections.defaultdict(list)
    artifacts = collections.Counter()
    for item in everything(store, Artifact, limit=10_000):
        numbers[item.name].append(item.number)
        artifacts[item.run_id] += 1
    assert artifacts == {run_id: 2 * count for run_id, count in steps.items()}
    for found in numbers.values():
        assert sorted(found) == list(range(1, len(found) + 1))
    return steps


@pytest.mark.parametrize(
    ("processes", "count"), [(8, 50), pytest.param(32, 200, marks=pytest.mark.slow)]
)
def test_nothing_is_lost_when_many_processes_write(writers, processes, count):
    url, started = writers(processes, count)
    for process in started:
        output, errors = process.communicate(timeout=280)
        assert errors == ""
        assert output.splitlines()[-1] == "done"
    store = SqlStore(url)
    assert check_whole(store) == {f"run-{n}": count for n in range(processes)}
    runs = everything(store, Run)
    assert {item.version for item in runs} == {count // 10 + 2}
    assert {item.status for item in runs} == {Status.COMPLETED}
    store.close()


def test_killed_writers_leave_whole_transactions_and_a_store_that_works(writers):
    url, started = writers(6, 100_000)
    reported = {}
    for number, process in enumerate(started):
        for _ in range(20 + 7 * number):  # each dies in the middle of its work
            reported[f"run-{number}"] = int(process.stdout.readline())
        process.kill()
    for number, process in enumerate(started):
        lines = process.stdout.read().splitlines(keepends=True)
        told = [int(line) for line in lines if line.endswith("\n")]
        reported[f"run-{number}"] = max([reported[f"run-{number}"], *told])
    store = SqlStore(url)
    steps = check_whole(store)
    for run_id, last in reported.items():
        assert steps[run_id] in (last + 1, last + 2)  # it may have died before it could tell
        current = store.get(Run, run_id)
        store.put(current.next(status=Status.INTERRUPTED))
    store.close()
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


FIRST_USE = """
import sys
from zenlib.stores.sql import SqlStore
from zenlib.records import Run
print("ready", flush=True)
sys.stdin.readline()
for path in sys.argv[1].split("|"):
    store = SqlStore(f"sqlite:///{path}")
    store.put(Run(pipeline="p", started_us=0))
    store.close()
"""


def test_sixteen_first_uses_at_once_all_succeed(tmp_path):
    rounds, processes = 8, 16
    paths = [str(tmp_path / f"round{n}" / "deep" / "metadata.db") for n in range(rounds)]
    command = [sys.executable, "-c", FIRST_USE, "|".join(paths)]
    started = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        assert process.communicate(timeout=250)[1] == ""
        assert process.returncode == 0
    for path in paths:
        store = SqlStore(f"sqlite:///{path}")
        assert len(everything(store, Run)) == processes
        store.close()
        connection = sqlite3.connect(path)
        assert connection.execute("SELECT count(*) FROM zenlib_version").fetchone() == (1,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_children_write_through_connections_of_their_own(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path}/metadata.db")
    from zenlib.testing.samples import artifact

    store.put(artifact())
    children = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for _ in range(20):
                    store.put(artifact())
                store.close()
                code = 0
            finally:
                os._exit(code)
        children.append(child)
        store.put(artifact())
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    store.put(artifact())
    numbers = [item.number for item in everything(store, Artifact, limit=1000)]
    assert sorted(numbers) == list(range(1, 8 * 21 + 3))
    store.close()

"""The local orchestrator: side by side, stopped in time, and honest about dead workers."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from zenlib import (
    Client,
    Retry,
    RunCancelled,
    Stack,
    Status,
    StepFailed,
    pipeline,
    step,
)
from zenlib.errors import SettingsInvalid, StepTimeout, WorkerDied
from zenlib.orchestrators.local import LocalOrchestrator
from zenlib.orchestrators.pool import POOL, Worker

posix = pytest.mark.skipif(
    os.name != "posix", reason="needs POSIX signals; runs on Linux and macOS"
)


def local(**options) -> Stack:
    return Stack(orchestrator={"type": "local", **options})


def statuses(run) -> dict[str, str]:
    return {name: str(found.status) for name, found in run.all_steps.items()}


@step(cache=False)
def where(n: int) -> int:
    time.sleep(0.4)
    return os.getpid()


@pipeline
def several(n: int):
    return where.map(list(range(n)))


# Lanes.


def test_independent_steps_run_in_several_processes():
    pids = several.with_options(stack=local(workers=3))(6).outputs.load()
    assert len(set(pids)) > 1
    assert os.getpid() in pids


def test_one_worker_runs_all_in_the_calling_process():
    assert set(several.with_options(stack=local(workers=1))(2).outputs.load()) == {os.getpid()}


def test_threads_run_side_by_side_in_the_calling_process():
    @step(cache=False)
    def thread(n: int) -> int:
        time.sleep(0.3)
        return threading.get_ident()

    stack = local(workers=3, executor="threads")
    idents = pipeline(stack=stack)(lambda: thread.map([1, 2, 3]))().outputs.load()
    assert len(set(idents)) > 1


def test_a_chain_stays_in_the_calling_process():
    def body():
        first = where(1)
        return where.after(first)(2), first

    assert set(pipeline(body)().outputs.load()) == {os.getpid()}


def test_workers_stay_warm_for_the_next_run():
    stack = local(workers=3)
    first = set(several.with_options(stack=stack)(6).outputs.load())
    second = set(several.with_options(stack=stack)(6).outputs.load())
    assert (first & second) - {os.getpid()}


def test_a_changed_environment_gets_new_workers(monkeypatch):
    stack = local(workers=2)
    several.with_options(stack=stack)(4)
    monkeypatch.setenv("COLOUR_OF_THE_DAY", "blue")

    @step(isolated=True, cache=False)
    def colour() -> str:
        return os.environ["COLOUR_OF_THE_DAY"]

    assert pipeline(stack=stack)(lambda: colour())().outputs.load() == "blue"


def test_a_step_never_uses_more_cpus_than_there_are(tmp_path):
    log = tmp_path / "log"

    @step(cache=False, resources={"cpu": 2})
    def wide(n: int, log: Path) -> int:
        with log.open("a") as out:
            out.write(f"+{n}\n")
        time.sleep(0.2)
        with log.open("a") as out:
            out.write(f"-{n}\n")
        return n

    pipeline(stack=local(workers=2))(lambda: [wide(n, log) for n in range(3)])()
    lines = log.read_text().split()
    assert [line[0] for line in lines] == ["+", "-"] * 3


def test_what_a_step_prints_in_a_worker_is_printed_here(capsys):
    @step(isolated=True, cache=False)
    def talk() -> None:
        print("from the worker")
        print("an error line", file=sys.stderr)

    pipeline(lambda: talk())()
    out, err = capsys.readouterr()
    assert out == "from the worker\n"
    assert "an error line" in err


def test_wrong_settings_are_refused():
    for options in ({"workers": 0}, {"workers": True}, {"workers": "2"}, {"executor": "magic"}):
        with pytest.raises(SettingsInvalid):
            LocalOrchestrator(**options)
    with pytest.raises(SettingsInvalid, match="does not take these options"):
        pipeline(stack=local(speed=3))(lambda: where(1))()


# Time-outs and dead workers.


def test_a_timeout_stops_a_step_that_would_not_stop_by_itself(tmp_path):
    pid_file = tmp_path / "pid"

    @step(timeout=1.0)
    def stubborn(pid_file: Path) -> None:
        pid_file.write_text(str(os.getpid()))
        while True:
            try:
                time.sleep(60)
            except BaseException:
                continue

    with pytest.raises(
        StepFailed, match="longer than its timeout of 1 s and was stopped"
    ) as caught:
        pipeline(lambda: stubborn(pid_file))()
    assert isinstance(caught.value.__cause__, StepTimeout)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_a_timed_out_step_is_tried_again(tmp_path):
    @step(timeout=1.0, retries=Retry(1, on=TimeoutError, delay=0))
    def slow_once(marker: Path) -> str:
        if not marker.exists():
            marker.write_text("tried")
            time.sleep(60)
        return "done"

    run = pipeline(lambda: slow_once(tmp_path / "marker"))()
    assert run.outputs.load() == "done"
    assert len(run.steps["slow_once"].attempts) == 2


@posix
@pytest.mark.parametrize(
    ("number", "words"),
    [(signal.SIGSEGV, "crashed in native code"), (signal.SIGKILL, "memory ran out")],
)
def test_a_worker_that_is_killed_fails_its_step_with_that_reason(number, words):
    @step(isolated=True)
    def die() -> None:
        os.kill(os.getpid(), number)

    with pytest.raises(StepFailed, match=words) as caught:
        pipeline(lambda: die())()
    assert isinstance(caught.value.__cause__, WorkerDied)


def test_a_worker_that_exits_fails_its_step_and_the_next_step_gets_a_new_one():
    @step(isolated=True)
    def leave() -> None:
        os._exit(0)

    @step(isolated=True, cache=False)
    def fine() -> int:
        return 1

    with pytest.raises(StepFailed, match="exited with code 0"):
        pipeline(lambda: leave())()
    assert pipeline(lambda: fine())().outputs.load() == 1


def test_a_step_that_ends_its_worker_politely_fails_too():
    @step(isolated=True)
    def leave() -> None:
        sys.exit(4)

    with pytest.raises(StepFailed, match="SystemExit: 4"):
        pipeline(lambda: leave())()


def test_an_error_of_a_worker_arrives_with_its_traceback():
    @step(isolated=True)
    def broken(n: int) -> int:
        return 1 // n

    with pytest.raises(StepFailed, match="ZeroDivisionError") as caught:
        pipeline(lambda: broken(0))()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert any("in broken" in note for note in caught.value.__notes__)


def test_an_error_that_cannot_travel_is_told_by_its_record():
    @step(isolated=True)
    def broken() -> int:
        class Odd(Exception):
            def __init__(self, a, b):
                super().__init__("odd")
                self.lock = threading.Lock()

        raise Odd(1, 2)

    with pytest.raises(StepFailed, match="Odd: odd") as caught:
        pipeline(lambda: broken())()
    assert caught.value.__cause__ is None


def test_a_stack_in_memory_cannot_isolate_and_says_so():
    @step(timeout=5)
    def quick() -> int:
        return 1

    stack = Stack(
        metadata_store="memory",
        artifact_store="memory://",
        orchestrator={"type": "local", "workers": 2},
    )
    with pytest.raises(StepFailed, match="needs a process of its own"):
        pipeline(stack=stack)(lambda: quick())()


def test_a_worker_that_cannot_start_is_told(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false" if os.name == "posix" else "where.exe")
    worker = Worker()
    with pytest.raises(WorkerDied, match="did not start"):
        worker.connect()


@posix
def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = write(
        tmp_path,
        """
        import os, time
        from zenlib import step, pipeline
        @step(isolated=True, cache=False)
        def work() -> None:
            open("pid", "w").write(str(os.getpid()))
            time.sleep(60)
        @pipeline
        def p():
            work()
        p()
        """,
    )
    parent = start(script)
    pid = int(wait_for(tmp_path / "pid"))
    parent.kill()
    parent.communicate(timeout=30)
    end = time.monotonic() + 20
    while time.monotonic() < end and alive(pid):
        time.sleep(0.05)
    assert not alive(pid)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


# Scripts: `__main__`, Ctrl-C, the debugger.


def write(folder: Path, text: str) -> Path:
    script = folder / "script.py"
    script.write_text(textwrap.dedent(text))
    return script


def start(script: Path, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, script.name],
        cwd=script.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def wait_for(file: Path) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if file.exists() and file.read_text():
            return file.read_text()
        time.sleep(0.02)
    raise AssertionError(f"{file.name} was never written")


def test_functions_of_a_script_run_in_workers_without_a_main_guard(tmp_path):
    script = write(
        tmp_path,
        """
        import os, time
        from zenlib import step, pipeline, Stack
        FACTOR = 3
        def helper(n):
            return n * FACTOR
        @step(cache=False)
        def work(n: int) -> tuple[int, int]:
            time.sleep(0.4)
            return helper(n), os.getpid()
        @pipeline(stack=Stack(orchestrator={"type": "local", "workers": 3}))
        def p():
            a, b = work.map([1, 2, 3, 4, 5, 6])
            return a, b
        values, pids = p().outputs.load()
        print(values, len(set(pids)) > 1)
        """,
    )
    out, err = start(script).communicate(timeout=60)
    assert (out.strip(), err) == ("[3, 6, 9, 12, 15, 18] True", "")


def test_classes_of_a_script_arrive_in_workers_and_come_back(tmp_path):
    script = write(
        tmp_path,
        """
        from __future__ import annotations
        import enum, os
        from dataclasses import dataclass
        from typing import Annotated, NamedTuple
        from zenlib import step, pipeline
        class Kind(enum.Enum):
            A = "a"
        @dataclass
        class Model:
            weights: list[float]
            kind: Kind
        class Cannot:
            lock = __import__("threading").Lock()
        @step
        def fit() -> Annotated[Model, "model"]:
            return Model([0.5], Kind.A)
        @step(isolated=True)
        def double(model) -> Annotated[Model, "model"]:
            return type(model)([2 * w for w in model.weights], model.kind)
        @step(isolated=True)
        def programs() -> str:
            return os.environ.get("PYTHONPATH", "none")
        @pipeline
        def p():
            return double(fit()), programs()
        print(p().outputs.load())
        """,
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    out, err = start(script, env=environment).communicate(timeout=60)
    assert (out.strip(), err) == ("(Model(weights=[1.0], kind=<Kind.A: 'a'>), 'none')", "")


def test_a_temporary_folder_with_a_long_name_is_no_hindrance(tmp_path, monkeypatch):
    import multiprocessing.connection
    import tempfile

    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(
        multiprocessing.process.current_process(), "_config", {"tempdir": str(folder)}
    )
    worker = Worker()
    try:
        worker.connect()
        assert worker.alive
    finally:
        worker.kill()


INTERRUPTED = """
import time, sys
from zenlib import Client, Stack, step, pipeline
@step
def first() -> int:
    return 1
@step(isolated=ISOLATED)
def second(n: int) -> int:
    open("started", "w").write("yes")
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        if STUBBORN:
            time.sleep(60)
        raise
    return n
@step
def third(n: int) -> int:
    return n
@pipeline
def p():
    return third(second(first()))
try:
    p()
except KeyboardInterrupt:
    run = Client().run("latest")
    print(run.status, *[str(s.status) for s in run.steps.values()])
    sys.exit(130)
"""


@posix
@pytest.mark.parametrize("isolated", [False, True])
def test_ctrl_c_once_stops_cleanly_and_a_rerun_goes_on_from_there(tmp_path, isolated):
    text = INTERRUPTED.replace("ISOLATED", str(isolated)).replace("STUBBORN", "False")
    process = start(write(tmp_path, text))
    wait_for(tmp_path / "started")
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    assert out.split() == ["cancelled", "completed", "cancelled", "cancelled"]


@posix
def test_ctrl_c_twice_aborts_a_step_that_does_not_stop(tmp_path):
    text = INTERRUPTED.replace("ISOLATED", "True").replace("STUBBORN", "True")
    process = start(write(tmp_path, text))
    wait_for(tmp_path / "started")
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out.split() == ["cancelled", "completed", "cancelled", "cancelled"]


def test_a_background_run_can_be_cancelled(tmp_path):
    @step(isolated=True)
    def wait(marker: Path) -> None:
        marker.write_text("started")
        time.sleep(60)

    handle = pipeline(lambda: wait(tmp_path / "marker")).submit()
    wait_for(tmp_path / "marker")
    assert handle.status() is Status.RUNNING
    with pytest.raises(TimeoutError):
        handle.wait(0.01)
    handle.cancel()
    with pytest.raises(RunCancelled):
        handle.wait(30)
    assert statuses(Client().run(handle.id)) == {"wait": "cancelled"}


def test_the_debugger_opens_where_the_step_raised_with_its_inputs(tmp_path):
    script = write(
        tmp_path,
        """
        from zenlib import step, pipeline, StepFailed
        @step
        def fit(rows: int) -> float:
            return 1 / rows
        @pipeline(pdb=True)
        def p():
            return fit(0)
        try:
            p()
        except StepFailed as error:
            print("failed:", error.node)
        """,
    )
    out, err = start(script, stdin=subprocess.PIPE).communicate(
        "p 'rows is', rows\nq\n", timeout=60
    )
    assert "('rows is', 0)" in out
    assert "failed: fit" in out
    assert "step fit raised ZeroDivisionError" in err


def test_processes_that_want_one_result_compute_it_once(tmp_path):
    script = write(
        tmp_path,
        """
        import time
        from zenlib import step, pipeline
        @step
        def costly(n: int) -> int:
            with open("calls", "a") as out:
                out.write("x")
            time.sleep(0.5)
            return n + 1
        @pipeline
        def p():
            return costly(1)
        print(p().outputs.load())
        """,
    )
    processes = [start(script) for _ in range(4)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert outputs == [("2\n", "")] * 4
    assert (tmp_path / "calls").read_text() == "x"


@posix
def test_a_fork_in_a_step_harms_neither_side():
    @step(cache=False)
    def forks() -> int:
        pid = os.fork()
        if pid == 0:
            os._exit(0 if POOL.idle() == 0 else 1)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    several.with_options(stack=local(workers=3))(4)
    assert pipeline(lambda: forks())().outputs.load() == 0

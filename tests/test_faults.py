"""Faults, end to end: after each one the message says what to do, and the next run works."""

import contextlib
import os
import random
import re
import shutil
import signal
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from faults import world
from faults.world import (
    add_up,
    alone,
    answer,
    check_history,
    command,
    linux_root,
    numbers,
    one,
    plus_one,
    posix,
    python,
    run_of,
    small_disk,
    start,
    total,
    unfinished,
    wait_for,
    wait_until,
    without_privileges,
    write,
)

from zenlib import Client, Status, StepFailed, pipeline, step
from zenlib.errors import Unavailable, WorkerDied
from zenlib.stores.sql import SqlStore

# Killed.

KILLED = """
    import os, sys, time
    import numpy as np
    from zenlib import step, pipeline
    @step
    def load(n: int) -> np.ndarray:
        return np.arange(n, dtype=float)
    @step
    def scale(data: np.ndarray, k: int) -> np.ndarray:
        with open("computed", "a") as out:
            out.write(f"{k}\\n")
        time.sleep(0.01)
        return data * k
    @step
    def total(parts: list[np.ndarray]) -> float:
        return float(sum(part.sum() for part in parts))
    @pipeline
    def training():
        data = load(20_000)
        return total([scale(data, k) for k in range(12)])
    open("ready", "w").write("yes")
    run = training()
    print(run.outputs.load(), sum(str(s.status) == "cached" for s in run.steps.values()))
"""


def check_kill(home: Path, folder: Path, wait_s: float, when: str = "ready") -> None:
    """Kill a run `wait_s` after it wrote a file, and check what the next one finds."""
    (folder / when).unlink(missing_ok=True)
    process = start([write(folder, KILLED)], folder, start_new_session=True)
    wait_for(folder / when, process)
    time.sleep(wait_s)
    process.kill()
    process.communicate()
    before = len(Client().artifacts(limit=10_000))
    assert set(check_history(home)) <= {"running", "completed"}
    done = python(folder, KILLED)
    assert done.code == 0, done
    value, hits = done.out.split()
    assert float(value) == sum(range(20_000)) * sum(range(12))
    assert int(hits) >= before, "what had completed is not computed again"
    assert check_history(home)[-1] == "completed"


@posix
@pytest.mark.parametrize("wait_s", [0.0, 0.02, 0.05, 0.1])
def test_a_killed_run_loses_nothing_that_completed_and_the_next_one_goes_on(home, tmp_path, wait_s):
    check_kill(home, tmp_path, wait_s, "computed" if wait_s != 0.02 else "ready")


@posix
@pytest.mark.slow
def test_a_hundred_runs_killed_at_random_lose_nothing(tmp_path, monkeypatch):
    chance = random.Random(20)
    for place in range(100):
        home = tmp_path / f"home{place}"
        folder = tmp_path / str(place)
        folder.mkdir()
        monkeypatch.setenv("ZENLIB_HOME", str(home))
        check_kill(home, folder, chance.random() * 0.3, chance.choice(["ready", "computed"]))


@posix
def test_a_worker_that_is_killed_in_mid_save_leaves_nothing_and_the_next_run_works(home):
    @step(isolated=True)
    def dies(marker: str) -> np.ndarray:
        if not Path(marker).exists():
            Path(marker).write_text("once")
            threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGKILL)).start()
            while True:
                Client().stack.shelf.save(np.random.default_rng().random(500_000))
        return np.ones(3)

    marker = str(home / "marker")
    run_of(one)
    with pytest.raises(
        StepFailed, match="killed .SIGKILL.; often the system's memory ran out"
    ) as e:
        run_of(lambda: dies(marker))
    assert isinstance(e.value.__cause__, WorkerDied)
    assert Client().artifacts("dies") == []
    assert run_of(lambda: dies(marker)).outputs.load().sum() == 3
    assert check_history(home) == ["completed", "failed", "completed"]


# Disks that are full, or that may not be written.

ON_A_SMALL_DISK = """
    import sys
    import numpy as np
    from zenlib import Client, pipeline, step, StepFailed
    @step
    def small() -> np.ndarray:
        return np.ones(1000)
    @step
    def large(data: np.ndarray, megabytes: int) -> np.ndarray:
        return np.random.default_rng(0).random(megabytes << 17)
    @pipeline
    def training(megabytes: int):
        return large(small(), megabytes)
    for megabytes in (64, 1):
        try:
            print("done", training(megabytes).steps["small"].status)
        except StepFailed as error:
            print(error)
    print(sorted(artifact.name for artifact in Client().artifacts()))
"""


@linux_root
def test_a_disk_that_fills_up_in_mid_save_fails_the_step_and_registers_nothing(
    tmp_path, monkeypatch
):
    with small_disk(tmp_path / "disk", "16m") as disk:
        monkeypatch.setenv("ZENLIB_HOME", str(disk))
        done = python(tmp_path, ON_A_SMALL_DISK)
        assert done.code == 0, done
        failed, completed, artifacts = done.out.splitlines()
        assert "step 'large' of run" in failed
        assert f"cannot write {disk}/data/artifacts/tmp/" in failed
        assert "67108" in failed
        assert "No space left on device; make room, or set another artifact store" in failed
        assert completed == "done cached"
        assert artifacts == "['large', 'small']"
        assert unfinished(disk) == []
        assert check_history(disk, Client()) == ["failed", "completed"]


FULL_DATABASE = """
    import os, sys
    from pathlib import Path
    from zenlib import Client, pipeline, step, ZenlibError
    @step
    def first() -> int:
        return 1
    @step
    def fills(n: int, filler: Path) -> int:
        try:
            with filler.open("wb", buffering=0) as out:
                while True:
                    out.write(bytes(4096))
        except OSError:
            return n
    @pipeline
    def training(filler: Path):
        return fills(first(), filler)
    try:
        training(Path(sys.argv[1]))
    except ZenlibError as error:
        print(type(error).__name__, error)
"""


@linux_root
def test_a_disk_that_is_full_for_the_history_too_ends_the_run_with_words(tmp_path, monkeypatch):
    with small_disk(tmp_path / "disk", "4m") as disk:
        monkeypatch.setenv("ZENLIB_HOME", str(disk))
        done = python(tmp_path, FULL_DATABASE, disk / "filler")
        assert done.code == 0, done
        assert "metadata.db" in done.out
        assert "the disk is full" in done.out
        assert "Make room" in done.out
        (disk / "filler").unlink()
        check_history(disk, Client())
        assert [artifact.name for artifact in Client().artifacts()] == ["first"]
        run = run_of(lambda: one(5))
        assert run.outputs.load() == 5


LIMITED = """
    import resource, signal, sys
    import numpy as np
    from zenlib import Client, pipeline, step, StepFailed
    @step
    def large(megabytes: int) -> np.ndarray:
        return np.zeros(megabytes << 17)
    @pipeline
    def training(megabytes: int):
        return large(megabytes)
    training(1)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))
    try:
        training(16)
    except StepFailed as error:
        print(error)
    print([artifact.load().nbytes for artifact in Client().artifacts()])
"""


@posix
def test_a_limit_on_file_sizes_fails_the_step_with_path_and_bytes(home, tmp_path):
    done = python(tmp_path, LIMITED)
    assert done.code == 0, done
    failed, kept = done.out.splitlines()
    assert "cannot write" in failed
    assert "a limit of this process or file system on the size of files was reached" in failed
    assert kept == f"[{1 << 20}]"
    assert unfinished(home) == []
    assert check_history(home) == ["completed", "failed"]


NO_FILES_LEFT = """
    import os, resource
    import numpy as np
    from zenlib import Client, pipeline, step, StepFailed
    @step
    def array(n: int) -> np.ndarray:
        if n == 2:
            while True:
                try:
                    held.append(os.open("/dev/null", os.O_RDONLY))
                except OSError:
                    break
        return np.full(1000, n)
    held = []
    array = array.with_options(version="1")
    @pipeline
    def training(n: int):
        return array(n)
    training(1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    try:
        training(2)
    except StepFailed as error:
        print(error)
    for fd in held:
        os.close(fd)
    print(training(3).outputs.load()[0])
"""


@posix
def test_a_process_without_file_descriptors_fails_the_step_and_recovers(home, tmp_path):
    done = python(tmp_path, NO_FILES_LEFT)
    assert done.code == 0, done
    assert "Too many open files" in done.out.splitlines()[0]
    assert done.out.splitlines()[1] == "3"
    assert check_history(home) == ["completed", "failed", "completed"]


PLAIN = """
    import sys
    from zenlib import Client, pipeline, step
    @step
    def text(n: int) -> str:
        return "x" * n
    @pipeline
    def training(n: int = 10_000):
        return text(n)
    if __name__ == "__main__":
        print(len(training().outputs.load()))
"""


def make_read_only(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o500 if path.is_dir() else 0o400)


@posix
def test_a_read_only_home_refuses_runs_in_words_and_still_shows_the_history(home, tmp_path):
    before = without_privileges()
    assert python(tmp_path, PLAIN).out == "10000\n"
    make_read_only(home)
    try:
        ran = command(tmp_path, "run", "train.py", before=before)
        assert ran.code == 4, ran
        assert f"cannot write to {world.database_of(home)}" in ran.err
        assert "read-only" in ran.err
        assert "Traceback" not in ran.err
        listed = command(tmp_path, "runs", "list", "--json", before=before)
        assert listed.code == 0, listed
        assert '"status": "completed"' in listed.out.replace('":"', '": "')
    finally:
        for path in [home, *home.rglob("*")]:
            path.chmod(0o700)
    assert python(tmp_path, PLAIN).out == "10000\n"
    assert check_history(home) == ["completed", "completed"]


@posix
def test_an_empty_home_that_cannot_be_written_is_named(home, tmp_path):
    before = without_privileges()
    home.chmod(0o500)
    try:
        write(tmp_path, PLAIN)
        ran = command(tmp_path, "run", "train.py", before=before)
    finally:
        home.chmod(0o700)
    assert ran.code == 4, ran
    assert f"cannot create {home}" in ran.err
    assert "Permission denied" in ran.err
    assert "Traceback" not in ran.err
    assert list(home.iterdir()) == []


@posix
def test_an_artifact_folder_that_cannot_be_written_fails_the_step_and_a_rerun_goes_on(
    home, tmp_path
):
    before = without_privileges()
    assert python(tmp_path, PLAIN).code == 0
    artifacts = world.data_of(home) / "artifacts"
    folders = [artifacts, *(path for path in artifacts.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    try:
        ran = command(tmp_path, "run", "train.py", "--param", "n=20000", before=before)
    finally:
        for folder in folders:
            folder.chmod(0o700)
    assert ran.code == 1, ran
    assert "this user may not write there: set another artifact store" in ran.err
    assert command(tmp_path, "run", "train.py", "--param", "n=20000").code == 0
    assert check_history(home) == ["completed", "failed", "completed"]


@posix
def test_a_umask_of_077_and_a_home_that_is_not_set_do_no_harm(tmp_path):
    text = "import os; os.umask(0o077)\n" + world.textwrap.dedent(PLAIN)
    env = {"HOME": None, "ZENLIB_HOME": str(tmp_path / "place")}
    assert python(tmp_path, text, env=env).out == "10000\n"
    assert python(tmp_path, text, env=env).out == "10000\n"
    with_no_home = {"HOME": None, "ZENLIB_HOME": None, "XDG_DATA_HOME": str(tmp_path / "xdg")}
    done = python(tmp_path, PLAIN, env=with_no_home)
    assert done.code == 0, done
    assert (tmp_path / "xdg" / "zenlib").is_dir()


def test_a_working_folder_that_was_deleted_is_named(tmp_path):
    done = python(
        tmp_path,
        """
        import os
        from zenlib import Client, pipeline, step, ZenlibError
        @step
        def one() -> int:
            return 1
        @pipeline
        def p():
            return one()
        p()
        os.mkdir("gone"), os.chdir("gone"), os.rmdir("../gone")
        try:
            p()
        except ZenlibError as error:
            print(error)
        os.chdir("..") if os.path.exists("..") else os.chdir("/")
        print(len(Client().runs()), p().outputs.load())
        """,
    )
    assert done.code == 0, done
    assert done.out == "the current folder has been deleted; change to another\n1 1\n"


# Many at once.


ROUNDS = """
    import os, sys, time
    from pathlib import Path
    from train_first import training
    folder, number = Path(sys.argv[1]), sys.argv[2]
    for round in range(int(sys.argv[3])):
        os.environ["ZENLIB_HOME"] = str(folder / f"home{round}")
        (folder / f"ready{round}-{number}").touch()
        while not (folder / f"go{round}").exists():
            time.sleep(0.001)
        print(len(training().outputs.load()))
"""


def first_uses(folder: Path, processes: int, rounds: int) -> None:
    """Let some processes use an empty home at the same moment, in several rounds."""
    write(folder, PLAIN, "train_first.py")
    script = write(folder, ROUNDS)
    started = [start([script, folder, number, rounds], folder) for number in range(processes)]
    for place in range(rounds):
        for number, process in enumerate(started):
            wait_until((folder / f"ready{place}-{number}").exists, process)
        (folder / f"go{place}").touch()
    answers = [answer(process) for process in started]
    expected = (0, "10000\n" * rounds, "")
    assert [(each.code, each.out, each.err) for each in answers] == [expected] * processes


def test_eight_processes_that_use_a_home_for_the_first_time_all_succeed(tmp_path, monkeypatch):
    first_uses(tmp_path, processes=8, rounds=5)
    for place in range(5):
        monkeypatch.setenv("ZENLIB_HOME", str(tmp_path / f"home{place}"))
        assert check_history(tmp_path / f"home{place}", Client()) == ["completed"] * 8
        assert len(Client().artifacts("text")) == 1, "they computed it once"


@pytest.mark.slow
def test_sixteen_first_uses_at_once_succeed_fifty_times(tmp_path, monkeypatch):
    first_uses(tmp_path, processes=16, rounds=50)
    for place in range(50):
        monkeypatch.setenv("ZENLIB_HOME", str(tmp_path / f"home{place}"))
        assert check_history(tmp_path / f"home{place}", Client()) == ["completed"] * 16


def test_runs_in_several_threads_of_one_process_share_steps_and_results(home):
    def body(n: int):
        return add_up(plus_one(numbers(n)), 1)

    found: dict[int, float] = {}

    def go(place: int) -> None:
        found[place] = run_of(body, 500 + place % 2, name=f"p{place % 3}").outputs.load()

    threads = [threading.Thread(target=go, args=(place,)) for place in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: sum(range(1, 501 + n % 2)) + 1.0 for n in range(6)}
    assert len(Client().artifacts("add_up")) == 2, "each was computed once"
    assert check_history(home) == ["completed"] * 6


def test_one_step_in_two_pipelines_at_once_keeps_its_results_apart(home):
    barrier = threading.Barrier(2)

    @step(version="1")
    def meet(n: int) -> int:
        barrier.wait(30)
        return n * 10

    handles = [pipeline(name=f"p{n}")(lambda n: meet(n)).submit(n) for n in (1, 2)]
    assert [handle.wait(60).outputs.load() for handle in handles] == [10, 20]
    assert check_history(home) == ["completed"] * 2


@posix
def test_a_fork_after_threads_and_runs_may_run_pipelines_of_its_own(home):
    run_of(lambda: [one(n) for n in range(4)])
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: a fork beside threads
        pid = os.fork()
    if pid == 0:
        code = 1
        with contextlib.suppress(BaseException):
            code = 0 if run_of(lambda: one(77)).outputs.load() == 77 else 2
        os._exit(code)
    end = time.monotonic() + 60
    while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0 and time.monotonic() < end:
        time.sleep(0.02)
    stop.set()
    thread.join()
    assert ended[0] == pid, "the child hangs"
    assert os.waitstatus_to_exitcode(ended[1]) == 0
    assert run_of(lambda: one(77)).steps["one"].status is Status.CACHED
    assert check_history(home) == ["completed"] * 3


# Clocks.

CLOCK = """
    import time
    from zenlib import Client, pipeline, step
    @step
    def work(n: int) -> int:
        return n
    @step(expires=3600)
    def fresh(n: int) -> int:
        return n
    @pipeline
    def training(n: int):
        return fresh(work(n))
    run = training(1)
    print(run.id, run.took_us >= 0, *[str(s.status) for s in run.steps.values()])
"""


def test_a_clock_that_is_set_back_or_forward_leaves_order_and_durations_sound(home, tmp_path):
    if shutil.which("faketime") is None:
        if os.environ.get("CI"):
            pytest.fail("needs the program faketime: apt-get install faketime")
        pytest.skip("needs the program faketime: apt-get install faketime")
    ids = []
    for shift, expected in (
        ("+0s", ["completed", "completed"]),
        ("-1h", ["cached", "cached"]),
        ("+1y", ["cached", "completed"]),
        ("-1h", ["cached", "cached"]),
    ):
        done = python(tmp_path, CLOCK, before=("faketime", "-f", shift))
        assert done.code == 0, done
        id, sound, *found = done.out.split()
        ids.append(id)
        assert (sound, found) == ("True", expected)
    assert {run.id for run in Client().runs()} == set(ids)
    assert all(
        step_run.ended_us >= step_run.started_us
        for r in Client().runs()
        for step_run in r.step_runs
    )
    listed = command(tmp_path, "runs", "list")
    assert listed.code == 0, listed
    assert not re.search(r"(?<!\w)-\d", listed.out), listed.out
    check_history(home)


def test_a_clock_that_jumps_back_within_a_run_gives_no_negative_duration(home, monkeypatch):
    real = time.time_ns
    shift = [0]
    monkeypatch.setattr(time, "time_ns", lambda: real() - shift[0])

    @step(version="1")
    def jumps() -> int:
        shift[0] += 3_600_000_000_000
        return 1

    run = run_of(lambda: (jumps(), one.after(jumps())(3)))
    assert run.status is Status.COMPLETED
    assert run.took_us >= 0
    assert all(step_run.ended_us >= step_run.started_us for step_run in run.step_runs)
    assert [each.id for each in run.step_runs] == sorted(each.id for each in run.step_runs)


# A store that goes away, items that fail.


def test_of_a_thousand_items_only_the_three_that_failed_run_again(home, tmp_path):
    bad = tmp_path / "bad"
    bad.write_text("yes")

    @step(ignore=["bad"])
    def item(n: int, bad: Path) -> int:
        with (bad.parent / "done").open("a") as out:
            out.write(f"{n}\n")
        if n in (7, 500, 999) and bad.exists():
            raise ValueError(f"item {n}")
        return n

    def body():
        return total(item.map(list(range(1000)), bad))

    options = {"fail": "finish", "stack": alone()}
    with pytest.raises(StepFailed, match=r"step 'item\[7\]'"):
        run_of(body, **options)
    assert len((tmp_path / "done").read_text().split()) == 1000
    (tmp_path / "done").unlink()
    bad.unlink()
    assert run_of(body, **options).outputs.load() == sum(range(1000))
    assert sorted(map(int, (tmp_path / "done").read_text().split())) == [7, 500, 999]
    check_history(home)


@pytest.mark.parametrize("verb", ["put", "find", "sync"])
def test_a_store_that_goes_away_at_any_moment_of_a_run_ends_it_with_words(home, monkeypatch, verb):
    def body(n: int):
        return total([one(n), one(n + 1)])

    usual = getattr(SqlStore, verb)
    for allowed in range(100):
        left = [allowed]

        def away(self, *args, left=left, **options):
            left[0] -= 1
            if left[0] < 0:
                raise Unavailable("the store is away")
            return usual(self, *args, **options)

        with monkeypatch.context() as changed:
            changed.setattr(SqlStore, verb, away)
            words = ""
            try:
                run_of(body, allowed * 10, stack=alone())
            except (Unavailable, StepFailed) as error:
                words = str(error)
        if not words:
            break
        assert "the store is away" in words
        check_history(home, Client(alone()))
        assert run_of(body, allowed * 10, stack=alone()).outputs.load() == allowed * 20 + 1
    assert allowed >= {"put": 5, "find": 5, "sync": 1}[verb]
    check_history(home, Client(alone()))

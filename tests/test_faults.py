"""Faults, end to end: after each one the message says what to do, and the next run works."""

import contextlib
import math
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from faults import world
from faults.world import (
    answer,
    blobs,
    check_history,
    command,
    flip,
    linux_root,
    posix,
    python,
    small_disk,
    start,
    statuses,
    unfinished,
    wait_for,
    wait_until,
    without_privileges,
    write,
)

from zenlib import Client, Stack, Status, StepFailed, pipeline, step, unmapped
from zenlib.errors import CorruptArtifact, WorkerDied


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


@step
def raises() -> int:
    raise ValueError("no")


# Stored bytes that changed: a run heals itself, a load refuses.


def test_one_flipped_bit_below_a_hit_is_computed_again_and_the_run_completes(home):
    def body(k: int):
        return add_up(numbers(1000), k)

    run_of(body, 1)
    (blob,) = blobs(home)
    before = blob.read_bytes()
    flip(blob)
    run = run_of(body, 2)
    assert statuses(run) == {"numbers": "completed", "add_up": "completed"}
    assert run.outputs.load() == 499_502
    assert "files of its result were damaged; add_up needs them" in str(run.why("numbers"))
    assert "parameter k: 1 → 2" in str(run.why("add_up"))
    assert blob.read_bytes() == before
    assert statuses(run_of(body, 3))["numbers"] == "cached"
    assert check_history(home) == ["completed"] * 3


def test_a_chain_of_damaged_hits_is_computed_again_from_its_beginning(home):
    def body(k: int):
        return add_up(plus_one(plus_one(numbers(1000))), k)

    run_of(body, 1)
    for blob in blobs(home):
        flip(blob)
    run = run_of(body, 2)
    assert set(statuses(run).values()) == {"completed"}
    assert run.outputs.load() == 501_502
    assert len(run.step_runs) == 4, "no record is left of the hits that were taken back"
    assert list(statuses(run_of(body, 3)).values()) == ["cached"] * 3 + ["completed"]
    assert check_history(home) == ["completed"] * 3


def test_only_the_damaged_item_of_a_map_is_computed_again(home):
    def body(k: int):
        return total(add_up.map(plus_one.map([*map(numbers, (500, 600, 700))]), k))

    run_of(body, 1, stack=alone())
    digest = Client(alone()).run("latest").steps["plus_one"].items[1].output.content.files
    damaged = [b for b in blobs(home) if any(f.digest.endswith(b.name) for f in digest.values())]
    flip(damaged[0])
    run = run_of(body, 2, stack=alone())
    assert {name: s for name, s in statuses(run).items() if name.startswith("plus_one")} == {
        "plus_one[0]": "cached",
        "plus_one[1]": "completed",
        "plus_one[2]": "cached",
    }
    assert len(run.steps["plus_one"].items) == 3
    assert run.outputs.load() == sum(n * (n + 1) / 2 + 2 for n in (500, 600, 700))
    check_history(home)


def test_one_damaged_input_of_many_items_is_computed_again_once(home, tmp_path):
    made = tmp_path / "made"

    @step(ignore=["made"])
    def shared(made: Path) -> np.ndarray:
        with made.open("a") as out:
            out.write("x")
        return np.ones(2000)

    def body(k: int):
        return add_up.map(unmapped(shared(made)), [k, k + 1, k + 2, k + 3])

    run_of(body, 1)
    flip(blobs(home)[0])
    assert run_of(body, 10).outputs.load() == [2010, 2011, 2012, 2013]
    assert made.read_text() == "xx"
    check_history(home)


def test_a_damaged_list_that_is_mapped_over_is_computed_again(home):
    @step
    def words(n: int) -> list[str]:
        return [f"word {place} of a list that is too long for a record" for place in range(n)]

    @step
    def length(word: str, k: int) -> int:
        return len(word) + k

    def body(k: int):
        return length.map(words(200), k)

    run_of(body, 0, stack=alone())
    flip(max(blobs(home), key=lambda blob: blob.stat().st_size))
    run = run_of(body, 1, stack=alone())
    assert run.steps["words"].status is Status.COMPLETED
    assert run.outputs.load() == [len(word) + 1 for word in words.fn(200)]
    check_history(home, Client(alone()))


def test_a_worker_process_that_finds_the_damage_is_given_the_repaired_value(home):
    def body(k: int):
        return add_up_elsewhere(plus_one(numbers(1000)), k)

    run_of(body, 1)
    for blob in blobs(home):
        flip(blob)
    run = run_of(body, 2)
    assert set(statuses(run).values()) == {"completed"}
    assert run.outputs.load() == 500_502
    check_history(home)


def test_a_step_beside_that_waits_for_the_same_damaged_hit_is_not_skipped(home):
    @step
    def both(a: np.ndarray, b: float) -> float:
        return float(a[-1]) + b

    def body(k: int):
        data = numbers(1000)
        return both(data, add_up(data, k))

    run_of(body, 1, stack=alone())
    flip(blobs(home)[0])
    run = run_of(body, 2, stack=alone())
    assert set(statuses(run).values()) == {"completed"}
    assert run.outputs.load() == 999 + 499_502


def test_a_step_that_makes_something_else_this_time_feeds_what_it_made(home, tmp_path):
    marker = tmp_path / "marker"

    @step(ignore=["marker"])
    def fickle(marker: Path) -> np.ndarray:
        again = marker.exists()
        marker.write_text("made")
        return np.full(1000, 2.0 if again else 1.0)

    def body(k: int):
        return add_up(fickle(marker), k)

    assert run_of(body, 0).outputs.load() == 1000
    flip(blobs(home)[0])
    run = run_of(body, 1)
    assert run.outputs.load() == 2001
    assert run.steps["add_up"].record.key["inputs"]["data"][0] == run.steps["fickle"].output.digest


def test_a_damaged_hit_whose_step_now_fails_fails_the_run_and_skips_what_needs_it(home, tmp_path):
    marker = tmp_path / "marker"

    @step(ignore=["marker"])
    def once(marker: Path) -> np.ndarray:
        if marker.exists():
            raise ValueError("not twice")
        marker.write_text("made")
        return np.ones(1000)

    def body(k: int):
        return add_up(once(marker), k), one(k)

    run_of(body, 1, fail="finish")
    flip(blobs(home)[0])
    with pytest.raises(StepFailed, match="step 'once' of run .* not twice") as caught:
        run_of(body, 2, fail="finish")
    run = Client().run(caught.value.run_id)
    assert statuses(run) == {"once": "failed", "add_up": "skipped", "one": "completed"}
    marker.unlink()
    assert run_of(body, 3).outputs.load() == (1003, 3)
    check_history(home)


def test_damage_that_comes_back_fails_the_step_instead_of_going_on_for_ever(home, monkeypatch):
    from zenlib.artifacts.blobs import Blobs

    def body(k: int):
        return add_up(numbers(1000), k)

    run_of(body, 1, stack=alone())
    flip(blobs(home)[0])
    keep = Blobs.keep

    def keep_and_damage(self, file, temp):
        keep(self, file, temp)
        flip(blobs(home)[0])

    monkeypatch.setattr(Blobs, "keep", keep_and_damage)
    with pytest.raises(StepFailed, match="has other bytes than were recorded") as caught:
        run_of(body, 2, stack=alone())
    assert isinstance(caught.value.__cause__, CorruptArtifact)
    monkeypatch.undo()
    assert run_of(body, 2, stack=alone()).outputs.load() == 499_502


def test_a_step_that_loads_a_damaged_artifact_by_itself_fails_and_is_not_repeated(home, tmp_path):
    def body():
        return numbers(1000)

    run_of(body)
    flip(blobs(home)[0])
    log = tmp_path / "log"

    @step
    def by_itself(log: Path) -> int:
        with log.open("a") as out:
            out.write("x")
        return len(Client().artifact("numbers").load())

    with pytest.raises(StepFailed, match="CorruptArtifact"):
        run_of(lambda: by_itself(log))
    assert log.read_text() == "x"


DAMAGE = {
    "flipped": flip,
    "truncated": lambda blob: world.overwrite(blob, blob.read_bytes()[:-100]),
    "emptied": lambda blob: world.overwrite(blob, b""),
    "deleted": lambda blob: blob.unlink(),
    "a folder": lambda blob: (blob.unlink(), blob.mkdir()),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_load_of_damaged_bytes_says_so_and_the_next_run_makes_them_again(home, tmp_path, kind):
    def body(k: int):
        return numbers(1000), add_up(numbers(1000), k)

    first = run_of(body, 1, stack=alone())
    DAMAGE[kind](blobs(home)[0])
    fresh = Client(alone()).artifact("numbers")
    with pytest.raises(CorruptArtifact, match="artifact 'numbers': b3:.*; compute the artifact"):
        fresh.load()
    assert [run.id for run in Client(alone()).runs()] == [first.id]
    run_of(body, 2, stack=alone())
    assert Client(alone()).artifact("numbers").load().sum() == 499_500
    check_history(home, Client(alone()))


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
    check_history(home)
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
def test_a_hundred_runs_killed_at_random_lose_nothing(home, tmp_path):
    chance = random.Random(20)
    for place in range(100):
        folder = tmp_path / str(place)
        folder.mkdir()
        shutil.rmtree(world.data_of(home), ignore_errors=True)
        check_kill(home, folder, chance.random() * 0.3, chance.choice(["ready", "computed"]))


@posix
def test_a_worker_that_is_killed_in_mid_save_leaves_nothing_and_the_next_run_works(home):
    @step(isolated=True)
    def dies(marker: str) -> np.ndarray:
        if not os.path.exists(marker):
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
        pytest.skip("needs the program faketime to change the clock")
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


# Steps that misbehave. Each is run here and in a worker; then another step must still work.


class BadRepr:
    def __repr__(self):
        raise RuntimeError("no repr")


class BadText(Exception):
    def __str__(self):
        raise RuntimeError("no str")

    __repr__ = __str__


class Locked(Exception):
    def __init__(self, text, other):
        super().__init__(text)
        self.lock = threading.Lock()


class BadReduce:
    def __reduce__(self):
        raise KeyError("no reduce")


def unreadable_argument():
    raise ValueError(BadRepr())


def unreadable_message():
    raise BadText("x")


def no_pickle():
    raise Locked("cannot travel", 2)


def lone_surrogate():
    raise ValueError("half \ud800 of it")


def very_long():
    raise ValueError("x" * 5_000_000)


def several_errors():
    raise ExceptionGroup("many", [ValueError("a"), TypeError("b")])


def generator_exit():
    raise GeneratorExit


def fails_to_reduce():
    return BadReduce()


def too_deep():
    found = []
    for _ in range(100_000):
        found = [found]
    return found


def a_lock():
    return {"model": threading.Lock()}


def an_open_file():
    return open(os.devnull)  # noqa: SIM115


FAILING = {
    unreadable_argument: r"ValueError: its message cannot be shown: __str__ raised RuntimeError",
    unreadable_message: r"BadText: its message cannot be shown: __str__ raised RuntimeError",
    no_pickle: r"Locked: cannot travel",
    lone_surrogate: r"ValueError: half \\ud800 of it",
    very_long: r"ValueError: xxxx",
    several_errors: r"ExceptionGroup: many \(2 sub-exceptions\)",
    generator_exit: r"GeneratorExit",
    fails_to_reduce: r"a .*BadReduce cannot be kept: 'no reduce'; return data instead",
    too_deep: r"a list cannot be kept: .*nested deeper than 200 levels",
    a_lock: r"a dict cannot be kept: .*lock",
    an_open_file: r"a _io.TextIOWrapper cannot be kept: .*belongs to this process",
}


@pytest.mark.parametrize("isolated", [False, True], ids=["here", "worker"])
@pytest.mark.parametrize("fn", FAILING, ids=lambda fn: fn.__name__)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_step_that_fails_in_an_odd_way_is_recorded_and_the_next_run_works(home, fn, isolated):
    kept = run_of(lambda: one(3))
    odd = step(isolated=isolated)(fn)
    with pytest.raises(StepFailed, match=FAILING[fn]) as caught:
        run_of(lambda: odd())
    assert len(str(caught.value)) < 20_000
    failed = Client().run(caught.value.run_id)
    assert failed.status is Status.FAILED
    assert failed.steps[fn.__name__].failure.message
    assert Client().artifacts(fn.__name__) == []
    assert Client().run(kept.id).outputs.load() == 3
    assert run_of(lambda: one.with_options(isolated=isolated)(4)).outputs.load() == 4
    assert check_history(home) == ["completed", "failed", "completed"]


def huge_text() -> str:
    return "ä" * 20_000_000


def not_a_number() -> dict:
    return {"a": math.nan, "b": [math.inf, -0.0]}


def contains_itself() -> list:
    found: list = []
    found.append(found)
    return found


def own_pool() -> list:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, -2])


def own_executor() -> list:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            return pool.map(abs, [-1, -2])


def prints_in_a_fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        print("from the child", flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    return 1


def closes_stdout() -> int:
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    sys.stdout.close()
    return 1


def prints_bytes() -> int:
    sys.stdout.buffer.write(b"\xff\x00\xfe \xc3\xa4\n")
    return 1


def prints_half_a_pair() -> int:
    sys.stdout.write("half ")
    sys.stderr.write("\ud800\n")
    return 1


def leaves_a_thread() -> int:
    threading.Thread(target=time.sleep, args=(0.5,)).start()
    return 1


def leaves_a_child() -> int:
    command = [sys.executable, "-c", "import time; time.sleep(2)"]
    subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603
    return 1


def changes_folder() -> str:
    os.chdir("/")
    return os.getcwd()


def changes_variables() -> int:
    os.environ["COLOUR"] = "green"
    os.environ.pop("HOME", None)
    return 1


def enters_a_folder_and_deletes_it() -> int:
    folder = Path(os.environ["ZENLIB_HOME"]) / f"gone{os.getpid()}"
    folder.mkdir()
    os.chdir(folder)
    folder.rmdir()
    return 1


ODD = [
    huge_text,
    not_a_number,
    contains_itself,
    own_pool,
    own_executor,
    prints_in_a_fork,
    closes_stdout,
    prints_bytes,
    prints_half_a_pair,
    leaves_a_thread,
    leaves_a_child,
    changes_folder,
    changes_variables,
    enters_a_folder_and_deletes_it,
]


@posix
@pytest.mark.parametrize("isolated", [False, True], ids=["here", "worker"])
@pytest.mark.parametrize("fn", ODD, ids=lambda fn: fn.__name__)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_step_that_does_odd_things_completes_and_harms_no_other(
    home, monkeypatch, fn, isolated, capfd
):
    folder = Path.cwd()
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setenv("COLOUR", "blue")
    odd = step(isolated=isolated)(fn)
    try:
        run = run_of(lambda: odd())
        assert run.status is Status.COMPLETED
        assert repr(run.outputs.load())[:50] == repr(fn())[:50]
    finally:
        os.chdir(folder)
        monkeypatch.undo()
    monkeypatch.setenv("ZENLIB_HOME", str(home))
    monkeypatch.setenv("COLOUR", "blue")

    @step(isolated=isolated, cache=False)
    def surroundings() -> tuple[str, str]:
        print("still heard")
        return os.getcwd(), os.environ["COLOUR"]

    assert run_of(lambda: surroundings()).outputs.load() == (str(folder), "blue")
    assert "still heard" in capfd.readouterr().out
    assert check_history(home) == ["completed"] * 2


@posix
def test_a_worker_is_the_same_for_the_next_step_whatever_the_last_one_changed(home, tmp_path):
    @step(isolated=True, cache=False)
    def changes(folder: Path) -> int:
        os.environ["COLOUR"] = "green"
        os.chdir(folder)
        sys.stdout = None
        return os.getpid()

    @step(isolated=True, cache=False)
    def looks(_: int) -> tuple[int, str, str | None]:
        print("heard")
        return os.getpid(), os.getcwd(), os.environ.get("COLOUR")

    run = run_of(lambda: looks(changes(tmp_path)), stack=alone())
    pid, folder, colour = run.outputs.load()
    assert pid == run.steps["changes"].output.load(), "both ran in one worker"
    assert (folder, colour) == (str(Path.cwd()), None)


def test_a_million_lines_from_a_worker_arrive_in_order_and_are_few_messages(home, capfd):
    @step(isolated=True)
    def talks(lines: int) -> int:
        for place in range(lines):
            print(place)
        return lines

    assert run_of(lambda: talks(1_000_000)).outputs.load() == 1_000_000
    out = capfd.readouterr().out
    assert out == "".join(f"{place}\n" for place in range(1_000_000))


def test_a_reader_that_goes_away_does_not_fail_the_steps_that_print_in_workers(home, tmp_path):
    script = write(
        tmp_path,
        """
        import sys, time
        from zenlib import pipeline, step
        @step(isolated=True)
        def talks() -> int:
            for place in range(200_000):
                print("line", place)
            return 1
        @pipeline
        def p():
            return talks()
        run = p()
        sys.stderr.write(f"{run.status}\\n")
        sys.stderr.flush()
        import os
        os._exit(0)
        """,
    )
    process = start([script], tmp_path)
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0
    assert err == "completed\n"


def test_an_interrupt_that_a_step_raises_in_a_worker_cancels_the_run(home):
    @step(isolated=True)
    def interrupts() -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="was cancelled; what had completed is kept"):
        run_of(lambda: one(interrupts()))
    run = Client().run("latest")
    assert run.status is Status.CANCELLED
    assert statuses(run) == {"interrupts": "cancelled", "one": "cancelled"}
    assert check_history(home) == ["cancelled"]


def test_a_pipeline_that_a_step_starts_in_a_worker_is_a_run_of_its_own(home):
    @pipeline(name="inside")
    def inside(n: int):
        return total([one(n), one(n + 1)])

    @step(isolated=True, cache=False)
    def outer(n: int) -> float:
        return inside(n).outputs.load()

    assert run_of(lambda: outer(4)).outputs.load() == 9
    assert {run.pipeline for run in Client().runs()} == {"p", "inside"}
    assert check_history(home) == ["completed"] * 2


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


def test_a_store_that_goes_away_in_mid_run_ends_it_with_words(home, monkeypatch):
    from zenlib.errors import Unavailable
    from zenlib.stores.sql import SqlStore

    def body():
        return [one(n) for n in range(3)]

    put = SqlStore.put
    left = [2]

    def away(self, *records):
        left[0] -= 1
        if left[0] < 0:
            raise Unavailable("the store is away")
        put(self, *records)

    monkeypatch.setattr(SqlStore, "put", away)
    with pytest.raises(Unavailable, match="the store is away"):
        run_of(body, stack=alone())
    monkeypatch.undo()
    assert sorted(run_of(body, stack=alone()).outputs.load()) == [0, 1, 2]
    assert Client().runs()[0].status is Status.COMPLETED

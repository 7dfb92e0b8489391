"""Claims exclude threads and processes, and end with whoever holds them."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from zenlib.errors import Unavailable
from zenlib.stores import locks as module
from zenlib.stores.locks import KeyLocks

HOLDER = """
import sys
from zenlib.stores.locks import KeyLocks
with KeyLocks(sys.argv[1]).claim(sys.argv[2]) as waited:
    print("waited" if waited else "held", flush=True)
    sys.stdin.readline()
"""

PROBE = """
import sys
from zenlib.stores.locks import KeyLocks
locks = KeyLocks(sys.argv[1])
print("free" if locks.open().try_lock(locks.claim(sys.argv[2])._offset) else "taken")
"""


def seen_from_outside(path, key):
    """Return what another process finds: `free` or `taken`."""
    command = [sys.executable, "-c", PROBE, str(path), key]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.claims"


@pytest.fixture
def holder(path):
    """Start processes that hold a claim until a line is written to them."""
    started = []

    def start(key):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path), key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def claim_in_thread(locks, key):
    """Claim in a thread; return the event that it is inside, the answer, and how to let it go."""
    inside, leave, answer = threading.Event(), threading.Event(), []

    def work():
        with locks.claim(key) as waited:
            answer.append(waited)
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    return inside, answer, lambda: (leave.set(), thread.join(60))


def test_a_process_waits_for_another_process(path, holder):
    with KeyLocks(path).claim("key") as waited:
        assert waited is False
        assert seen_from_outside(path, "key") == "taken"
        assert seen_from_outside(path, "another key") == "free"
        other = holder("key")
    assert other.stdout.readline() in ("waited\n", "held\n")
    assert seen_from_outside(path, "key") == "taken"


def test_a_claim_ends_with_a_killed_process(path, holder):
    other = holder("key")
    assert other.stdout.readline() == "held\n"
    inside, answer, leave = claim_in_thread(KeyLocks(path), "key")
    assert not inside.wait(0.2)
    other.kill()
    assert inside.wait(60)
    assert answer == [True]
    leave()


def test_closing_one_store_keeps_the_claims_of_another(path):
    one, two = KeyLocks(path), KeyLocks(path)
    with one.claim("key"):
        with two.claim("other"):
            pass
        two.close()
        three = KeyLocks(path)
        inside, _, leave = claim_in_thread(three, "free")
        assert inside.wait(60)
        leave()
        three.close()
        assert seen_from_outside(path, "key") == "taken"
        assert seen_from_outside(path, "other") == "free"
    assert seen_from_outside(path, "key") == "free"
    one.close()


def test_two_paths_to_one_file_are_one_file(path, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    with KeyLocks(path).claim("key"):
        inside, answer, leave = claim_in_thread(KeyLocks(tmp_path / "link" / path.name), "key")
        assert not inside.wait(0.1)
    assert inside.wait(60)
    assert answer == [True]
    leave()


def test_a_thread_may_claim_again_what_it_holds(path):
    locks = KeyLocks(path)
    with locks.claim("key"):
        with locks.claim("key") as waited:
            assert waited is False
        assert seen_from_outside(path, "key") == "taken"
        inside, _, leave = claim_in_thread(locks, "key")
        assert not inside.wait(0.1)
    assert inside.wait(60)
    leave()


def test_keys_of_equal_hash_do_not_block_their_own_thread(path, monkeypatch):
    class Digest:
        def digest(self):
            return b"\1" * 8

    monkeypatch.setattr(module.hashlib, "blake2b", lambda *_, **__: Digest())
    locks = KeyLocks(path)
    with locks.claim("one"), locks.claim("two"):
        inside, _, leave = claim_in_thread(locks, "three")
        assert not inside.wait(0.1)
    assert inside.wait(60)
    leave()


def test_the_descriptor_is_closed_with_the_last_user(path):
    locks = KeyLocks(path)
    claim = locks.claim("key")
    claim.__enter__()
    fd = locks.open().fd
    locks.close()
    os.fstat(fd)
    claim.__exit__(None, None, None)
    with pytest.raises(OSError):
        os.fstat(fd)


def test_a_missing_folder_is_named(tmp_path):
    with (
        pytest.raises(Unavailable, match="nowhere"),
        KeyLocks(tmp_path / "nowhere" / "x").claim("k"),
    ):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process")
def test_waiting_ends_with_ctrl_c(path, holder):
    with KeyLocks(path).claim("key"):
        other = holder("key")
        deadline = time.monotonic() + 60
        while other.poll() is None and time.monotonic() < deadline:
            time.sleep(0.3)  # it may still be starting
            other.send_signal(signal.SIGINT)
        assert other.poll() is not None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_does_not_inherit_a_claim(path):
    locks = KeyLocks(path)
    with locks.claim("key"):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            with locks.claim("free") as free, locks.claim("key") as waited:
                os.write(writer, f"{free} {waited}".encode())
            os._exit(0)
        inside, _, leave = claim_in_thread(locks, "key")
        assert not inside.wait(0.2)  # the child's end did not end this claim
    assert inside.wait(60)
    leave()
    assert os.read(reader, 100) == b"False True"
    assert os.waitpid(child, 0)[1] == 0
    os.close(reader)
    os.close(writer)
    assert locks.open().fd >= 0

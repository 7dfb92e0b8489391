import errno
import os
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from zenlib.artifacts import local
from zenlib.artifacts.local import LocalStore
from zenlib.errors import NotFound, Unavailable
from zenlib.testing.artifacts import ArtifactStoreSuite

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX rights")


class TestLocalStore(ArtifactStoreSuite):
    @pytest.fixture
    def store(self, tmp_path):
        return LocalStore(tmp_path / "store")


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(b"abc")
    return path


def test_reading_an_empty_store_makes_nothing(store):
    assert list(store.list()) == []
    assert store.exists(["a"]) == set()
    assert not store.root.exists()


@posix
def test_files_are_read_only_and_folders_only_for_their_owner(store, source):
    store.put("a/b/c", source)
    assert stat.S_IMODE(store.local_path("a/b/c").stat().st_mode) == 0o444
    for folder in ("a", "a/b", "tmp", ""):
        assert stat.S_IMODE((store.root / folder).stat().st_mode) == 0o700


def test_backup_programs_leave_out_copies_only_and_git_leaves_out_all(store, source, tmp_path):
    copies = LocalStore(tmp_path / "copies", disposable=True)
    copies.put("a", source)
    tag = (copies.root / "CACHEDIR.TAG").read_text()
    assert tag.startswith("Signature: 8a477f597d28d172789f06886806bc55")
    store.put("a", source)
    assert not (store.root / "CACHEDIR.TAG").exists()
    assert (store.root / ".gitignore").read_text() == "*\n"
    assert [entry.key for entry in store.list()] == ["a"]


def test_a_file_from_scratch_is_moved_and_another_copied(store, source):
    mine = store.scratch() / "mine"
    mine.write_bytes(b"mine")
    inode = mine.stat().st_ino
    store.put("a", mine)
    assert store.local_path("a").stat().st_ino == inode
    assert not mine.exists()
    store.put("b", source)
    assert source.read_bytes() == b"abc"
    assert list(store.scratch().iterdir()) == []


def test_a_scratch_file_whose_key_is_taken_is_dropped(store, source):
    store.put("a", source)
    mine = store.scratch() / "mine"
    mine.write_bytes(b"mine")
    store.put("a", mine)
    assert not mine.exists()
    assert store.local_path("a").read_bytes() == b"abc"


@posix
def test_a_file_system_without_hard_links_is_enough(store, source, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    store.put("a", source)
    other = store.scratch() / "other"
    other.write_bytes(b"other")
    store.put("a", other)
    assert store.local_path("a").read_bytes() == b"abc"
    assert list(store.scratch().iterdir()) == []


@posix
def test_no_descriptor_is_left_open(store, source, tmp_path):
    store.put("first", source)
    before = len(list(Path("/dev/fd").iterdir()))
    for number in range(20):
        store.put(f"a/{number}", source)
        store.get(f"a/{number}", tmp_path / f"copy-{number}")
        store.sync([f"a/{number}"])
        with pytest.raises(NotFound):
            store.get("unknown", tmp_path / "unknown")
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_syncing_a_file_that_is_gone_is_not_found(store, source):
    store.put("a", source)
    store.delete(["a"])
    with pytest.raises(NotFound, match="a is gone"):
        store.sync(["a"])


def test_a_store_that_cannot_be_made_says_where(tmp_path, source):
    (tmp_path / "file").write_text("")
    store = LocalStore(tmp_path / "file" / "store")
    with pytest.raises(Unavailable, match="file"):
        store.put("a", source)


def test_long_abandoned_files_are_removed_at_the_next_use(tmp_path, source):
    scratch = LocalStore(tmp_path / "store").scratch()
    (scratch / "old").write_bytes(b"")
    (scratch / "new").write_bytes(b"")
    (scratch / "loaded").mkdir()
    long_ago = time.time() - 3 * 24 * 3600
    os.utime(scratch / "old", (long_ago, long_ago))
    os.utime(scratch / "loaded", (long_ago, long_ago))
    LocalStore(tmp_path / "store").put("a", source)
    assert sorted(path.name for path in scratch.iterdir()) == ["loaded", "new"]


def test_a_link_in_place_of_a_file_is_not_listed(store, source):
    store.put("a/b", source)
    (store.root / "a" / "link").symlink_to(source)
    assert [entry.key for entry in store.list()] == ["a/b"]
    assert store.exists(["a/link"]) == set()


LIMITED = """
    import resource, signal, sys
    from pathlib import Path
    from zenlib.artifacts.blobs import Blobs
    from zenlib.artifacts.local import LocalStore
    from zenlib.errors import Unavailable
    from zenlib.shelf import Shelf

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    root = Path(sys.argv[1])
    shelf = Shelf(Blobs(LocalStore(root)))
    shelf.save("small" * 2000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    for value in (bytes(3 << 20), "x" * (3 << 20)):
        try:
            shelf.save(value, place="step 'fit', output 'model'")
        except Unavailable as error:
            print(error)
        else:
            sys.exit("it was saved")
    source = root.parent / "source"
    try:
        LocalStore(root).put("a/b", source)
    except Unavailable as error:
        print(error)
    assert not LocalStore(root).exists(["a/b"])
"""


@posix
def test_a_full_disk_is_an_error_with_path_and_bytes_and_leaves_nothing(tmp_path):
    root = tmp_path / "store"
    (tmp_path / "source").write_bytes(bytes(3 << 20))
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LIMITED), str(root)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert len(lines) == 3
    assert all(str(root) in line and "bytes)" in line for line in lines)
    assert list((root / "tmp").iterdir()) == []
    assert [entry.size_bytes for entry in LocalStore(root).list()] == [10_002]


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounting needs root"
)
def test_a_store_on_a_small_disk_recovers_when_there_is_room(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=False
    )
    if mounted.returncode:
        pytest.skip("mount is not allowed here")
    try:
        store = LocalStore(disk / "store")
        big = tmp_path / "big"
        big.write_bytes(bytes(6 << 20))
        with pytest.raises(Unavailable, match=r"No space left.*make room"):
            store.put("big", big)
        assert list(store.list()) == []
        assert list((disk / "store" / "tmp").iterdir()) == []
        big.write_bytes(bytes(2 << 20))
        store.put("big", big)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(Unavailable, match="read-only"):
            LocalStore(disk / "store").put("more", big)
        assert [entry.key for entry in LocalStore(disk / "store").list()] == ["big"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_windows_and_other_rights_go_through_remove(tmp_path):
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").write_text("")
    (folder / "sub").chmod(0o500)
    local.remove(folder)
    assert not folder.exists()
    local.remove(folder)

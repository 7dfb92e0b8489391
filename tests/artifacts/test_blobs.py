import os
import threading

import pytest

from zenlib.artifacts.blobs import Blobs, key_of
from zenlib.artifacts.fsspec import FsspecStore
from zenlib.artifacts.local import LocalStore
from zenlib.errors import CorruptArtifact, Invalid, Unavailable
from zenlib.hashing import digest_of
from zenlib.serializers.base import File


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture
def blobs(store):
    return Blobs(store)


def write(blobs, data):
    with blobs.writer() as out:
        out.write(data)
    return out.file


def damage(store, digest, data):
    path = store.local_path(key_of(digest))
    path.chmod(0o600)
    path.write_bytes(data)


def test_a_blob_lies_under_its_digest(blobs, store):
    file = write(blobs, b"abc")
    digest = digest_of(b"abc")
    assert file == File(digest, 3)
    assert [entry.key for entry in store.list()] == [f"b3/{digest[3:5]}/{digest[5:]}"]


@pytest.mark.parametrize("text", ["b3:../../etc/passwd", "abc", "b3:" + "A" * 64, "b3:" + "0" * 63])
def test_what_is_no_digest_is_no_address(blobs, text):
    with pytest.raises(Invalid, match="not a digest"):
        blobs.path(text)


@pytest.mark.parametrize("size", [0, 1, (1 << 18) - 1, 1 << 20, (5 << 20) + 3])
@pytest.mark.parametrize("piece", [1 << 10, 1 << 30])
def test_the_digest_is_of_all_bytes_however_they_are_written(blobs, size, piece):
    data = os.urandom(size)
    with blobs.writer() as out:
        for start in range(0, size, piece):
            assert out.write(data[start : start + piece]) == len(data[start : start + piece])
    assert out.file == File(digest_of(data), size)
    assert blobs.path(out.file.digest).read_bytes() == data


def test_equal_bytes_are_kept_once(blobs, store):
    write(blobs, b"abc")
    before = store.local_path(next(iter(store.list())).key).stat()
    write(blobs, b"abc")
    assert blobs.written_bytes == 3
    assert store.local_path(next(iter(store.list())).key).stat() == before
    assert list(store.scratch().iterdir()) == []


def test_a_body_that_raises_leaves_nothing(blobs, store):
    def fail():
        with blobs.writer() as out:
            out.write(b"abc" * 100_000)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(store.list()) == []
    assert list(store.scratch().iterdir()) == []


def test_what_was_just_written_is_not_read_again(blobs):
    file = write(blobs, b"abc" * 1000)
    hashed = blobs.hashed_bytes
    blobs.path(file.digest)
    assert blobs.hashed_bytes == hashed


def test_each_process_verifies_a_blob_once(blobs, store):
    file = write(blobs, b"abc" * 1000)
    fresh = Blobs(store)
    fresh.path(file.digest)
    fresh.path(file.digest)
    assert fresh.hashed_bytes == 3000


def test_a_blob_that_changes_later_is_noticed(blobs, store):
    file = write(blobs, b"abc" * 1000)
    blobs.path(file.digest)
    damage(store, file.digest, b"abd" * 1000)
    os.utime(store.local_path(key_of(file.digest)), ns=(1, 1))
    with pytest.raises(CorruptArtifact, match="other bytes"):
        blobs.path(file.digest)


@pytest.mark.parametrize("data", [b"", b"ab", b"abd", b"abcd"])
def test_changed_bytes_are_corrupt_and_named(blobs, store, data):
    file = write(blobs, b"abc")
    damage(store, file.digest, data)
    with pytest.raises(CorruptArtifact) as caught:
        Blobs(store).path(file.digest)
    assert file.digest in str(caught.value)
    assert str(store.local_path(key_of(file.digest))) in str(caught.value)


def test_a_folder_or_a_link_in_place_of_a_blob_is_corrupt(blobs, store, tmp_path):
    file = write(blobs, b"abc")
    path = store.local_path(key_of(file.digest))
    path.unlink()
    path.mkdir()
    with pytest.raises(CorruptArtifact, match="is a folder"):
        blobs.path(file.digest)
    path.rmdir()
    (tmp_path / "same").write_bytes(b"abc")
    path.symlink_to(tmp_path / "same")
    with pytest.raises(CorruptArtifact, match="is a symbolic link"):
        blobs.path(file.digest)
    path.unlink()
    with pytest.raises(CorruptArtifact, match="is missing"):
        blobs.path(file.digest)


@pytest.mark.parametrize("data", [b"", b"abd"], ids=["truncated", "changed"])
def test_writing_the_bytes_again_repairs_a_damaged_blob(blobs, store, data):
    file = write(blobs, b"abc")
    damage(store, file.digest, data)
    write(Blobs(store), b"abc")
    assert Blobs(store).path(file.digest).read_bytes() == b"abc"


def test_writing_the_bytes_again_repairs_a_blob_that_became_a_folder(blobs, store):
    file = write(blobs, b"abc")
    path = store.local_path(key_of(file.digest))
    path.unlink()
    path.mkdir()
    (path / "x").write_bytes(b"")
    write(blobs, b"abc")
    assert blobs.path(file.digest).read_bytes() == b"abc"


def test_missing_looks_at_names_and_sizes_and_reads_nothing(blobs, store):
    whole, short = write(blobs, b"abc"), write(blobs, b"defg")
    damage(store, short.digest, b"de")
    absent = File(digest_of(b"absent"), 6)
    fresh = Blobs(store)
    assert fresh.missing([whole, short, absent]) == {short.digest, absent.digest}
    assert fresh.hashed_bytes == 0


def test_an_added_file_is_copied(blobs, tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    file = blobs.add(tmp_path / "mine")
    assert file == File(digest_of(b"mine"), 4)
    assert (tmp_path / "mine").exists()
    with pytest.raises(Unavailable, match="nothing"):
        blobs.add(tmp_path / "nothing")


class CountingStore(LocalStore):
    def __init__(self, root):
        super().__init__(root)
        self.synced = []

    def sync(self, keys):
        self.synced.append(list(keys))
        super().sync(keys)


def test_sync_covers_what_was_written_since_the_last_one(tmp_path):
    store = CountingStore(tmp_path / "store")
    blobs = Blobs(store)
    first, second = write(blobs, b"1"), write(blobs, b"2")
    blobs.sync()
    third = write(blobs, b"3")
    blobs.sync(also=[first.digest])
    blobs.sync()
    keys = [
        sorted(key_of(f.digest) for f in files) for files in ((first, second), (third, first), ())
    ]
    assert store.synced == keys


def test_a_sync_that_failed_is_tried_again_by_the_next(tmp_path):
    store = CountingStore(tmp_path / "store")
    blobs = Blobs(store)
    file = write(blobs, b"1")
    key = key_of(file.digest)
    store.local_path(key).rename(tmp_path / "away")
    with pytest.raises(LookupError):
        blobs.sync()
    (tmp_path / "away").rename(store.local_path(key))
    blobs.sync()
    assert store.synced == [[key], [key]]


def test_threads_may_share_blobs(blobs):
    files = []

    def work(number):
        for item in range(50):
            data = f"{item % 10}".encode() * (number + 1)
            file = write(blobs, data)
            assert blobs.path(file.digest).read_bytes() == data
            files.append(file)

    threads = [threading.Thread(target=work, args=(number % 2,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(files) == 400
    assert len(set(files)) == 20


class TestFarStore:
    @pytest.fixture
    def far(self, tmp_path):
        return FsspecStore(f"file://{(tmp_path / 'far').as_posix()}")

    def test_a_file_is_fetched_once_and_verified(self, far, tmp_path):
        file = write(Blobs(far, cache=tmp_path / "cache"), b"abc")
        other = Blobs(far, cache=tmp_path / "other")
        path = other.path(file.digest)
        assert path.is_relative_to(tmp_path / "other")
        far.delete([key_of(file.digest)])
        assert other.path(file.digest).read_bytes() == b"abc"
        with pytest.raises(CorruptArtifact, match="is missing from"):
            Blobs(far, cache=tmp_path / "third").path(file.digest)

    def test_a_damaged_copy_is_fetched_again(self, far, tmp_path):
        blobs = Blobs(far, cache=tmp_path / "cache")
        file = write(blobs, b"abc")
        path = blobs.path(file.digest)
        path.chmod(0o600)
        path.write_bytes(b"abd")
        assert Blobs(far, cache=tmp_path / "cache").path(file.digest).read_bytes() == b"abc"

    def test_damage_far_away_is_corrupt(self, far, tmp_path):
        file = write(Blobs(far, cache=tmp_path / "cache"), b"abc")
        there = tmp_path / "far" / key_of(file.digest)
        there.chmod(0o600)
        there.write_bytes(b"abd")
        with pytest.raises(CorruptArtifact, match="other bytes"):
            Blobs(far, cache=tmp_path / "other").path(file.digest)

    def test_what_is_there_is_not_sent_again(self, far, tmp_path):
        write(Blobs(far, cache=tmp_path / "cache"), b"abc")
        again = Blobs(far, cache=tmp_path / "other")
        file = write(again, b"abc")
        assert again.written_bytes == 0
        assert again.path(file.digest).read_bytes() == b"abc"

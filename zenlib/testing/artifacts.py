"""What every artifact store must do, as tests: inherit `ArtifactStoreSuite` and supply `store`."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from zenlib.artifacts.base import ArtifactStore, LocalFiles
from zenlib.artifacts.blobs import Blobs
from zenlib.errors import Conflict, CorruptArtifact, Invalid, NotFound
from zenlib.hashing import digest_of
from zenlib.serializers.base import File

BAD_KEYS = (
    *("", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a/..", ".a", "a/.b"),
    *(
        "a\\b",
        "C:a",
        "c:\\a",
        "a\0b",
        "a b",
        "a\nb",
        "ä",
        "a" * 10_000,
        "a/" * 500 + "a",
        "A",
        "b3/AB",
    ),
    *("a.", "a./b", "con", "nul.txt", "a/com1", "lpt9.tar.gz", "a*", "a?b", "~", "tmp/x"),
)
"""Keys that no store takes: they would mean another place, or another name, on some system."""


class ArtifactStoreSuite:
    """The contract of `ArtifactStore`.

    A subclass overrides the fixture `store` with a fresh, empty store.
    """

    @pytest.fixture
    def store(self) -> ArtifactStore:
        """Supply a fresh, empty store."""
        pytest.fail("supply a fresh, empty store: override the fixture `store`")

    def put(self, store: ArtifactStore, folder: Path, key: str, data: bytes) -> None:
        """Put some bytes."""
        source = folder / "source"
        source.write_bytes(data)
        store.put(key, source)

    def read(self, store: ArtifactStore, folder: Path, key: str) -> bytes:
        """Get some bytes."""
        target = folder / "target"
        store.get(key, target)
        data = target.read_bytes()
        target.chmod(0o600)
        target.unlink()
        return data

    @pytest.mark.parametrize("data", [b"", b"abc", bytes(range(256)) * 8192], ids=len)
    def test_what_was_put_is_what_one_gets(
        self, store: ArtifactStore, tmp_path: Path, data: bytes
    ) -> None:
        self.put(store, tmp_path, "b3/ab/c-d_e.f", data)
        assert self.read(store, tmp_path, "b3/ab/c-d_e.f") == data

    def test_a_key_that_is_there_stays_as_it_is(self, store: ArtifactStore, tmp_path: Path) -> None:
        self.put(store, tmp_path, "a/b", b"first")
        self.put(store, tmp_path, "a/b", b"second")
        assert self.read(store, tmp_path, "a/b") == b"first"
        assert [entry.size_bytes for entry in store.list()] == [5]

    def test_getting_an_unknown_key_is_not_found_and_leaves_no_file(
        self, store: ArtifactStore, tmp_path: Path
    ) -> None:
        with pytest.raises(NotFound, match="a/b"):
            store.get("a/b", tmp_path / "target")
        assert not (tmp_path / "target").exists()

    def test_get_does_not_overwrite(self, store: ArtifactStore, tmp_path: Path) -> None:
        self.put(store, tmp_path, "a", b"abc")
        (tmp_path / "mine").write_bytes(b"mine")
        with pytest.raises(Conflict, match="exists already"):
            store.get("a", tmp_path / "mine")
        assert (tmp_path / "mine").read_bytes() == b"mine"

    def test_putting_a_file_that_is_not_there_is_not_found(
        self, store: ArtifactStore, tmp_path: Path
    ) -> None:
        with pytest.raises(NotFound):
            store.put("a", tmp_path / "nothing")
        assert list(store.list()) == []

    def test_a_list_has_keys_and_sizes_in_order(self, store: ArtifactStore, tmp_path: Path) -> None:
        keys = ["b/1", "a-b", "a/b/c", "a/b.c", "a/b", "ab", "a_b/1"]
        keys.remove("a/b")  # a key is never the folder of another
        for number, key in enumerate(keys):
            self.put(store, tmp_path, key, b"x" * number)
        expected = sorted((key, number) for number, key in enumerate(keys))
        assert [tuple(entry) for entry in store.list()] == expected

    @pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "a/b/", "a/b/c", "b", "x/y"])
    def test_a_list_has_the_keys_that_start_with_the_prefix(
        self, store: ArtifactStore, tmp_path: Path, prefix: str
    ) -> None:
        keys = ["a/b/c", "a/b/d", "a/bc", "ab/c", "b/c"]
        for key in keys:
            self.put(store, tmp_path, key, b"x")
        found = [entry.key for entry in store.list(prefix)]
        assert found == sorted(key for key in keys if key.startswith(prefix))

    def test_deleted_keys_are_gone_and_unknown_ones_ignored(
        self, store: ArtifactStore, tmp_path: Path
    ) -> None:
        self.put(store, tmp_path, "a/b", b"x")
        self.put(store, tmp_path, "a/c", b"y")
        store.delete(["a/b", "never/there"])
        assert [entry.key for entry in store.list()] == ["a/c"]
        self.put(store, tmp_path, "a/b", b"new")
        assert self.read(store, tmp_path, "a/b") == b"new"

    def test_exists_names_the_keys_that_are_there(
        self, store: ArtifactStore, tmp_path: Path
    ) -> None:
        self.put(store, tmp_path, "a/b", b"x")
        assert store.exists(["a/b", "a/c", "a"]) == {"a/b"}
        assert store.exists([]) == set()
        assert store.exists(["a/b"]) == {"a/b"}

    @pytest.mark.parametrize("key", BAD_KEYS, ids=lambda key: ascii(key)[:20])
    def test_a_key_that_is_no_name_everywhere_is_refused(
        self, store: ArtifactStore, tmp_path: Path, key: str
    ) -> None:
        with pytest.raises(Invalid):
            self.put(store, tmp_path, key, b"x")
        with pytest.raises(Invalid):
            store.get(key, tmp_path / "target")
        with pytest.raises(Invalid):
            store.delete([key])
        with pytest.raises(Invalid):
            store.exists([key])
        assert list(store.list()) == []

    def test_of_many_writers_of_one_key_one_wins_whole(
        self, store: ArtifactStore, tmp_path: Path
    ) -> None:
        contents = [bytes([number]) * 200_000 for number in range(8)]
        failures: list[BaseException] = []
        gate = threading.Barrier(8)

        def write(number: int) -> None:
            try:
                source = tmp_path / f"source-{number}"
                source.write_bytes(contents[number])
                gate.wait()
                store.put("a/b", source)
            except BaseException as error:  # noqa: BLE001 - reported below
                failures.append(error)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert self.read(store, tmp_path, "a/b") in contents
        assert [entry.key for entry in store.list()] == ["a/b"]

    def test_local_files_lie_where_the_store_says(
        self, store: ArtifactStore, tmp_path: Path
    ) -> None:
        self.put(store, tmp_path, "a/b", b"x")
        if isinstance(store, LocalFiles):
            assert store.local_path("a/b").read_bytes() == b"x"
            assert store.scratch().is_dir()
            store.sync(["a/b"])

    def test_blobs_come_back_verified(self, store: ArtifactStore, tmp_path: Path) -> None:
        blobs = Blobs(store, cache=tmp_path / "cache")
        with blobs.writer() as out:
            out.write(b"hello")
        assert out.file.digest == digest_of(b"hello")
        fresh = Blobs(store, cache=tmp_path / "other")
        assert fresh.path(out.file.digest).read_bytes() == b"hello"
        unknown = File(digest_of(b"unknown"), 7)
        assert fresh.missing([out.file, unknown]) == {unknown.digest}
        with pytest.raises(CorruptArtifact, match=unknown.digest):
            fresh.path(unknown.digest)
        blobs.sync()

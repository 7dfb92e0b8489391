"""What every serializer must do, as tests: inherit `SerializerSuite` and supply `examples`."""

from __future__ import annotations

import inspect
import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from zenlib.artifacts.blobs import Blobs, key_of
from zenlib.artifacts.local import LocalStore, remove
from zenlib.errors import CorruptArtifact
from zenlib.serializers.base import Content, Serializer
from zenlib.shelf import Shelf

_FLIPS = 200
_CODE_EVENTS = frozenset(
    {"exec", "pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen"}
)
_CHILD = """
import json, runpy, sys
suite = runpy.run_path(sys.argv[1])[sys.argv[2]]()
from pathlib import Path
from zenlib.artifacts.blobs import Blobs
from zenlib.artifacts.local import LocalStore
from zenlib.shelf import Shelf
shelf = Shelf(Blobs(LocalStore(sys.argv[3])), key_path=Path(sys.argv[4]))
print(json.dumps({name: shelf.digest(value) for name, value in suite.examples().items()}))
"""


class SerializerSuite:
    """The contract of `Serializer`.

    A subclass sets `serializer`, and overrides `examples`, and `same` if `==` will not do.
    """

    serializer: ClassVar[type[Serializer]]
    stable: ClassVar[bool] = True
    """Whether equal values have equal digests in every process."""

    def examples(self) -> Mapping[str, Any]:
        """Return values by name, all of which the serializer keeps; the same in every process."""
        pytest.fail("supply values that the serializer keeps: override `examples`")

    def same(self, a: Any, b: Any) -> bool:
        """Return whether two values are equal and of one type."""
        return type(a) is type(b) and bool(a == b)

    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalStore:
        """Supply the store that the values lie in."""
        return LocalStore(tmp_path / "store")

    @pytest.fixture
    def shelf(self, store: LocalStore, tmp_path: Path) -> Shelf:
        """Supply a shelf of its own key for pickles."""
        return Shelf(Blobs(store), key_path=tmp_path / "key")

    def fresh(self, store: LocalStore, tmp_path: Path) -> Shelf:
        """Return a shelf that has verified nothing yet, as another process would have it."""
        return Shelf(Blobs(store), key_path=tmp_path / "key")

    def test_what_was_saved_is_what_one_loads(
        self, shelf: Shelf, store: LocalStore, tmp_path: Path
    ) -> None:
        for name, value in self.examples().items():
            content = shelf.save(value).content
            assert content.serializer == self.serializer.name, name
            again = Content.from_json(json.loads(json.dumps(content.to_json())))
            assert again.digest == content.digest, name
            assert self.same(value, self.fresh(store, tmp_path).load(again)), name

    def test_equal_values_have_equal_digests(self, shelf: Shelf) -> None:
        for (name, one), two in zip(self.examples().items(), self.examples().values(), strict=True):
            content = shelf.save(one).content
            if self.stable:
                assert shelf.digest(two) == content.digest, name
                assert shelf.digest(shelf.load(content)) == content.digest, name

    def test_saving_again_writes_no_new_bytes(self, shelf: Shelf) -> None:
        if not self.stable:
            pytest.skip("the bytes of equal values may differ")
        for value in self.examples().values():
            shelf.save(value)
        written = shelf.blobs.written_bytes
        for value in self.examples().values():
            shelf.save(value)
        assert shelf.blobs.written_bytes == written

    def test_the_digest_alone_stores_nothing(self, shelf: Shelf, store: LocalStore) -> None:
        for value in self.examples().values():
            shelf.digest(value)
        assert list(store.list()) == []

    def test_another_process_finds_the_same_digests(self, shelf: Shelf, tmp_path: Path) -> None:
        if not self.stable:
            pytest.skip("the bytes of equal values may differ")
        expected = {name: shelf.digest(value) for name, value in self.examples().items()}
        here = inspect.getfile(type(self))
        ran = subprocess.run(
            [
                *(sys.executable, "-W", "ignore", "-c", _CHILD, here, type(self).__name__),
                *(str(tmp_path / "other"), str(tmp_path / "key")),
            ],
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert ran.returncode == 0, ran.stderr.decode()
        assert json.loads(ran.stdout) == expected

    def test_every_flipped_bit_is_noticed(
        self, shelf: Shelf, store: LocalStore, tmp_path: Path
    ) -> None:
        for name, value in self.examples().items():
            content = shelf.save(value).content
            files = [store.local_path(key_of(file.digest)) for file in content.blobs()]
            files = [file for file in files if file.stat().st_size]
            noticed = 0
            chance = random.Random(name)
            for _ in range(_FLIPS if files else 0):
                noticed += self._flip_one_bit(chance, files, content, store, tmp_path)
            assert noticed == (_FLIPS if files else 0), name

    def _flip_one_bit(
        self,
        chance: random.Random,
        files: list[Path],
        content: Content,
        store: LocalStore,
        tmp_path: Path,
    ) -> bool:
        path = chance.choice(files)
        path.chmod(0o600)
        good = path.read_bytes()
        bad = bytearray(good)
        bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        path.write_bytes(bad)
        try:
            self._touch(self.fresh(store, tmp_path).load(content))
        except CorruptArtifact as error:
            return str(path) in str(error)
        finally:
            path.write_bytes(good)
        return False

    def _touch(self, value: Any) -> None:
        """Look at all of a value that is loaded piece by piece."""

    @pytest.mark.parametrize("damage", ["halved", "emptied", "deleted", "folder", "symlink"])
    def test_a_damaged_file_is_corrupt_and_named(
        self, shelf: Shelf, store: LocalStore, tmp_path: Path, damage: str
    ) -> None:
        for value in self.examples().values():
            content = shelf.save(value).content
            for path in {store.local_path(key_of(file.digest)) for file in content.blobs()}:
                good = path.read_bytes()
                if not good and damage in ("halved", "emptied"):
                    continue
                _damage(path, damage, tmp_path / "elsewhere")
                with pytest.raises(CorruptArtifact, match="b3:"):
                    self._touch(self.fresh(store, tmp_path).load(content))
                remove(path)
                path.write_bytes(good)

    def test_loading_runs_no_code(self, shelf: Shelf) -> None:
        if self.serializer.runs_code:
            pytest.skip("it may run code, and says so in `runs_code`")
        for name, value in self.examples().items():
            content = shelf.save(value).content
            self._touch(shelf.load(content))  # the first time, modules are imported
            with _Watch() as watch:
                self._touch(shelf.load(content))
            assert watch.seen == [], name


class _Watch:
    """Notes the events by which code is run; hooks cannot be removed, so one is used for all."""

    _current: ClassVar[_Watch | None] = None
    _hooked: ClassVar[bool] = False

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __enter__(self) -> _Watch:
        if not _Watch._hooked:
            sys.addaudithook(_Watch._hook)
            _Watch._hooked = True
        _Watch._current = self
        return self

    def __exit__(self, *_: object) -> None:
        _Watch._current = None

    @staticmethod
    def _hook(event: str, _: tuple[Any, ...]) -> None:
        if _Watch._current is not None and event in _CODE_EVENTS:
            _Watch._current.seen.append(event)


def _damage(path: Path, how: str, elsewhere: Path) -> None:
    path.chmod(0o600)
    good = path.read_bytes()
    if how == "halved":
        path.write_bytes(good[: len(good) // 2])
    elif how == "emptied":
        path.write_bytes(b"")
    else:
        path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "symlink":
        elsewhere.write_bytes(good)
        path.symlink_to(elsewhere)

"""Save values and load them: picks the serializer, stores its files, keeps the rule on pickles."""

from __future__ import annotations

import atexit
import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from zenlib import values
from zenlib.artifacts.blobs import Blobs, HashingFile, copy_into
from zenlib.artifacts.local import remove_tree
from zenlib.errors import CorruptArtifact, Invalid, NotSerializable, Unavailable, ZenlibError
from zenlib.hashing import Digest, compact_json
from zenlib.instances import type_name
from zenlib.serializers import registry
from zenlib.serializers.base import Content, File, Serializer
from zenlib.serializers.containers import Container
from zenlib.serializers.json import Json
from zenlib.serializers.pickle import REMEDY, Pickle, Rule, check_lasting

MAX_DEPTH = 100
"""How deep containers of values that are not all data may be nested."""

MAX_PICKLES = 16
"""A container with more values that need pickle is pickled as a whole."""


@dataclass(frozen=True)
class Kept:
    """A saved value: how to load it, and facts about it for people."""

    content: Content
    metadata: dict[str, Any]


class Shelf:
    """Saves Python values into blobs and loads them again.

    Safe to share between threads.

    >>> from zenlib.artifacts.local import LocalStore
    >>> shelf = Shelf(Blobs(LocalStore(tempfile.mkdtemp())))
    >>> kept = shelf.save({"rmse": 0.25})
    >>> kept.content.serializer, shelf.load(kept.content)
    ('json', {'rmse': 0.25})
    """

    def __init__(self, blobs: Blobs, *, pickle: Rule = "own", key_path: Path | None = None) -> None:
        """Open a shelf.

        Args:
            pickle: the setting of this name: which pickles may be written and loaded.
            key_path: the file of the key that signs pickles; by default in the user's data folder.

        Raises:
            Invalid: no such rule.
        """
        self.blobs = blobs
        self._pickle = Pickle(pickle, key_path)

    def save(self, value: Any, *, place: str = "a value") -> Kept:
        """Store a value with the first serializer that can keep it exactly.

        Args:
            place: whose value it is, for errors: `step 'fit', output 'model'`.

        Raises:
            NotSerializable: none can; the message names the place, the type and the remedies.
            Unavailable: the bytes cannot be stored; nothing half-written is left.
        """
        content, metadata = self._save(value, place, keep=True)
        return Kept(content, metadata)

    def digest(self, value: Any, *, place: str = "a value") -> Digest:
        """Return the digest that `save` would give, without storing anything.

        Raises:
            NotSerializable: as `save`.
        """
        content, _ = self._save(value, place, keep=False)
        return content.digest

    def save_batches(self, batches: Iterable[Any], *, place: str = "a value") -> Kept:
        """Store what an iterator yields, one batch in memory at a time; loads as `Batches`.

        Raises:
            NotSerializable: as `save`, naming the batch.
        """
        writer = _Writer(self, keep=True, depth=0)
        for number, batch in enumerate(batches):
            content, _ = self._save(batch, f"{place}, batch {number}", keep=True)
            writer.parts.append(content)
        kind = "zenlib.serializers.containers.Batches"
        return Kept(
            Content("batches", 1, kind, parts=tuple(writer.parts)), {"batches": len(writer.parts)}
        )

    def load(self, content: Content, *, place: str = "") -> Any:
        """Return the value of a content; every byte of it is verified first.

        Raises:
            CorruptArtifact: stored bytes are missing, or are not those that were recorded.
            Denied: loading could run code, and the setting `pickle` forbids it.
            Invalid: a serializer, package or class that the value needs is not here.
        """
        try:
            return self._load(content)
        except ZenlibError as error:
            if not place:
                raise
            raise type(error)(f"{place}: {error}") from error

    def split(self, content: Content) -> list[Content] | None:
        """Return the elements of a stored list or tuple, unloaded; None if it is neither.

        An element has the digest that it would have if it were saved by itself.

        Raises:
            CorruptArtifact: the list's own bytes are missing or changed.
        """
        if content.serializer == "batches":
            return list(content.parts)
        if content.serializer == Container.name:
            return list(content.parts) if Container.is_sequence(content) else None
        if content.serializer != Json.name:
            return None
        data = values.parse_data(Json().text(content, _Reader(self, content)))
        if isinstance(data, dict) and data.get("$") == "tuple":
            data = data["v"]
        return [self._element(item) for item in data] if isinstance(data, list) else None

    def missing(self, contents: Iterable[Content]) -> set[Digest]:
        """Return the digests of blobs of these contents that are not there, or not in full size."""
        return self.blobs.missing(file for content in contents for file in content.blobs())

    def _element(self, data: Any) -> Content:
        writer = _Writer(self, keep=True, depth=1)
        text = compact_json(data).encode("ascii")
        kept = Json().keep(text, writer)
        return Content(Json.name, Json.format, _type_of(data), kept, writer.files)

    def _save(self, value: Any, place: str, *, keep: bool) -> tuple[Content, dict[str, Any]]:
        try:
            return self.dump(value, keep=keep, depth=0)
        except NotSerializable as error:
            raise NotSerializable(
                f"{place}: a {type_name(value)} cannot be kept: {error}; {REMEDY}"
            ) from error

    def dump(self, value: Any, *, keep: bool, depth: int) -> tuple[Content, dict[str, Any]]:
        """Store a value or a part of one; what `save` and a serializer's `Writer.part` call."""
        if depth > MAX_DEPTH:
            raise _AsAWhole(f"nested deeper than {MAX_DEPTH} containers, or contains itself")
        reasons: list[str] = []
        for serializer in self._candidates(value):
            writer = _Writer(self, keep=keep, depth=depth)
            try:
                data = serializer.dump(value, writer)
            except NotSerializable as error:
                if depth and isinstance(error, _AsAWhole):
                    raise
                if isinstance(error, _LostPath):  # nor may what holds it be pickled
                    raise
                reasons.append(str(error))
                continue
            content = Content(
                serializer.name,
                serializer.format,
                _type_name(value),
                data,
                writer.files,
                tuple(writer.parts),
            )
            return content, writer.facts
        check_lasting(value)
        if self._pickle.rule == "never":
            reasons.append("it would need pickle, and the setting pickle = 'never' forbids that")
        reason = "; ".join(dict.fromkeys(reasons))
        kind = _LostPath if isinstance(value, Path) else NotSerializable
        raise kind(f"a {type_name(value)} in it: {reason}" if depth else reason)

    def _candidates(self, value: Any) -> Iterator[Serializer]:
        yield from registry.candidates(value)
        if self._pickle.fits(value):
            yield self._pickle

    def _load(self, content: Content) -> Any:
        name = content.serializer
        serializer = self._pickle if name == Pickle.name else registry.named(name)
        if content.format > serializer.format:
            raise Invalid(
                f"a {content.type} was written by format {content.format} of serializer {name!r}, "
                f"and this version reads up to {serializer.format}: upgrade the package that has it"
            )
        try:
            return serializer.load(content, _Reader(self, content))
        except (ZenlibError, MemoryError, RecursionError):
            raise
        except ImportError as error:
            raise Invalid(f"a {content.type} needs a package that is not here: {error}") from error
        except Exception as error:  # each format's own reader raises its own errors
            raise CorruptArtifact(
                f"serializer {name!r} cannot read this {content.type}: {error}; compute it again"
            ) from error


class _LostPath(NotSerializable):
    """A path whose content cannot be kept; its name alone would be another value."""


class _AsAWhole(NotSerializable):
    """Parts cannot be kept one by one; the outermost value may still be pickled as a whole."""


class _Writer:
    """Where a serializer puts files and parts: into blobs, or only through their hash."""

    def __init__(self, shelf: Shelf, *, keep: bool, depth: int) -> None:
        self._shelf = shelf
        self._keep = keep
        self._depth = depth
        self._pickles = 0
        self.files: dict[str, File] = {}
        self.parts: list[Content] = []
        self.facts: dict[str, Any] = {}

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        if self._keep:
            with self._shelf.blobs.writer() as out:
                yield cast(BinaryIO, out)
            self.files[name] = out.file
        else:
            hashing = HashingFile()
            with io.BufferedWriter(hashing) as file:
                yield cast(BinaryIO, file)
            self.files[name] = hashing.written

    def written(self, name: str) -> File:
        return self.files[name]

    def add(self, name: str, path: Path) -> None:
        with self.open(name) as file:
            copy_into(path, file)

    def part(self, value: object) -> Content:
        content, _ = self._shelf.dump(value, keep=self._keep, depth=self._depth + 1)
        self._pickles += content.serializer == Pickle.name
        if self._pickles > MAX_PICKLES:
            raise _AsAWhole(f"more than {MAX_PICKLES} values in it need pickle")
        self.parts.append(content)
        return content

    def describe(self, **facts: object) -> None:
        self.facts.update(facts)


class _Reader:
    """Where a serializer finds verified files and parts."""

    def __init__(self, shelf: Shelf, content: Content) -> None:
        self._shelf = shelf
        self._content = content

    def path(self, name: str) -> Path:
        file = self._content.files.get(name)
        if file is None:
            raise Invalid(f"the record of this {self._content.type} lacks its file {name!r:.200}")
        return self._shelf.blobs.path(file.digest)

    def folder(self) -> Path:
        try:
            folder = tempfile.mkdtemp(prefix="loaded-", dir=self._shelf.blobs.scratch())
        except (Unavailable, OSError):  # a store that can only be read
            folder = tempfile.mkdtemp(prefix="zenlib-")
        atexit.register(_forget, Path(folder), os.getpid())
        return Path(folder)

    def part(self, content: Content) -> Any:
        return self._shelf._load(content)


def _forget(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child ends too
        remove_tree(folder)


def _type_name(value: object) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _type_of(data: Any) -> str:
    """Return the type of encoded data; when its class is not here, the tag that stands for it."""
    try:
        return _type_name(values.decode(data))
    except ZenlibError:
        return str(data["$"])

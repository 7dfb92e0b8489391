"""What a serializer must do, and what a stored value looks like."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Protocol

from zenlib.errors import Invalid
from zenlib.hashing import Digest, digest_json, parse_digest


@dataclass(frozen=True)
class File:
    """One stored file of a value: its digest and its size."""

    digest: Digest
    size_bytes: int


@dataclass(frozen=True)
class Content:
    """A stored value: which serializer wrote it, and its data, files and parts.

    Attributes:
        serializer: the name of the serializer that can load it.
        format: the version of that serializer's format.
        type: the Python type of the value, as `module.Name`, for people; not part of the digest.
        data: JSON data, kept in the metadata record itself.
        files: name -> file. Names are relative, with `/`, and never leave the value's folder.
        parts: the values that a container holds, each stored by its own serializer.
    """

    serializer: str
    format: int
    type: str
    data: Any = None
    files: dict[str, File] = field(default_factory=dict)
    parts: tuple[Content, ...] = ()

    @cached_property
    def digest(self) -> Digest:
        """The digest of everything that `load` depends on: equal digests are equal values."""
        return digest_json(
            [
                self.serializer,
                self.format,
                self.data,
                {name: file.digest for name, file in self.files.items()},
                [part.digest for part in self.parts],
            ]
        )

    @cached_property
    def size_bytes(self) -> int:
        """The size of all files; data that lies in the record counts nothing."""
        own = sum(file.size_bytes for file in self.files.values())
        return own + sum(part.size_bytes for part in self.parts)

    def blobs(self) -> Iterator[File]:
        """Yield every file of the value and of its parts; one may come several times."""
        yield from self.files.values()
        for part in self.parts:
            yield from part.blobs()

    def to_json(self) -> dict[str, Any]:
        """Return the content as JSON data."""
        found: dict[str, Any] = {
            "serializer": self.serializer,
            "format": self.format,
            "type": self.type,
        }
        if self.data is not None:
            found["data"] = self.data
        if self.files:
            found["files"] = {n: [f.digest, f.size_bytes] for n, f in self.files.items()}
        if self.parts:
            found["parts"] = [part.to_json() for part in self.parts]
        return found

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Content:
        """Return what `to_json` was called on.

        Raises:
            Invalid: the data is not a content.
        """
        try:
            return cls(
                serializer=found["serializer"],
                format=found["format"],
                type=found["type"],
                data=found.get("data"),
                files={
                    name: File(parse_digest(digest), int(size))
                    for name, (digest, size) in found.get("files", {}).items()
                },
                parts=tuple(cls.from_json(part) for part in found.get("parts", ())),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Invalid(f"not the record of a stored value: {error}") from error


class Writer(Protocol):
    """Where a serializer puts the files and parts of a value."""

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a new file of the value for writing; what is written is hashed on the way."""
        ...

    def written(self, name: str) -> File:
        """Return the digest and size of a file that was written before."""
        ...

    def add(self, name: str, path: Path) -> None:
        """Add a copy of an existing file."""
        ...

    def part(self, value: object) -> Content:
        """Store a part of the value with the serializer that fits it."""
        ...

    def describe(self, **facts: object) -> None:
        """Note facts about the value for people (rows, shape, dtype); not part of the digest."""
        ...


class Reader(Protocol):
    """Where a serializer finds the files and parts of a value; every byte has been verified."""

    def path(self, name: str) -> Path:
        """Return the path of a file, read-only and good for memory-mapping."""
        ...

    def folder(self) -> Path:
        """Return a new folder for files that are made while loading; it lives as the process."""
        ...

    def part(self, content: Content) -> Any:
        """Load a part of the value."""
        ...


class Serializer(ABC):
    """Turns values of one kind into JSON data, files and parts, and back.

    A round trip gives an equal value of the same type. One that could run code while loading
    says so in `runs_code`; the setting `pickle` then decides whether it may.

    Attributes:
        name: kept with each value, so it never changes.
        format: the version that `dump` writes; `load` reads this and all older ones.
        runs_code: whether loading hostile bytes could run code.
    """

    name: ClassVar[str]
    format: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    @abstractmethod
    def fits(self, value: object) -> bool:
        """Whether this serializer can keep the value exactly. Cheap, and imports nothing."""

    @abstractmethod
    def dump(self, value: Any, writer: Writer) -> Any:
        """Write the value; what is returned is kept as the content's JSON data.

        Raises:
            NotSerializable: some part of the value cannot be kept exactly.
        """

    @abstractmethod
    def load(self, content: Content, reader: Reader) -> Any:
        """Return the value that `dump` wrote."""

"""What an artifact store must do: keep files under relative keys, each written once."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from zenlib.errors import Invalid


class Entry(NamedTuple):
    """One stored file: its key and its size."""

    key: str
    size_bytes: int


class ArtifactStore(ABC):
    """Keeps files under relative keys. Knows nothing of Python objects, digests or runs.

    Keys are lower-case ASCII letters, digits, `-`, `_`, `.` and `/`; each part begins with a
    letter or digit, so that they are names, and no two the same name, on every file system;
    `check_key` refuses others.
    """

    @abstractmethod
    def put(self, key: str, source: Path) -> None:
        """Keep a copy of `source` under `key`; a key that is there already stays as it is.

        Readers see all of the file or nothing. The store may move `source` instead of copying
        it when both lie on one file system; the caller does not use it again.

        Raises:
            Unavailable: it could not be written (no space, no rights, no network); nothing of it
                is left under the key.
        """

    @abstractmethod
    def get(self, key: str, target: Path) -> None:
        """Copy the file to `target`, which must not exist.

        Raises:
            NotFound: nothing is kept under `key`.
        """

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Yield every entry whose key starts with `prefix`, in the order of their keys."""

    @abstractmethod
    def delete(self, keys: Sequence[str]) -> None:
        """Remove the files; unknown keys are ignored."""

    @abstractmethod
    def exists(self, keys: Sequence[str]) -> set[str]:
        """Return those of the keys under which a file is kept."""

    def close(self) -> None:  # noqa: B027 - most adapters have nothing to give back
        """Give back connections. A closed store must not be used."""


@runtime_checkable
class LocalFiles(Protocol):
    """An optional ability: files that can be opened and memory-mapped where they lie."""

    def local_path(self, key: str) -> Path:
        """Return where the file of `key` lies; it may be missing."""
        ...

    def scratch(self) -> Path:
        """Return a folder on the same file system, for files that are about to be put."""
        ...

    def sync(self, keys: Sequence[str]) -> None:
        """Return when these files and their names would survive a loss of power."""
        ...


_PART = r"[a-z0-9](?:[a-z0-9._-]{0,198}[a-z0-9_-])?"
_KEY = re.compile(rf"{_PART}(?:/{_PART})*")
_RESERVED = re.compile(
    r"(?:^|/)(?:con|prn|aux|nul|com\d|lpt\d)(?:[./]|$)"
)  # device names on Windows


def check_key(key: str) -> str:
    """Return `key`; every adapter calls it before it touches a file.

    Raises:
        Invalid: it is not a key.

    >>> check_key("b3/ab/cdef")
    'b3/ab/cdef'
    """
    if len(key) > 800 or not _KEY.fullmatch(key) or _RESERVED.search(key):
        raise Invalid(
            f"not a key of an artifact store: {key!r:.200}; parts of lower-case letters, digits, "
            "'-', '_' and '.', divided by '/', none of them a device name"
        )
    return key

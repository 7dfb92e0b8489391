"""Content addresses over any artifact store: hashed while written, verified when read."""

from __future__ import annotations

import io
import os
import stat
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, cast

from blake3 import blake3

from zenlib.artifacts.base import ArtifactStore, LocalFiles
from zenlib.artifacts.local import LocalStore, create, remove, temporary, unavailable
from zenlib.errors import CorruptArtifact, NotFound, Unavailable
from zenlib.hashing import Digest, parse_digest
from zenlib.places import home
from zenlib.serializers.base import File

_CHUNK = 4 << 20  # bytes; large enough for BLAKE3 to use several threads
_BESIDE = 1 << 20  # from this size on, a second thread hashes while the first one writes
_BUFFER = 256 << 10
_AT_ONCE = 1 << 30  # some systems write no more than 2 GiB at once


def key_of(digest: Digest) -> str:
    """Return the key of a digest in an artifact store: `b3/<2 digits>/<62 digits>`.

    Raises:
        Invalid: it is not a digest.
    """
    text = parse_digest(digest)
    return f"b3/{text[3:5]}/{text[5:]}"


class _Files(LocalFiles, Protocol):
    """A store whose files lie on this machine."""

    def put(self, key: str, source: Path) -> None: ...
    def delete(self, keys: Sequence[str]) -> None: ...


class Blobs:
    """Keeps bytes under their own digest, once, and gives back only what still has that digest.

    Safe to share between threads. The first read of a blob by this object hashes all of it; a
    blob whose file has not changed since (same inode, size and times) is not hashed again, nor is
    one that this object wrote.

    Attributes:
        store: where the bytes are.
        written_bytes: how many new bytes were put into the store.
        hashed_bytes: how many bytes were hashed, for writing and for verifying.

    >>> import tempfile
    >>> blobs = Blobs(LocalStore(tempfile.mkdtemp()))
    >>> with blobs.writer() as out:
    ...     _ = out.write(b"abc")
    >>> out.file.size_bytes, blobs.path(out.file.digest).read_bytes()
    (3, b'abc')
    """

    def __init__(self, store: ArtifactStore, *, cache: Path | None = None) -> None:
        """Open `store`; for one that is far away, `cache` is the folder for copies of its files."""
        self.store = store
        self.written_bytes = 0
        self.hashed_bytes = 0
        self._far = not isinstance(store, LocalFiles)
        self._files = cast(
            _Files,
            LocalStore(cache or home().cache / "blobs", disposable=True) if self._far else store,
        )
        self._known: dict[str, tuple[int, ...]] = {}
        self._unsynced: set[str] = set()
        self._lock = threading.Lock()

    def scratch(self) -> Path:
        """Return a folder for unfinished files, on the file system where blobs are kept."""
        return self._files.scratch()

    def writer(self) -> BlobWriter:
        """Return a binary file to be used in a `with`; afterwards its `file` names what it got.

        Raises:
            Unavailable: while writing or at the end: the bytes cannot be kept; none are.
        """
        return BlobWriter(self)

    def add(self, path: Path) -> File:
        """Keep a copy of a file, hashed while it is copied.

        Raises:
            Unavailable: it cannot be read, or its bytes cannot be kept.
        """
        with self.writer() as out:
            copy_into(path, out)
        return out.file

    def path(self, digest: Digest) -> Path:
        """Return a file of this machine that has been verified to have this digest; read-only.

        Raises:
            CorruptArtifact: the bytes are missing or are not those that were recorded.
            Unavailable: the store cannot be reached.
        """
        key = key_of(digest)
        path = self._files.local_path(key)
        if self._far and self._fault(digest, path) is not None:
            self._fetch(key, digest)
        fault = self._fault(digest, path)
        if fault is not None:
            raise CorruptArtifact(
                f"{digest} in {self.store!r} {fault}: {path}; compute the artifact again"
            )
        return path

    def missing(self, files: Iterable[File]) -> set[Digest]:
        """Return the digests of those files that are not kept, or not with their size.

        Cheap: looks at names and sizes, reads nothing.
        """
        wanted = {key_of(file.digest): file for file in files}
        if self._far:
            there = self.store.exists(list(wanted))
            return {file.digest for key, file in wanted.items() if key not in there}
        return {
            file.digest
            for key, file in wanted.items()
            if _file_size(self._files.local_path(key)) != file.size_bytes
        }

    def sync(self, also: Iterable[Digest] = ()) -> None:
        """Return when what was written since the last `sync`, and `also`, survives a power loss.

        Raises:
            Unavailable: the disk refused; the next call tries again.
        """
        with self._lock:
            keys = self._unsynced.union(key_of(digest) for digest in also)
        if not self._far:
            self._files.sync(sorted(keys))
        with self._lock:
            self._unsynced -= keys

    # What a writer and a verified read are made of.

    def keep(self, file: File, temp: Path) -> None:
        """Put a finished temporary file under its digest, unless the same bytes are there."""
        key = key_of(file.digest)
        path = self._files.local_path(key)
        here = _file_size(path) == file.size_bytes and self._fault(file.digest, path) is None
        known = bool(self.store.exists([key])) if self._far else here
        if self._far and not known:
            self.store.put(key, temp)
        if not here and temp.exists():
            self._place(key, path, temp)
        found = _identity(path)
        with self._lock:
            self.written_bytes += 0 if known else file.size_bytes
            self._unsynced.add(key)
            if found is not None:
                self._known[file.digest] = found

    def _place(self, key: str, path: Path, temp: Path) -> None:
        """Put a file among those of this machine, in the place of a damaged one if need be."""
        if os.path.lexists(path):
            self._files.delete([key])
        self._files.put(key, temp)

    def count_hashed(self, size_bytes: int) -> None:
        """Add to `hashed_bytes`."""
        with self._lock:
            self.hashed_bytes += size_bytes

    def _fetch(self, key: str, digest: Digest) -> None:
        temp = temporary(self.scratch())
        try:
            self.store.get(key, temp)
            self._place(key, self._files.local_path(key), temp)
        except NotFound as error:
            raise CorruptArtifact(
                f"{digest} is missing from {self.store!r}; compute the artifact again"
            ) from error
        finally:
            remove(temp)

    def _fault(self, digest: Digest, path: Path) -> str | None:
        """Return what is wrong with a blob's file, in words, or None."""
        before = _identity(path)
        if before is None:
            return _why_no_file(path)
        if self._known.get(digest) == before:
            return None
        try:
            found = self._hash(path)
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        if found != digest[3:]:
            return f"has other bytes than were recorded ({before[2]} bytes, b3:{found[:12]}…)"
        self._known[digest] = before
        return None

    def _hash(self, path: Path) -> str:
        hasher = blake3(max_threads=blake3.AUTO)
        buffer = memoryview(bytearray(_CHUNK))
        size = 0
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                hasher.update(buffer[:count])
                size += count
        self.count_hashed(size)
        return str(hasher.hexdigest())


class HashingFile(io.RawIOBase):
    """A binary file that hashes what it is given and writes it to a descriptor, or nowhere."""

    def __init__(self, descriptor: int | None = None, path: Path | None = None) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._path = path or Path()
        self._hasher = blake3() if descriptor is not None else blake3(max_threads=blake3.AUTO)
        self.size_bytes = 0

    def writable(self) -> bool:
        """Whether it can be written: always."""
        return True

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self.size_bytes

    def write(self, data: Any, /) -> int:
        """Hash and write all of `data`.

        Raises:
            Unavailable: the file system refused; the message names the path and the bytes.
        """
        with memoryview(data) as view, view.cast("B") as flat:
            if self._descriptor is None:
                self._hasher.update(flat)
            elif flat.nbytes < _BESIDE:
                self._hasher.update(flat)
                self._write(flat)
            else:
                self._write_beside(flat)
            self.size_bytes += flat.nbytes
            return flat.nbytes

    def close(self) -> None:
        """Close the descriptor; what comes later goes nowhere."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            try:
                os.close(descriptor)
            except OSError as error:  # some file systems report a full disk only here
                raise unavailable(error, self._path, self.size_bytes) from error
        super().close()

    @property
    def written(self) -> File:
        """The digest and size of everything written so far."""
        return File(Digest("b3:" + self._hasher.hexdigest()), self.size_bytes)

    def _write_beside(self, flat: memoryview) -> None:
        """Write while another thread hashes: both leave Python's lock to each other."""
        hashing = threading.Thread(target=self._hasher.update, args=(flat,), name="zenlib-hash")
        hashing.start()
        try:
            self._write(flat)
        finally:
            hashing.join()

    def _write(self, flat: memoryview) -> None:
        assert self._descriptor is not None
        done = 0
        try:
            while done < flat.nbytes:
                done += os.write(self._descriptor, flat[done : done + _AT_ONCE])
        except OSError as error:
            raise unavailable(error, self._path, self.size_bytes + flat.nbytes) from error


class BlobWriter(io.BufferedWriter):
    """A temporary file that becomes a blob when its `with` ends well, and vanishes otherwise."""

    file: File

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._temp = temporary(blobs.scratch())
        try:
            self._hashing = HashingFile(create(self._temp), self._temp)
        except OSError as error:
            raise unavailable(error, self._temp) from error
        super().__init__(self._hashing, _BUFFER)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Keep what was written, or drop it when the body raised."""
        try:
            if kind is None:
                if not self.closed:
                    self.flush()
                self._hashing.close()
                self.file = self._hashing.written
                self._blobs.count_hashed(self.file.size_bytes)
                self._blobs.keep(self.file, self._temp)
        finally:
            self._hashing.close()
            remove(self._temp)


def copy_into(path: Path, out: BinaryIO | io.BufferedIOBase | io.RawIOBase) -> None:
    """Copy the bytes of a file into an open one.

    Raises:
        Unavailable: the file cannot be read.
    """
    buffer = memoryview(bytearray(_CHUNK))
    try:
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                out.write(buffer[:count])
    except Unavailable:
        raise
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror or error}") from error


def _identity(path: Path) -> tuple[int, ...] | None:
    """Return what changes when a file is replaced or written to; None if it is no plain file."""
    try:
        found = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _file_size(path: Path) -> int | None:
    found = _identity(path)
    return found[2] if found else None


def _why_no_file(path: Path) -> str:
    if path.is_symlink():
        return "is a symbolic link"
    if path.is_dir():
        return "is a folder"
    return "is missing"

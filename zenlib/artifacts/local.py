"""Artifacts in a folder of this machine, memory-mapped where they lie."""

# What the methods promise stands on ArtifactStore and LocalFiles.
# ruff: noqa: D102

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from zenlib.artifacts.base import ArtifactStore, Entry, check_key
from zenlib.errors import Conflict, Invalid, NotFound, Unavailable

_SCRATCH = "tmp"
_ABANDONED_S = {"file": 2 * 24 * 3600, "folder": 30 * 24 * 3600}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This folder holds copies of zenlib's artifacts; they are fetched again when needed.\n"
)


class LocalStore(ArtifactStore):
    """Keeps each file under its key below one folder, read-only once it is there.

    A put is a rename, so readers see all of a file or nothing. Nothing is forced to disk before
    `sync`. The folder is made by the first put; reading makes nothing.

    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> store = LocalStore(root / "store")
    >>> _ = (root / "a").write_bytes(b"abc")
    >>> store.put("b3/00/11", root / "a")
    >>> list(store.list())
    [Entry(key='b3/00/11', size_bytes=3)]
    """

    def __init__(self, root: str | os.PathLike[str], *, disposable: bool = False) -> None:
        """Open a store.

        Args:
            root: its folder.
            disposable: it holds only copies, so backup programs are told to leave it out.
        """
        self.root = Path(root).absolute()
        self._disposable = disposable
        self._ready = False
        self._made_root = False

    def __repr__(self) -> str:
        return f"LocalStore({str(self.root)!r})"

    def put(self, key: str, source: Path) -> None:
        target = self.local_path(key)
        try:
            temp = source if source.parent == self.scratch() else self._copy(source)
            try:
                temp.chmod(0o444)
                self._make_folder(target.parent)
                move_new(temp, target)
            finally:
                remove(temp)
        except Unavailable:
            raise
        except FileNotFoundError as error:
            raise NotFound(f"no file {source} to put under {key}") from error
        except OSError as error:
            raise unavailable(error, target, _size(source)) from error

    def get(self, key: str, target: Path) -> None:
        source = self.local_path(key)
        if not self.exists([key]):
            raise NotFound(f"nothing is kept under {key} in {self.root}")
        try:
            os.close(create(target))
            shutil.copyfile(source, target)
        except FileExistsError as error:
            raise Conflict(f"cannot copy {key} to {target}: it exists already") from error
        except OSError as error:
            remove(target)
            raise unavailable(error, target, _size(source)) from error

    def list(self, prefix: str = "") -> Iterator[Entry]:
        if prefix.startswith("/") or ".." in prefix:
            raise Invalid(f"not the beginning of a key: {prefix!r:.200}")
        folder, _, _ = prefix.rpartition("/")
        yield from self._walk(folder + "/" if folder else "", prefix)

    def _walk(self, folder: str, prefix: str) -> Iterator[Entry]:
        for name, entry in _sorted_entries(self.root / folder):
            key = folder + name
            if key == f"{_SCRATCH}/" or not (key.startswith(prefix) or prefix.startswith(key)):
                continue
            if name.endswith("/"):
                yield from self._walk(key, prefix)
            elif key.startswith(prefix) and _is_key(key):
                yield Entry(key, entry.stat(follow_symlinks=False).st_size)

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            path = self.local_path(key)
            try:
                remove(path)
            except OSError as error:
                raise Unavailable(f"cannot delete {path}: {error.strerror}") from error

    def exists(self, keys: Sequence[str]) -> set[str]:
        return {key for key in keys if _is_file(self.local_path(key))}

    def local_path(self, key: str) -> Path:
        if key.startswith(f"{_SCRATCH}/"):
            raise Invalid(
                f"not a key of this store: {key!r:.200}; {_SCRATCH}/ is for unfinished files"
            )
        return self.root / check_key(key)

    def scratch(self) -> Path:
        folder = self.root / _SCRATCH
        if not self._ready:
            try:
                self._made_root = not self.root.exists()
                self._make_folder(folder)
                if self._disposable:
                    _write_new(self.root / "CACHEDIR.TAG", _TAG)
                _write_new(self.root / ".gitignore", "*\n")
                _sweep(folder)
            except OSError as error:
                raise unavailable(error, folder) from error
            self._ready = True
        return folder

    def sync(self, keys: Sequence[str]) -> None:
        folders = {self.root, self.root.parent} if self._made_root else {self.root}
        for key in keys:
            path = self.local_path(key)
            try:
                _flush_file(path)
            except FileNotFoundError as error:
                raise NotFound(f"cannot make {key} durable: {path} is gone") from error
            except OSError as error:
                raise unavailable(error, path) from error
            folders.update(p for p in path.parents if p.is_relative_to(self.root))
        if keys:
            for folder in sorted(folders, reverse=True):
                _flush_folder(folder)

    def _make_folder(self, folder: Path) -> None:
        """Make a folder of the store, for its owner only, and those above it."""
        if folder.is_dir():
            return
        self.root.parent.mkdir(parents=True, exist_ok=True)
        for path in reversed([folder, *folder.parents]):
            if path.is_relative_to(self.root):
                path.mkdir(mode=0o700, exist_ok=True)

    def _copy(self, source: Path) -> Path:
        temp = temporary(self.scratch())
        try:
            os.close(create(temp))
            shutil.copyfile(source, temp)
        except OSError:
            remove(temp)
            raise
        return temp


# Small words about files; `blobs` uses them too.


def temporary(folder: Path) -> Path:
    """Return a name in `folder` that nobody else uses."""
    return folder / f"{os.getpid()}-{secrets.token_hex(8)}"


def create(path: Path) -> int:
    """Open a new file for writing, for its owner only, and return its descriptor.

    Raises:
        FileExistsError: there is one already.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o600)


def remove(path: Path) -> None:
    """Remove a file if it is there, or the folder or link that stands in its place."""
    try:
        path.unlink()
    except FileNotFoundError:
        pass
    except OSError:
        if path.is_dir() and not path.is_symlink():
            remove_tree(path)
        elif sys.platform == "win32":  # a read-only file
            path.chmod(stat.S_IWRITE)
            path.unlink()
        else:
            raise


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, read-only or not."""
    for path, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(path).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def unavailable(error: OSError, path: Path, size_bytes: int | None = None) -> Unavailable:
    """Return the error for a file that could not be written, naming the path and the bytes."""
    size = f" ({size_bytes} bytes)" if size_bytes is not None else ""
    hint = {
        errno.ENOSPC: "; make room, or set another artifact store",
        errno.EDQUOT: "; make room, or set another artifact store",
        errno.EFBIG: "; a limit of this process or file system on the size of files was reached",
        errno.EROFS: "; the file system is read-only: set another artifact store",
        errno.EACCES: "; this user may not write there: set another artifact store",
    }.get(error.errno or 0, "")
    return Unavailable(f"cannot write {path}{size}: {error.strerror or error}{hint}")


def move_new(temp: Path, target: Path) -> None:
    """Give a finished file its name, unless the name is taken."""
    if sys.platform != "win32":
        try:
            os.link(temp, target)
            return
        except FileExistsError:
            return
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
    # Windows refuses a taken name. A file system without links may replace a file that another
    # process put in the same instant: harmless, since a key means the same bytes to everybody.
    if not target.exists():
        with contextlib.suppress(FileExistsError):
            temp.rename(target)


def _sorted_entries(folder: Path) -> list[tuple[str, os.DirEntry[str]]]:
    """Return the files and folders of a folder in the order of their keys; folders end in `/`."""
    try:
        with os.scandir(folder) as entries:
            found = []
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    found.append((entry.name + "/", entry))
                elif entry.is_file(follow_symlinks=False):
                    found.append((entry.name, entry))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=lambda pair: pair[0])


def _is_key(name: str) -> bool:
    try:
        check_key(name)
    except Invalid:
        return False
    return True


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _write_new(path: Path, text: str) -> None:
    try:
        with os.fdopen(create(path), "w") as file:
            file.write(text)
    except FileExistsError:
        pass


def _sweep(folder: Path) -> None:
    """Remove what processes that died long ago left unfinished."""
    for name, entry in _sorted_entries(folder):
        allowed_s = _ABANDONED_S["folder" if name.endswith("/") else "file"]
        try:
            if entry.stat(follow_symlinks=False).st_mtime < time.time() - allowed_s:
                remove(Path(entry.path))
        except OSError:  # another process removes it too
            continue


def _flush_file(path: Path) -> None:
    if sys.platform == "win32":  # flushing needs the right to write
        path.chmod(stat.S_IWRITE)
        file = os.open(path, os.O_RDWR | os.O_BINARY)
    else:
        file = os.open(path, os.O_RDONLY)
    try:
        if sys.platform == "darwin":
            import fcntl

            fcntl.fcntl(file, fcntl.F_FULLFSYNC)
        else:
            os.fsync(file)
    finally:
        os.close(file)
        if sys.platform == "win32":
            path.chmod(stat.S_IREAD)


def _flush_folder(folder: Path) -> None:
    if sys.platform == "win32":  # NTFS keeps names in its journal; folders cannot be flushed
        return
    try:
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # a folder above the store, which is not ours to flush
        return
    try:
        os.fsync(file)
    finally:
        os.close(file)

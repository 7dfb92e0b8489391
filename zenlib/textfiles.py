"""Changing a small text file safely: one writer at a time, and all of a change or none of it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from zenlib.errors import Denied, Unavailable, ZenlibError

_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def cannot(verb: str, path: Path, error: OSError) -> ZenlibError:
    """Return the error to raise when a file or folder could not be written or read."""
    text = f"cannot {verb} {path}: {error.strerror or error}"
    if error.errno in _FORBIDDEN:
        return Denied(f"{text}; check who owns the folder and whether it is read-only")
    return Unavailable(text)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other writers of `path` waiting, in this process and in others.

    POSIX locks the folder itself, so that nothing is left behind and all users share one lock;
    Windows has no such lock and uses a file beside `path`. The folder is made when missing.

    Raises:
        Denied, Unavailable: the folder cannot be made or opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = _lock_handle(path)
    except OSError as error:
        raise cannot("write", path, error) from error
    try:
        _lock(handle)
        yield
    finally:
        os.close(handle)  # closing gives the lock back


if sys.platform == "win32":
    import msvcrt
    import time

    def _swap(new: Path, path: Path) -> None:
        # Fails for as long as somebody has the old file open: half a second of patience.
        for _ in range(25):
            try:
                new.replace(path)
            except PermissionError:
                time.sleep(0.02)
            else:
                return
        new.replace(path)

    def _lock_handle(path: Path) -> int:
        return os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT)

    def _lock(handle: int) -> None:
        while True:
            try:
                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            except OSError:
                time.sleep(0.02)
            else:
                return
else:
    import fcntl

    def _swap(new: Path, path: Path) -> None:
        new.replace(path)

    def _lock_handle(path: Path) -> int:
        return os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)

    def _lock(handle: int) -> None:
        # Some network file systems know no locks: the atomic replacement still holds there.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)


def _write_beside(path: Path, text: str, mode: int | None) -> Path:
    """Write a new file in the same folder, forced to the disk, and return its path."""
    new = path.with_name(f".{path.name[:100]}.{os.urandom(8).hex()}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(new, flags, 0o666 if mode is None else mode)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        if mode is not None:
            new.chmod(mode)  # the umask may have taken something away
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return new


def replace(path: Path, text: str, *, mode: int | None = None) -> None:
    """Make `text` (UTF-8) the content of `path`; readers see the old file or the new one.

    Args:
        mode: permissions; the old file's, or the usual ones of a new file, when left out.

    Raises:
        Denied, Unavailable: it could not be written; the old file is as it was.
    """
    try:
        path = path.resolve()  # a link stays a link: what it points to is replaced
        if mode is None and path.exists():
            mode = stat.S_IMODE(path.stat().st_mode)
        new = _write_beside(path, text, mode)
        try:
            _swap(new, path)
        except OSError:
            new.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise cannot("write", path, error) from error


def create(path: Path, text: str) -> bool:
    """Make a file that must be new; return False, changing nothing, when there is one already.

    Raises:
        Denied, Unavailable: it could not be written.
    """
    try:
        with locked(path):
            if path.exists() or path.is_symlink():
                return False
            _swap(_write_beside(path, text, None), path)
            return True
    except OSError as error:
        if isinstance(error, ZenlibError):
            raise
        raise cannot("write", path, error) from error

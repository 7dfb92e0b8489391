"""Exclusive claims of keys, across threads and processes, that end with whoever holds them.

One lock file per database: the claim of a key is a lock on the one byte at the key's 62-bit hash,
which the operating system drops when the process ends, however it ends. Two keys wait for each
other only when their hashes are equal (about once in 10^18 pairs), and even then a thread that
holds both does not wait for itself.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path

from zenlib.errors import Unavailable

_FIRST_WAIT_S = 0.002
_LONGEST_WAIT_S = 0.1
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)

if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int, offset: int) -> None:
        os.lseek(fd, offset, os.SEEK_SET)  # callers hold the file's mutex: seek and lock are one
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

    def _unlock(fd: int, offset: int) -> None:
        os.lseek(fd, offset, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(fd: int, offset: int) -> None:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)

    def _unlock(fd: int, offset: int) -> None:
        fcntl.lockf(fd, fcntl.LOCK_UN, 1, offset)


class _Key:
    """A key that threads of this process hold or wait for."""

    __slots__ = ("depth", "lock", "users")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.depth = 0
        self.users = 0


class _File:
    """The one descriptor of a lock file in this process, and the keys in use.

    POSIX drops all locks of a process on a file when it closes any descriptor of that file. So
    there is exactly one, and it stays open for as long as anybody uses it.
    """

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.mutex = threading.Lock()
        self.keys: dict[int, _Key] = {}
        self.owners = 0
        self.fd = -1
        if path is not None:
            try:
                self.fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            except OSError as error:
                raise Unavailable(f"cannot open the lock file {path}: {error.strerror}") from error

    def try_lock(self, offset: int) -> bool:
        """Lock the byte unless another process has it."""
        if self.fd < 0:
            return True
        try:
            with self.mutex:
                _lock(self.fd, offset)
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise Unavailable(f"cannot lock {self.path}: {error.strerror}") from error
        return True

    def unlock(self, offset: int) -> None:
        if self.fd >= 0:
            with self.mutex:
                _unlock(self.fd, offset)


_files: dict[str, _File] = {}
_files_mutex = threading.Lock()
_forks = 0
"""How many forks lie between the first process and this one: locks are not inherited."""


def _after_fork_in_child() -> None:
    global _files_mutex, _forks
    _forks += 1
    _files_mutex = threading.Lock()
    for file in _files.values():
        os.close(file.fd)  # the parent's locks belong to the parent: this does not drop them
    _files.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class KeyLocks:
    """Claims of string keys in one lock file.

    Args:
        path: the lock file, created when missing and never removed; its folder must exist. None
            for claims among the threads of this process only.

    >>> locks = KeyLocks(None)
    >>> with locks.claim("a") as waited:
    ...     waited
    False
    """

    def __init__(self, path: Path | str | None) -> None:
        self._path = None if path is None else os.path.realpath(path)
        self._file: _File | None = None
        self._forks = _forks

    def claim(self, key: str) -> AbstractContextManager[bool]:
        """Hold the claim of `key`, waiting for as long as another thread or process holds it.

        The context's value says whether it had to wait. The wait looks again after 2 to 100 ms,
        so Ctrl-C ends it. A thread may claim a key again that it holds.

        Raises:
            Unavailable: the lock file cannot be opened, or its file system has no locks.
        """
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return _Claim(self, int.from_bytes(digest, "big") >> 2)

    def close(self) -> None:
        """Give the lock file back, once the last claim has ended."""
        with _files_mutex:
            file, self._file = self._file, None
            if file is not None and self._forks == _forks:
                file.owners -= 1
                _close_unused(file)

    def open(self) -> _File:
        """Return this process's lock file, opened on first use."""
        file = self._file
        if file is not None and self._forks == _forks:
            return file
        with _files_mutex:
            if self._file is None or self._forks != _forks:
                found = None if self._path is None else _files.get(self._path)
                file = found or _File(self._path)
                if self._path is not None:
                    _files[self._path] = file
                file.owners += 1
                self._file, self._forks = file, _forks
            return self._file


class _Claim(AbstractContextManager[bool]):
    def __init__(self, locks: KeyLocks, offset: int) -> None:
        self._locks = locks
        self._offset = offset

    def __enter__(self) -> bool:
        self._file = file = self._locks.open()
        self._forks = _forks
        with file.mutex:
            self._key = key = file.keys.setdefault(self._offset, _Key())
            key.users += 1
        try:
            waited = self._wait_for_thread()
        except BaseException:
            self._leave()
            raise
        try:
            waited = self._wait_for_process() or waited
        except BaseException:
            self._release()
            raise
        return waited

    def __exit__(self, *_: object) -> None:
        if self._forks != _forks:
            return  # a child of the holder: it never had the claim
        if self._key.depth == 1:
            self._file.unlock(self._offset)
        self._release()

    def _wait_for_thread(self) -> bool:
        lock = self._key.lock
        waited = not lock.acquire(blocking=False)
        if waited:
            while not lock.acquire(timeout=_LONGEST_WAIT_S):  # in slices, so that Ctrl-C gets in
                pass
        self._key.depth += 1
        return waited

    def _wait_for_process(self) -> bool:
        if self._key.depth > 1 or self._file.try_lock(self._offset):
            return False
        wait_s = _FIRST_WAIT_S
        while not self._file.try_lock(self._offset):
            time.sleep(wait_s)
            wait_s = min(wait_s * 1.5, _LONGEST_WAIT_S)
        return True

    def _release(self) -> None:
        self._key.depth -= 1
        self._key.lock.release()
        self._leave()

    def _leave(self) -> None:
        file, key = self._file, self._key
        with file.mutex:
            key.users -= 1
            if key.users == 0:
                del file.keys[self._offset]
        if file.owners == 0:
            with _files_mutex:
                _close_unused(file)


def _close_unused(file: _File) -> None:
    """Close the descriptor when no store and no claim uses it; the caller holds `_files_mutex`."""
    with file.mutex:
        if file.owners or file.keys or file.fd < 0:
            return
        os.close(file.fd)
        file.fd = -1
    if file.path is not None and _files.get(file.path) is file:
        del _files[file.path]

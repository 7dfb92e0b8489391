"""SQLite as a metadata store: files, journals, locks and errors."""

from __future__ import annotations

import os
import random
import sqlite3
import sys
import warnings
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from sqlalchemy.dialects import sqlite as dialects

from zenlib.errors import Invalid, Unavailable, ZenlibError, ZenlibWarning
from zenlib.stores.filesystems import unsafe_file_system
from zenlib.stores.locks import KeyLocks
from zenlib.stores.pool import Session
from zenlib.stores.schema import HEAD, check_revision, create, upgrade
from zenlib.stores.tables import VERSION_TABLE, Statements

Durability = Literal["run", "step"]

STATEMENTS = Statements(dialects.dialect(paramstyle="qmark"), json_lists=True)

# How long SQLite itself waits for a lock. Ctrl-C is heard only in between, so `SqlStore` goes on
# waiting in such slices. Readers get in the way of a writer only under a rollback journal.
_WAIT_S = 0.25
_WAIT_ROLLBACK_S = 5.0

_FULL = "the disk is full, or a limit on file sizes is reached; nothing was stored. Make room"


class Sqlite:
    """One SQLite database: a file, or memory.

    Args:
        database: the path; '' or ':memory:' for memory.
        durability: whether a commit reaches the disk itself ("step"), or only `sync` does ("run").
    """

    statements = STATEMENTS
    begin = "BEGIN IMMEDIATE"
    error: type[Exception] = sqlite3.Error
    taken: type[Exception] = sqlite3.IntegrityError
    batches = True

    def __init__(self, database: str, durability: Durability) -> None:
        memory = database in ("", ":memory:")
        self.path = None if memory else Path(database).expanduser().absolute()
        self.name = ":memory:" if self.path is None else str(self.path)
        self.single = memory
        self.read_only = False
        self._durability = durability
        self._mode = "rw"
        self._journal = "memory" if memory else ""
        self._kept = False

    def open(self, *, write: bool) -> bool:
        """Choose the way to open the file, which is created when it is to be written."""
        path = self.path
        if path is None:
            return True
        if not path.exists():
            if not write:
                return False
            self._create(path)
        elif path.is_dir():
            raise Unavailable(f"cannot use {path} as a database: it is a folder")
        if not self._journal:
            self._journal = "wal" if self._wal_is_safe(path) else "delete"
        self.read_only = not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))
        if self.read_only:
            self._mode = self._read_only_mode(path)
        else:
            self._check_untouched()
        return True

    def connect(self) -> Session:
        """Return a new connection."""
        connection = self._connect(self._mode)
        synchronous = {"run": "NORMAL", "step": "FULL"}[self._durability]
        if self._journal == "delete":
            synchronous = "EXTRA"
        try:
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA cache_size=-16000")  # KiB: indexes of long histories stay
            # Pages that every commit changes are copied back once per 16 MiB of log, not per 4.
            connection.execute("PRAGMA wal_autocheckpoint=4000")
            connection.execute(f"PRAGMA synchronous={synchronous}")
        except BaseException:
            connection.close()
            raise
        return Session(connection)

    def prepare(self, session: Session, *, write: bool) -> bool:
        """Create the tables, or check their revision and bring it up to date."""
        connection = session.connection
        revision = self._revision(connection)
        if revision is None and not write:
            return False
        if self.read_only:
            if revision is None:
                raise _refusal(self.name)
            if revision != HEAD:
                raise Unavailable(
                    f"{self.name} has the older schema {revision!r}, and cannot be brought up to "
                    f"date because it is read-only: copy it to a folder that can be written"
                )
            return True
        self._set_journal(connection)
        if revision is None:
            session.begin(self.begin)
            if self._revision(connection) is None:  # else another process was first
                create(session, self.statements)
            session.commit()
        elif revision != HEAD:
            upgrade(connection, "sqlite", self.begin)
        return True

    def wait_s(self, error: BaseException, tries: int) -> float | None:  # noqa: ARG002
        """Return a short random time when another process holds a lock: SQLite waited already."""
        return random.uniform(0.001, 0.02) if _locked(error) else None  # noqa: S311

    def recover(self, session: Session, error: BaseException) -> bool:
        """Undo the open transaction; after errors other than locks the connection is suspect."""
        try:
            if session.connection.in_transaction:
                session.rollback()
        except sqlite3.Error:
            return self.single
        suspect = isinstance(error, sqlite3.Error) and not _locked(error)
        return self.single or not suspect

    def translate(self, error: Exception) -> ZenlibError:
        """Return the error for our caller."""
        code, name = _code(error), self.name
        if _locked(error):
            return Unavailable(
                f"{name} was locked by another process all the time; nothing was stored. "
                "End that process (an open database browser?) or try again"
            )
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return Unavailable(
                f"{name} is damaged, or no SQLite database ({error}); it was left as it is. Put a "
                f'copy of it back, or save what can be read: sqlite3 "{name}" .recover'
            )
        if code == sqlite3.SQLITE_READONLY:
            return _refusal(name)
        if code == sqlite3.SQLITE_FULL:
            return Unavailable(f"cannot write {name}: {_FULL}")
        if code == sqlite3.SQLITE_IOERR:
            return Unavailable(f"cannot read or write {name} ({error}): perhaps {_FULL}")
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
            return Unavailable(f"cannot open {name} ({error}): see who may read and write it")
        if code == sqlite3.SQLITE_TOOBIG:
            return Invalid(f"a record is too large for {name}: store its data as an artifact")
        return Unavailable(f"{name}: {error}")

    def identity(self) -> tuple[int, int] | None:
        """Return which file lies at the path now; None if there is none, or it is in memory."""
        if self.path is None:
            return None
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def check_writable(self) -> None:
        """Raise `Unavailable` when the file or its folder is read-only."""
        if self.read_only:
            raise _refusal(self.name)

    def claims(self) -> KeyLocks:
        """Return locks in a file beside the database; among threads only where none can be."""
        memory = self.path is None or self.read_only
        return KeyLocks(None if memory else f"{self.path}.claims")

    def sync(self) -> None:
        """Force the write-ahead log to the disk; the rollback journal does so by itself.

        Only the log is opened here: closing any descriptor of the database file itself would drop
        the locks that SQLite holds on it. A log that is gone was moved into the database, which
        SQLite forces to the disk before it removes the log.
        """
        if self.path is None or self._journal != "wal" or self.read_only:
            return
        try:
            fd = os.open(f"{self.name}-wal", os.O_RDWR)
        except FileNotFoundError:
            pass
        else:
            try:
                _force(fd)
            finally:
                os.close(fd)
        if not self._kept:
            _force_folder(self.path.parent)
            self._kept = True

    def _connect(self, mode: str) -> sqlite3.Connection:
        wait_s = _WAIT_ROLLBACK_S if self._journal == "delete" else _WAIT_S
        if self.path is None:
            return sqlite3.connect(
                ":memory:", timeout=wait_s, isolation_level=None, check_same_thread=False
            )
        text = self.path.as_posix()
        uri = quote(os.fsencode(text if text.startswith("/") else f"/{text}"))
        return sqlite3.connect(
            f"file://{uri}?mode={mode}",
            uri=True,
            timeout=wait_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )

    def _create(self, path: Path) -> None:
        """Create the file for its owner only, and the folders on the way."""
        missing = [path.parent, *path.parent.parents]
        missing = [folder for folder in missing if not folder.exists()]
        try:
            for folder in reversed(missing):
                folder.mkdir(mode=0o700, exist_ok=True)
                _force_folder(folder.parent)
            # exclusive: so nobody in this process has it open, and closing it drops no lock
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            _force_folder(path.parent)
        except FileExistsError:
            if not path.is_file():
                raise Unavailable(f"cannot create {path}: a file is in the way") from None
        except OSError as error:
            raise Unavailable(f"cannot create {path}: {error.strerror}") from error

    def _wal_is_safe(self, path: Path) -> bool:
        kind = unsafe_file_system(path)
        if kind:
            warnings.warn(
                f"{path} lies on a network file system ({kind}), where SQLite's write-ahead log is "
                "not safe: zenlib uses the slower rollback journal. Move the metadata store to a "
                "local disk, or to MySQL when several machines use it",
                ZenlibWarning,
                stacklevel=2,
            )
        return not kind

    def _check_untouched(self) -> None:
        """Look at the revision without the right to write, so that a stranger's file stays as is."""
        try:
            connection = self._connect("ro")
            try:
                self._revision(connection)
            finally:
                connection.close()
        except sqlite3.OperationalError as error:
            if _code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
            # an unclean end left something that only a writer can clear up

    def _read_only_mode(self, path: Path) -> str:
        """Return how to open a file that cannot be written, in a folder that perhaps cannot."""
        try:
            connection = self._connect("ro")
            try:
                self._revision(connection)
            finally:
                connection.close()
            return "ro"
        except sqlite3.OperationalError as error:
            if _code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
        # a database in WAL mode needs files beside it that cannot be created here
        log = Path(f"{path}-wal")
        if log.exists() and log.stat().st_size:
            warnings.warn(
                f"{path} is read-only and was not closed cleanly: what is still in {log.name} "
                "cannot be seen. Copy both files to a folder that can be written",
                ZenlibWarning,
                stacklevel=2,
            )
        return "ro&immutable=1"

    def _revision(self, connection: sqlite3.Connection) -> str | None:
        """Return the known revision of the schema, '' for one without tables, None for no file."""
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        names = {name for (name,) in found.fetchall()}
        if VERSION_TABLE in names:
            row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608
            revision = row[0] if row else ""
            check_revision(revision, self.name)
            return str(revision)
        if names:
            raise Invalid(
                f"{self.name} is the database of another program (it has {len(names)} tables, but "
                f"no {VERSION_TABLE}); choose another path"
            )
        return None

    def _set_journal(self, connection: sqlite3.Connection) -> None:
        if self.path is None:
            return
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        if mode != self._journal:
            (mode,) = connection.execute(f"PRAGMA journal_mode={self._journal}").fetchone()
        if mode != self._journal:
            raise Unavailable(f"{self.name}: SQLite cannot use its {self._journal} journal here")


def _locked(error: BaseException) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


def _refusal(name: str) -> Unavailable:
    return Unavailable(f"cannot write to {name}: the file or its folder is read-only")


def _code(error: BaseException) -> int:
    """Return SQLite's primary result code, 0 for errors of the Python module."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _force(fd: int) -> None:
    """Return when the file's data is on the medium."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # fsync stops at the drive's own cache there
    else:
        os.fsync(fd)


def _force_folder(folder: Path) -> None:
    """Return when the folder's entries are on the medium; Windows has no such call."""
    if sys.platform != "win32":
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

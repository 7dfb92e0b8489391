"""Which revision of the schema a database has, and what to do about it."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any, Protocol

from zenlib._version import __version__
from zenlib.errors import StoreTooNew, ZenlibError
from zenlib.stores.pool import Session
from zenlib.stores.tables import Statements

REVISIONS = ("0001",)
"""Every revision this zenlib knows, oldest first; the last is the one it works with. Known here
so that alembic is imported only for a database that has another one."""
HEAD = REVISIONS[-1]


class Locks(Protocol):
    """Exclusive claims of keys, as `locks.KeyLocks` has them."""

    def claim(self, key: str) -> AbstractContextManager[bool]:
        """Hold the claim of `key`; the context's value says whether it had to wait."""
        ...

    def close(self) -> None:
        """Give files or connections back."""
        ...


class Database(Protocol):
    """What `SqlStore` needs to know of one kind of database.

    Attributes:
        name: what messages call it: a path, or a URL without its password.
        statements: compiled for its dialect.
        begin: the statement that begins a write transaction.
        error: the base class of the driver's errors.
        taken: the driver's error for a row that exists already.
        single: see `pool.Pool`.
        batches: whether a statement run for many rows sees the rows before; else rows that
            depend on each other go one by one.
    """

    name: str
    statements: Statements
    begin: str
    error: type[Exception]
    taken: type[Exception]
    single: bool
    batches: bool

    def open(self, *, write: bool) -> bool:
        """Make ready to connect; False when there is nothing to read yet."""
        ...

    def connect(self) -> Session:
        """Return a new connection."""
        ...

    def prepare(self, session: Session, *, write: bool) -> bool:
        """Make sure that the schema is the known one; False when there is nothing to read yet."""
        ...

    def wait_s(self, error: BaseException, tries: int) -> float | None:
        """Return how long to wait before the whole transaction is repeated; None: do not.

        Args:
            tries: how often it was repeated already.
        """
        ...

    def recover(self, session: Session, error: BaseException) -> bool:
        """Undo the open transaction; return whether the connection can be used again."""
        ...

    def translate(self, error: Exception) -> ZenlibError:
        """Return the error for our caller."""
        ...

    def identity(self) -> tuple[int, int] | None:
        """Return which file it is; None where it is none."""
        ...

    def check_writable(self) -> None:
        """Raise `Unavailable` when the database can only be read."""
        ...

    def claims(self) -> Locks:
        """Return the claims of keys that go with the database."""
        ...

    def sync(self) -> None:
        """Return when all that is committed would survive a loss of power."""
        ...


def check_revision(revision: str, name: str) -> None:
    """Raise `StoreTooNew` unless the revision is a known one ('' is a database without tables)."""
    if revision and revision not in REVISIONS:
        raise StoreTooNew(
            f"{name} was written by a newer zenlib: its schema is {revision!r}, and zenlib "
            f"{__version__} knows up to {HEAD!r}. Nothing was changed. Install a newer zenlib "
            "(pip install -U zenlib), or use another metadata store"
        )


def create(session: Session, statements: Statements, *, tables: bool = True) -> None:
    """Create the newest schema, without alembic; the caller holds a transaction.

    Args:
        tables: False when the tables are there, and only what describes them is missing.
    """
    for text in statements.creation if tables else ():
        session.run(text)
    version = statements.insert_version()
    session.run(version.text, version.bind({"version_num": HEAD}))
    meta = statements.insert_meta()
    for key, value in (
        ("created_by", f"zenlib {__version__}"),
        ("created_us", str(time.time_ns() // 1000)),
    ):
        session.run(meta.text, meta.bind({"key": key, "value": value}))


def upgrade(connection: Any, dialect: str, begin: str) -> None:
    """Bring the schema to `HEAD` with alembic; see `migrations.upgrade`."""
    from zenlib.stores import migrations

    migrations.upgrade(connection, dialect, begin=begin)

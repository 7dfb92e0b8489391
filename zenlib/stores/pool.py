"""A few open database connections, for threads to take and give back, that survive a fork."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from zenlib.errors import Invalid

_FORK_WAIT_S = 10.0
"""How long a fork waits for connections that other threads are using."""


@dataclass(frozen=True)
class Statistics:
    """What a store has asked of its database so far.

    Attributes:
        statements: SQL statements that were run, without those that begin and end transactions;
            one for many rows counts once.
        transactions: write transactions that were committed.
    """

    statements: int = 0
    transactions: int = 0


class Session:
    """An open connection, with its one cursor and what it was used for since it was taken."""

    __slots__ = ("connection", "cursor", "statements", "transactions")

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.cursor = connection.cursor()
        self.statements = 0
        self.transactions = 0

    def run(self, text: str, values: Sequence[Any] = ()) -> Any:
        """Run one statement; return the cursor."""
        self.statements += 1
        self.cursor.execute(text, values)
        return self.cursor

    def run_many(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement once for each row."""
        self.statements += 1
        self.cursor.executemany(text, rows)

    def begin(self, text: str) -> None:
        """Begin a transaction."""
        self.cursor.execute(text)

    def commit(self) -> None:
        """Commit the transaction."""
        self.cursor.execute("COMMIT")
        self.transactions += 1

    def rollback(self) -> None:
        """Undo the transaction."""
        self.cursor.execute("ROLLBACK")


class Pool:
    """Connections of one store: the one given back last is taken first.

    Before a fork the idle ones are closed, because SQLite's locks belong to the process that took
    them, and a server's connection can serve only one; parent and child open new ones.

    Args:
        connect: opens one.
        single: there is one connection, which holds the data itself (SQLite in memory): threads
            take turns, and a fork copies it.
        name: of the store, for the error of a closed one.
    """

    def __init__(self, connect: Callable[[], Session], *, single: bool, name: str) -> None:
        self._connect = connect
        self._single = single
        self._name = name
        self._idle: list[Session] = []
        self._busy = 0
        self._paused = False
        self._closed = False
        self._statements = 0
        self._transactions = 0
        self._changed = threading.Condition(threading.Lock())
        with _pools_mutex:
            _pools.add(self)

    @property
    def statistics(self) -> Statistics:
        """What was asked of the database through connections that were given back."""
        with self._changed:
            return Statistics(self._statements, self._transactions)

    def take(self) -> Session:
        """Return a connection for this thread alone; `give` or `drop` it in the end.

        Raises:
            Invalid: the pool is closed.
        """
        with self._changed:
            while self._paused or (self._single and self._busy):
                self._changed.wait()
            if self._closed:
                raise Invalid(f"the metadata store {self._name} is closed: open it again")
            self._busy += 1
            if self._idle:
                return self._idle.pop()
        try:
            return self._connect()
        except BaseException:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()
            raise

    def give(self, session: Session) -> None:
        """Take a connection back, idle and without a transaction."""
        with self._changed:
            self._count(session)
            if self._closed:
                session.connection.close()
            else:
                self._idle.append(session)
            if self._single or self._paused:
                self._changed.notify_all()

    def drop(self, session: Session) -> None:
        """Take a connection back that must not be used again."""
        try:
            session.connection.close()
        finally:
            with self._changed:
                self._count(session)
                self._changed.notify_all()

    def close(self) -> None:
        """Close the idle connections now and the others when they are given back."""
        with self._changed:
            self._closed = True
            while self._idle:
                self._idle.pop().connection.close()
            self._changed.notify_all()

    def _count(self, session: Session) -> None:
        self._busy -= 1
        self._statements += session.statements
        self._transactions += session.transactions
        session.statements = session.transactions = 0

    def before_fork(self) -> None:
        """Wait for the connections in use and close all, so that the child inherits none."""
        deadline = time.monotonic() + _FORK_WAIT_S
        with self._changed:
            self._paused = True
            while self._busy and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            if not self._single:
                while self._idle:
                    self._idle.pop().connection.close()

    def after_fork_in_parent(self) -> None:
        """Let the threads go on."""
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def after_fork_in_child(self) -> None:
        """Begin anew: no other thread lives here, and no connection in use can be trusted."""
        self._changed = threading.Condition(threading.Lock())
        self._paused = False
        self._busy = 0


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
_pools_mutex = threading.Lock()
_forking: list[Pool] = []


def _before() -> None:
    _pools_mutex.acquire()
    _forking[:] = _pools
    for pool in _forking:
        pool.before_fork()


def _after_in_parent() -> None:
    for pool in _forking:
        pool.after_fork_in_parent()
    _forking.clear()
    _pools_mutex.release()


def _after_in_child() -> None:
    for pool in _forking:
        pool.after_fork_in_child()
    _forking.clear()
    _pools_mutex.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )

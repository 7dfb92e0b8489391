"""The metadata store on SQL databases: SQLite by default, or MySQL."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import sqlalchemy as sa

from zenlib.errors import Invalid, NotFound
from zenlib.records import Record
from zenlib.stores.base import Claims, MetadataStore, Page, Where
from zenlib.stores.pool import Pool, Session, Statistics
from zenlib.stores.queries import query_of
from zenlib.stores.rows import Layout, Row, layout_of, sorted_rows
from zenlib.stores.schema import Database, Locks
from zenlib.stores.sqlite import Durability, Sqlite

R = TypeVar("R", bound=Record)
T = TypeVar("T")

WAIT_S = 60.0
"""How long a call waits for a lock of another process before it gives up."""


class SqlStore(MetadataStore, Claims):
    """Keeps records in a database.

    Nothing is opened or created before it is needed; reading a file that does not exist finds
    nothing. Connections are shared by the threads, and never with a forked child.

    Args:
        url: `sqlite:///relative/path.db`, `sqlite:////absolute/path.db`, `sqlite://` for memory,
            or `mysql://user:password@host/database`.
        durability: what survives a loss of power: what was put before the last `sync` ("run"), or
            every put that has returned ("step").

    Raises:
        Invalid: the URL is none of these.

    >>> from zenlib.records import Source
    >>> store = SqlStore("sqlite://")
    >>> store.put(Source(id="b3:1", text="x = 1"))
    >>> store.get(Source, "b3:1").text
    'x = 1'
    >>> store.close()
    """

    def __init__(self, url: str, *, durability: Durability = "run") -> None:
        if durability not in ("run", "step"):
            raise Invalid(f"durability is {durability!r}; it is 'run' or 'step'")
        self._database = _database_of(url, durability)
        self._statements = self._database.statements
        self._ready = False
        self._file: tuple[int, int] | None = None
        self._claims: Locks | None = None
        self._opened: dict[str, Locks] = {}
        name = self._database.name
        self._pool = Pool(self._database.connect, single=self._database.single, name=name)
        self._finalizer = weakref.finalize(self, self._pool.close)

    def __repr__(self) -> str:
        return f"SqlStore({self._database.name})"

    @property
    def statistics(self) -> Statistics:
        """How many statements and write transactions this object has run."""
        return self._pool.statistics

    def put(self, *records: Record) -> None:  # noqa: D102
        rows = sorted_rows(records)
        if rows:
            batches, updates = self._batches(rows)
            self._write(lambda session: self._put(session, rows, batches, updates))

    def get(self, kind: type[R], id: str) -> R:  # noqa: D102
        layout = layout_of(kind)
        row = None
        if layout.by_name["id"].holds(id):
            text = self._statements.get(layout)
            row = self._read(lambda session: session.run(text, (id,)).fetchone(), None)
        if row is None:
            raise NotFound(f"no {kind.KIND} has the id {id!r} in {self._database.name}")
        return layout.decode(row)

    def find(  # noqa: D102
        self,
        kind: type[R],
        where: Where | None = None,
        *,
        order: str = "id",
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[R]:
        query = query_of(kind, where, order, limit, cursor)
        if query.nothing:
            return Page([])
        text, values = self._statements.find(query)
        rows: Sequence[Row] = self._read(lambda session: session.run(text, values).fetchall(), ())
        decode = query.layout.decode
        items = [decode(row) for row in rows[:limit]]
        return Page(items, query.cursor_after(items[-1]) if len(rows) > limit else None)

    def delete(self, kind: type[Record], ids: Sequence[str]) -> None:  # noqa: D102
        layout = layout_of(kind)
        known = [str(id) for id in ids if layout.by_name["id"].holds(id)]
        if known and (self._ready or self._prepare(write=False)):
            self._write(lambda session: self._delete(session, layout, known))

    def sync(self) -> None:
        """Return when everything put so far would survive a loss of power."""
        if self._ready:
            self._database.sync()

    def claim(self, key: str) -> AbstractContextManager[bool]:
        """Hold the claim of `key`; see `Claims`.

        On an SQLite file the claims are locks in `<file>.claims` beside it, so all processes that
        use the file exclude each other. In memory, and where the folder is read-only, only the
        threads of this process do. On MySQL they are the server's (`GET_LOCK`).
        """
        claims = self._claims
        if claims is None:
            if not self._ready:
                self._prepare(write=True)
            # setdefault is atomic: threads that come here together get the same locks
            claims = self._opened.setdefault("claims", self._database.claims())
            self._claims = claims
        return claims.claim(key)

    def close(self) -> None:  # noqa: D102
        self._finalizer()
        if self._claims is not None:
            self._claims.close()

    def _batches(self, rows: list[tuple[Layout[Any], Row]]) -> tuple[list[_Batch], list[_Update]]:
        """Sort the rows of a put: inserts of one shape run together, in the order given."""
        batches: list[_Batch] = []
        updates: list[_Update] = []
        last: dict[type[Record], _Batch] = {}
        for layout, row in rows:
            if row[1] > 1:
                statement = self._statements.update(layout)
                updates.append((statement.text, statement.pick(row)))
                continue
            numbered = layout.number is not None and row[layout.number] == 0
            statement = self._statements.insert(layout, numbered=numbered)
            batch = last.get(layout.kind)
            if batch is None or batch[0] is not statement.text:
                batch = last[layout.kind] = (statement.text, numbered, [])
                batches.append(batch)
            batch[2].append(statement.pick(row))
        return batches, updates

    def _put(
        self,
        session: Session,
        rows: list[tuple[Layout[Any], Row]],
        batches: list[_Batch],
        updates: list[_Update],
    ) -> None:
        """Put the rows as if they fitted, and look closer only when they do not."""
        session.begin(self._database.begin)
        try:
            if self._put_fitting(session, batches, updates):
                session.commit()
                return
        except self._database.taken:
            pass
        session.rollback()
        session.begin(self._database.begin)
        for layout, row in rows:
            stored = session.run(self._statements.get(layout, lock=True), (row[0],)).fetchone()
            what = layout.place(stored, row)
            if what == "insert":
                numbered = layout.number is not None and row[layout.number] == 0
                statement = self._statements.insert(layout, numbered=numbered)
                session.run(statement.text, statement.pick(row))
            elif what == "update":
                statement = self._statements.update(layout)
                session.run(statement.text, statement.pick(row))
        session.commit()

    def _put_fitting(self, session: Session, batches: list[_Batch], updates: list[_Update]) -> bool:
        for text, numbered, values in batches:
            if len(values) == 1:
                session.run(text, values[0])
            elif numbered and not self._database.batches:
                for row in values:
                    session.run(text, row)
            else:
                session.run_many(text, values)
        return all(session.run(text, values).rowcount == 1 for text, values in updates)

    def _delete(self, session: Session, layout: Layout[Any], ids: list[str]) -> None:
        session.begin(self._database.begin)
        session.run(*self._statements.delete(layout, ids))
        session.commit()

    def _read(self, work: Callable[[Session], T], nothing: T) -> T:
        if self._ready or self._prepare(write=False):
            return self._attempt(work)
        return nothing

    def _write(self, work: Callable[[Session], None]) -> None:
        if not self._ready:
            self._prepare(write=True)
        self._database.check_writable()
        self._attempt(work)

    def _prepare(self, *, write: bool) -> bool:
        """Open the database on first use; False when there is none yet and none is needed."""
        try:
            if not self._database.open(write=write):
                return False
        except self._database.error as error:
            raise self._database.translate(error) from error
        self._ready = self._attempt(lambda session: self._database.prepare(session, write=write))
        self._file = self._database.identity() if self._ready else None
        return self._ready

    def lost(self) -> bool:
        """Whether the file that this store has open was deleted or replaced by another."""
        return self._ready and self._file is not None and self._database.identity() != self._file

    def _attempt(self, work: Callable[[Session], T]) -> T:
        """Do some work on a connection, as a whole again for as long as others are in the way."""
        tries, deadline = 0, time.monotonic() + WAIT_S
        while True:
            try:
                return self._once(work)
            except self._database.error as error:
                wait_s = self._database.wait_s(error, tries)
                if wait_s is None or time.monotonic() > deadline:
                    raise self._database.translate(error) from error
            tries += 1
            time.sleep(wait_s)

    def _once(self, work: Callable[[Session], T]) -> T:
        session = self._pool.take()
        try:
            result = work(session)
        except BaseException as error:
            if self._database.recover(session, error):
                self._pool.give(session)
            else:
                self._pool.drop(session)
            raise
        self._pool.give(session)
        return result


_Batch = tuple[str, bool, list[tuple[Any, ...]]]
"""Text of an insert, whether it numbers the rows, and the rows' values."""
_Update = tuple[str, tuple[Any, ...]]


def _database_of(url: str, durability: Durability) -> Database:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise Invalid(f"no metadata store has the URL {url!r}: {_EXAMPLES}") from error
    if parsed.drivername == "sqlite":
        if parsed.host or parsed.query:
            raise Invalid(f"{url!r} has parts that SQLite does not know: {_EXAMPLES}")
        return Sqlite(parsed.database or "", durability)
    if parsed.drivername in ("mysql", "mysql+pymysql", "mariadb", "mariadb+pymysql"):
        from zenlib.stores.mysql import Mysql

        return Mysql(parsed)
    known = f"no SQL metadata store for {parsed.drivername!r}; {_EXAMPLES}"
    raise Invalid(known)


_EXAMPLES = "it is like sqlite:///folder/metadata.db or mysql://user:password@host/database"

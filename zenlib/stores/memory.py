"""A metadata store in a dictionary: the reference that the other stores are compared with."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from zenlib.errors import Invalid, NotFound
from zenlib.records import Record
from zenlib.stores.base import Claims, MetadataStore, Page, Where
from zenlib.stores.locks import KeyLocks
from zenlib.stores.queries import Query, query_of
from zenlib.stores.rows import Layout, Row, layout_of, sorted_rows

R = TypeVar("R", bound=Record)

_Rows = dict[str, Row]


class MemoryStore(MetadataStore, Claims):
    """Keeps records for as long as the object lives; for tests, and for runs nobody looks back at.

    >>> from zenlib.records import Source
    >>> store = MemoryStore()
    >>> store.put(Source(id="b3:1", text="x = 1"))
    >>> store.get(Source, "b3:1").text
    'x = 1'
    """

    def __init__(self) -> None:
        self._kinds: dict[type[Record], _Rows] = {}
        self._lock = threading.RLock()
        self._claims = KeyLocks(None)
        self._closed = False

    def put(self, *records: Record) -> None:  # noqa: D102
        rows = sorted_rows(records)
        with self._lock:
            changed: dict[type[Record], _Rows] = {}
            for layout, row in rows:
                known = self._rows(layout.kind)
                fresh = changed.setdefault(layout.kind, {})
                stored = fresh.get(row[0]) or known.get(row[0])
                if layout.place(stored, row) != "nothing":
                    fresh[row[0]] = _numbered(layout, row, stored, [known, fresh])
            for kind, fresh in changed.items():
                self._rows(kind).update(fresh)

    def get(self, kind: type[R], id: str) -> R:  # noqa: D102
        layout = layout_of(kind)
        with self._lock:
            row = self._rows(kind).get(id)
        if row is None:
            raise NotFound(f"no {kind.KIND} has the id {id!r}")
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
        with self._lock:
            rows = [row for row in self._rows(kind).values() if _matches(query, row)]
        by, names = query.order, query.layout.names
        place = names.index(by)
        rows.sort(key=lambda row: (row[place], row[0]), reverse=query.descending)
        if query.after is not None:
            after, turned = query.after, query.descending
            rows = [
                r
                for r in rows
                if ((r[place], r[0]) < after if turned else (r[place], r[0]) > after)
            ]
        items = [query.layout.decode(row) for row in rows[:limit]]
        return Page(items, query.cursor_after(items[-1]) if len(rows) > limit else None)

    def delete(self, kind: type[Record], ids: Sequence[str]) -> None:  # noqa: D102
        layout_of(kind)
        with self._lock:
            for id in ids:
                self._rows(kind).pop(id, None)

    def claim(self, key: str) -> AbstractContextManager[bool]:  # noqa: D102
        return self._claims.claim(key)

    def close(self) -> None:  # noqa: D102
        self._closed = True

    def _rows(self, kind: type[Record]) -> _Rows:
        if self._closed:
            raise Invalid("this MemoryStore is closed")
        return self._kinds.setdefault(kind, {})


def _numbered(layout: Layout[Any], row: Row, stored: Row | None, places: list[_Rows]) -> Row:
    """Fill the number of a row that was put with 0; a later version keeps the stored one."""
    number, group = layout.number, layout.group
    if number is None or group is None or row[number] != 0:
        return row
    if stored is not None:
        value = stored[number]
    else:
        alike = (r[number] for rows in places for r in rows.values() if r[group] == row[group])
        value = max(alike, default=0) + 1
    return (*row[:number], value, *row[number + 1 :])


def _matches(query: Query[Any], row: Row) -> bool:
    if query.nothing:
        return False
    values = dict(zip(query.layout.names, row, strict=True))
    if any(values[field] != value for field, value in query.equal.items()):
        return False
    if any(values[field] not in wanted for field, wanted in query.any_of.items()):
        return False
    spans = query.spans.items()
    return all(s.low <= values[f] and (not s.high or values[f] < s.high) for f, s in spans)

"""What a `find` asks for, checked once for all stores, with its page cursors."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from zenlib.errors import Invalid
from zenlib.records import Record
from zenlib.stores.base import Span, Where, check_find
from zenlib.stores.rows import Column, Layout, layout_of

R = TypeVar("R", bound=Record)

Value = str | int


@dataclass(frozen=True)
class Query(Generic[R]):
    """The checked arguments of a `find`.

    Attributes:
        equal: field -> the one value it must have.
        any_of: field -> the values of which it must have one (sorted; not one).
        spans: field -> the range in which its value must lie.
        order: the field of the order; ties by id, in the same direction.
        after: order value and id of the last record of the page before.
    """

    layout: Layout[R]
    equal: dict[str, Value]
    any_of: dict[str, list[Value]]
    spans: dict[str, Span]
    order: str
    descending: bool
    limit: int
    after: tuple[Value, str] | None = None

    @property
    def nothing(self) -> bool:
        """No record can match, so nothing need be asked."""
        return bool(self.any_of) and not all(self.any_of.values())

    def cursor_after(self, record: R) -> str:
        """Return the cursor of the page that begins after this record."""
        value = getattr(record, self.order)
        data = json.dumps([self._mark(), value, record.id]).encode()
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    def _mark(self) -> str:
        """Return what ties a cursor to its query."""
        spans = {field: [span.low, span.high] for field, span in self.spans.items()}
        filters = [self.equal, self.any_of, spans]
        question = [self.layout.kind.KIND, filters, self.order, self.descending]
        text = json.dumps(question, sort_keys=True).encode()
        return hashlib.blake2b(text, digest_size=8).hexdigest()

    def read_cursor(self, cursor: str) -> tuple[Value, str]:
        """Return the place of a cursor that this query gave out.

        Raises:
            Invalid: it is another query's, or none at all.
        """
        try:
            data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
            mark, value, id = json.loads(data)
            fits = isinstance(id, str) and self.layout.by_name[self.order].holds(value)
            if fits and self.layout.by_name["id"].holds(id) and mark == self._mark():
                return value, id
        except (binascii.Error, TypeError, ValueError, RecursionError):
            pass
        raise Invalid(
            f"the cursor {cursor[:40]!r} is not one of this query: give it back with the same kind, "
            "filters and order, or start again without one"
        )


def query_of(
    kind: type[R], where: Where | None, order: str, limit: int, cursor: str | None
) -> Query[R]:
    """Return the checked query.

    Values that no record can have (too long, not a text) match nothing and are left out.

    Raises:
        Invalid: an undeclared field, a limit out of range, or a cursor of another query.
    """
    layout = layout_of(kind)
    where = where or {}
    check_find(kind, where, order, limit)
    field = order.removeprefix("-")
    query = Query(layout, {}, {}, {}, field, order != field, limit)
    for name, wanted in where.items():
        column = layout.by_name[name]
        if isinstance(wanted, Span):
            query.spans[name] = _span(column, wanted)
        elif len(values := _values(column, wanted)) == 1:
            query.equal[name] = values[0]
        else:
            query.any_of[name] = values
    return query if cursor is None else replace(query, after=query.read_cursor(cursor))


def _values(column: Column, wanted: object) -> list[Any]:
    if not isinstance(wanted, (list, tuple, set, frozenset)):
        return [_plain(wanted)] if column.holds(wanted) else []
    return sorted({_plain(value) for value in wanted if column.holds(value)})


def _plain(value: object) -> object:
    return str(value) if isinstance(value, str) else value


def _span(column: Column, span: Span) -> Span:
    if column.sort != "text":
        raise Invalid(f"{column.name} is no text: it has no span of values")
    return Span(_bound(span.low), _bound(span.high))


def _bound(text: str) -> str:
    """Return the bound without halves of surrogate pairs: no stored text lies among those."""
    place = next((i for i, char in enumerate(text) if "\ud800" <= char <= "\udfff"), None)
    return text if place is None else text[:place] + "\ue000"

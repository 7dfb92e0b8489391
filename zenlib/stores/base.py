"""What a metadata store must do: four verbs over records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

from zenlib.errors import Invalid
from zenlib.records import Record

R = TypeVar("R", bound=Record)

Where = Mapping[str, object]
"""Declared field -> value, a list of values meaning "any of", or a `Span`. All must hold."""


@dataclass(frozen=True)
class Span:
    """A range of values of a text field: at least `low`, and less than `high` unless it is empty.

    >>> Span.prefix("019ab")
    Span(low='019ab', high='019ac')
    """

    low: str = ""
    high: str = ""

    @classmethod
    def prefix(cls, start: str) -> Span:
        """Return the range of all ids that begin with `start`."""
        return cls(start, start[:-1] + chr(ord(start[-1]) + 1) if start else "")


MAX_LIMIT = 10_000


@dataclass(frozen=True)
class Page(Generic[R]):
    """Some of the records that were asked for, and where to go on.

    Attributes:
        items: at most `limit` records, in the order asked for.
        cursor: give it to the next `find` with the same arguments; None on the last page.
    """

    items: list[R]
    cursor: str | None = None


class MetadataStore(ABC):
    """Remembers records, atomically. Knows nothing of pipelines.

    Safe to share between threads, and between processes that each open their own. An adapter
    translates the errors of its driver: `Unavailable` when trying again may help.
    """

    @abstractmethod
    def put(self, *records: Record) -> None:
        """Store all of the records or none of them, in one transaction.

        A record of version 1 must be new; one of version n+1 must be stored as version n. A
        record that is stored already as it is given changes nothing and is no conflict, so a put
        whose answer was lost can be repeated (the field of `NUMBERED`, given as 0, equals any).

        Raises:
            Conflict: a version does not match; nothing was stored.
        """

    @abstractmethod
    def get(self, kind: type[R], id: str) -> R:
        """Return one record.

        Raises:
            NotFound: no record of this kind has the id.
        """

    @abstractmethod
    def find(
        self,
        kind: type[R],
        where: Where | None = None,
        *,
        order: str = "id",
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[R]:
        """Return the records for which all of `where` holds, a page at a time.

        Args:
            where: fields of `kind.INDEXED`, or `id`; an empty list matches nothing.
            order: one of the same fields; `-` before it turns the order round. Ties by id.
            limit: 1 to 10,000.
            cursor: of the page before.

        Raises:
            Invalid: an undeclared field, a limit out of range, or a cursor of another query.
        """

    @abstractmethod
    def delete(self, kind: type[Record], ids: Sequence[str]) -> None:
        """Forget the records with these ids, all at once; unknown ids are ignored."""

    def close(self) -> None:  # noqa: B027 - there may be nothing to give back
        """Give back connections and files. A closed store must not be used."""


@runtime_checkable
class Durable(Protocol):
    """An optional ability: a store whose puts survive the process at once, power loss after `sync`."""

    def sync(self) -> None:
        """Return when everything put so far would survive a loss of power."""
        ...


@runtime_checkable
class Losable(Protocol):
    """An optional ability: a store whose file can be deleted or replaced while it is open."""

    def lost(self) -> bool:
        """Whether that has happened; what is put from now on would go nowhere."""
        ...


@runtime_checkable
class Claims(Protocol):
    """An optional ability: a store that lets one worker at a time compute a key."""

    def claim(self, key: str) -> AbstractContextManager[bool]:
        """Hold the claim of `key`, waiting for as long as another holds it; freed by any death.

        The context's value says whether it had to wait (then the result may be there by now).
        """
        ...


def check_find(kind: type[Record], where: Where, order: str, limit: int) -> None:
    """Raise `Invalid` unless the arguments of a `find` are allowed; every adapter calls it."""
    declared = {"id"}.union(*kind.INDEXED) if kind.INDEXED else {"id"}
    for field in (*where, order.removeprefix("-")):
        if field not in declared:
            known = ", ".join(sorted(declared))
            raise Invalid(f"{kind.KIND} cannot be searched by {field!r}; declared: {known}")
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(f"limit is {limit}; it must be 1 to {MAX_LIMIT}")

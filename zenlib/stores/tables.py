"""The SQL of the metadata stores: tables and statements, derived from the records.

Everything is built with SQLAlchemy Core and compiled once per shape and dialect to a string; what
runs afterwards is the driver alone. No text from outside ever becomes SQL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateIndex, CreateTable

from zenlib.records import KINDS, Record
from zenlib.stores.queries import Query
from zenlib.stores.rows import Column, Layout, Row, layout_of

T = TypeVar("T")

VERSION_TABLE = "zenlib_version"
"""Where alembic keeps the revision of the schema."""


def short_text(length: int, *, ascii: bool) -> sa.types.TypeEngine[Any]:
    """Return the type of a text that can be indexed.

    Bytes on MySQL: its collations, the binary ones too, hold 'a' and 'a ' to be equal.
    """
    return sa.String(length).with_variant(
        mysql.VARBINARY(length if ascii else 4 * length), "mysql", "mariadb"
    )


def long_text() -> sa.types.TypeEngine[Any]:
    """Return the type of texts and JSON of up to `rows.MAX_TEXT_BYTES`."""
    text = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return sa.Text().with_variant(text, "mysql", "mariadb")


def _type_of(column: Column) -> sa.types.TypeEngine[Any]:
    if column.sort == "enum" or (column.sort == "text" and column.max_length is not None):
        assert column.max_length is not None
        return short_text(column.max_length, ascii=column.ascii)
    if column.sort == "int":
        return sa.BigInteger()
    if column.sort == "float":
        return sa.Double()
    return sa.SmallInteger() if column.sort == "bool" else long_text()


_OPTIONS: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}


def _table_of(kind: type[Record], metadata: sa.MetaData) -> sa.Table:
    columns = [
        sa.Column(c.name, _type_of(c), primary_key=c.name == "id", nullable=c.nullable)
        for c in layout_of(kind).columns
    ]
    indexes = [sa.Index(f"{kind.KIND}_{'_'.join(names)}", *names) for names in kind.INDEXED]
    return sa.Table(kind.KIND, metadata, *columns, *indexes, **_OPTIONS)


_ZERO: sa.ColumnElement[int] = sa.literal_column("0", sa.BigInteger())
_ONE: sa.ColumnElement[int] = sa.literal_column("1", sa.BigInteger())

METADATA = sa.MetaData()
TABLES: dict[type[Record], sa.Table] = {kind: _table_of(kind, METADATA) for kind in KINDS}
META = sa.Table(
    "meta",
    METADATA,
    sa.Column("key", short_text(80, ascii=True), primary_key=True, nullable=False),
    sa.Column("value", long_text(), nullable=False),
    **_OPTIONS,
)
VERSION = sa.Table(
    VERSION_TABLE,
    METADATA,
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
    **_OPTIONS,
)


@dataclass(frozen=True)
class Statement:
    """A compiled statement.

    Attributes:
        text: for the driver.
        names: of its parameters, in their order.
    """

    text: str
    names: tuple[str, ...]

    def bind(self, values: dict[str, Any]) -> tuple[Any, ...]:
        """Return the parameters in the order of the text."""
        return tuple([values[name] for name in self.names])


@dataclass(frozen=True)
class RowStatement:
    """A compiled statement whose parameters are columns of a row."""

    text: str
    pick: Callable[[Row], tuple[Any, ...]]


class Statements:
    """The statements of one dialect, each compiled on first use.

    Args:
        dialect: SQLAlchemy's.
        json_lists: lists of values travel as one JSON text (SQLite's `json_each`), so that one
            statement serves lists of any length; else as one parameter for each value.
    """

    def __init__(self, dialect: sa.Dialect, *, json_lists: bool) -> None:
        self._dialect = dialect
        self._json_lists = json_lists
        self._cache: dict[tuple[Any, ...], Any] = {}

    @cached_property
    def creation(self) -> list[str]:
        """The statements that create all tables."""
        texts = []
        for table in METADATA.sorted_tables:
            texts.append(str(CreateTable(table).compile(dialect=self._dialect)))
            indexes = sorted(table.indexes, key=lambda index: str(index.name))
            texts += [str(CreateIndex(index).compile(dialect=self._dialect)) for index in indexes]
        return texts

    def insert(self, layout: Layout[Any], *, numbered: bool) -> RowStatement:
        """Insert a row; `numbered`: with the next number of its group."""
        key = ("insert", layout.kind, numbered)
        return self._once(key, lambda: self._insert(layout, numbered))

    def update(self, layout: Layout[Any]) -> RowStatement:
        """Replace the row of the version before; a number given as 0 stays."""
        return self._once(("update", layout.kind), lambda: self._update(layout))

    def get(self, layout: Layout[Any], *, lock: bool = False) -> str:
        """Select a row by its id; `lock`: until the transaction ends, where rows have locks."""
        return self._once(("get", layout.kind, lock), lambda: self._get(layout, lock))

    def delete(self, layout: Layout[Any], ids: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
        """Delete the rows with these ids."""
        values = self._list(list(ids))
        key = ("delete", layout.kind, len(values))
        statement = self._once(key, lambda: self._delete(layout, len(values)))
        return statement.text, tuple(values)

    def find(self, query: Query[Any]) -> tuple[str, tuple[Any, ...]]:
        """Select the rows of a query, and one more."""
        lists = {field: self._list(values) for field, values in query.any_of.items()}
        key = (
            "find",
            query.layout.kind,
            *query.equal,
            0,
            *((field, len(values)) for field, values in lists.items()),
            0,
            *((field, bool(span.high)) for field, span in query.spans.items()),
            query.order,
            query.descending,
            query.after is None,
        )
        statement = self._once(key, lambda: self._find(query, lists))
        values: dict[str, Any] = {f"eq_{field}": value for field, value in query.equal.items()}
        for field, items in lists.items():
            values.update((f"in_{field}_{place}", item) for place, item in enumerate(items))
        for field, span in query.spans.items():
            values[f"low_{field}"], values[f"high_{field}"] = span.low, span.high
        if query.after is not None:
            values["after_value"], values["after_id"] = query.after
        values["count"] = query.limit + 1
        return statement.text, statement.bind(values)

    def insert_meta(self) -> Statement:
        """Insert a row of the `meta` table."""
        return self._compile(sa.insert(META))

    def insert_version(self) -> Statement:
        """Insert the revision of the schema."""
        return self._compile(sa.insert(VERSION))

    def _once(self, key: tuple[Any, ...], build: Callable[[], T]) -> T:
        statement: T | None = self._cache.get(key)
        if statement is None:
            statement = self._cache[key] = build()
        return statement

    def _compile(self, clause: Any) -> Statement:
        compiled = clause.compile(dialect=self._dialect)
        return Statement(compiled.string, tuple(compiled.positiontup))

    def _for_rows(self, clause: Any, layout: Layout[Any]) -> RowStatement:
        statement = self._compile(clause)
        places = [layout.names.index(name.removeprefix("row_")) for name in statement.names]
        return RowStatement(statement.text, itemgetter(*places))

    def _insert(self, layout: Layout[Any], numbered: bool) -> RowStatement:
        table = TABLES[layout.kind]
        values: dict[str, Any] = {name: sa.bindparam(f"row_{name}") for name in layout.names}
        if numbered:
            assert layout.kind.NUMBERED is not None
            number, group = layout.kind.NUMBERED
            known = table.alias("known")
            largest = sa.func.coalesce(sa.func.max(known.c[number]), _ZERO)
            next_number = sa.select(largest + _ONE)
            next_number = next_number.where(known.c[group] == sa.bindparam(f"row_{group}"))
            values[number] = next_number.scalar_subquery()
        return self._for_rows(sa.insert(table).values(values), layout)

    def _update(self, layout: Layout[Any]) -> RowStatement:
        table = TABLES[layout.kind]
        values: dict[str, Any] = {n: sa.bindparam(f"row_{n}") for n in layout.names if n != "id"}
        if layout.kind.NUMBERED is not None:
            name = layout.kind.NUMBERED[0]
            given = sa.bindparam(f"row_{name}", type_=sa.BigInteger())
            values[name] = sa.func.coalesce(sa.func.nullif(given, _ZERO), table.c[name])
        before = table.c.version == sa.bindparam("row_version") - _ONE
        same = table.c.id == sa.bindparam("row_id")
        return self._for_rows(sa.update(table).where(same, before).values(values), layout)

    def _get(self, layout: Layout[Any], lock: bool) -> str:
        table = TABLES[layout.kind]
        select = sa.select(table).where(table.c.id == sa.bindparam("id"))
        return self._compile(select.with_for_update() if lock else select).text

    def _delete(self, layout: Layout[Any], length: int) -> Statement:
        table = TABLES[layout.kind]
        return self._compile(sa.delete(table).where(self._among(table.c.id, "id", length)))

    def _find(self, query: Query[Any], lists: dict[str, list[Any]]) -> Statement:
        table = TABLES[query.layout.kind]
        select = sa.select(table)
        for field in query.equal:
            select = select.where(table.c[field] == sa.bindparam(f"eq_{field}"))
        for field, values in lists.items():
            select = select.where(self._among(table.c[field], f"in_{field}", len(values)))
        for field, span in query.spans.items():
            select = select.where(table.c[field] >= sa.bindparam(f"low_{field}"))
            if span.high:
                select = select.where(table.c[field] < sa.bindparam(f"high_{field}"))
        order, id = table.c[query.order], table.c.id
        if query.after is not None:
            select = select.where(_beyond(order, id, query.descending))
        columns = [id] if query.order == "id" else [order, id]
        select = select.order_by(*(c.desc() if query.descending else c for c in columns))
        # the offset is spelt out, or SQLite's dialect adds one as a parameter
        select = select.limit(sa.bindparam("count", type_=sa.Integer())).offset(_ZERO)
        return self._compile(select)

    def _list(self, values: list[Any]) -> list[Any]:
        """Return the parameters for a list: one JSON text, or a padded list of few lengths."""
        if self._json_lists:
            return [json.dumps(values)]
        length = 1 << (len(values) - 1).bit_length()
        return values + values[-1:] * (length - len(values))

    def _among(self, column: sa.Column[Any], name: str, length: int) -> sa.ColumnElement[bool]:
        if self._json_lists:
            values = sa.func.json_each(sa.bindparam(f"{name}_0", type_=sa.Text()))
            return column.in_(sa.select(sa.column("value")).select_from(values))
        return column.in_([sa.bindparam(f"{name}_{place}") for place in range(length)])


def _beyond(order: Any, id: Any, descending: bool) -> Any:
    """Return "after the cursor" in a form of which SQLite and MySQL use the index."""
    after_id: sa.BindParameter[str] = sa.bindparam("after_id")
    if order.name == "id":
        return id < after_id if descending else id > after_id
    value: sa.BindParameter[Any] = sa.bindparam("after_value")
    if descending:
        return sa.and_(order <= value, sa.or_(order < value, id < after_id))
    return sa.and_(order >= value, sa.or_(order > value, id > after_id))

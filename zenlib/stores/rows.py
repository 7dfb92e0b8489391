"""How a record becomes a flat row, and a row the record again: the same for every store.

Scalar fields are columns of their own, nested ones become JSON text. What comes back is what the
JSON says: tuples inside of a `dict[str, Any]` return as lists, keys as strings.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Literal, NoReturn, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from zenlib.errors import Conflict, CorruptArtifact, Invalid
from zenlib.hashing import json_writer
from zenlib.records import KINDS, Record

R = TypeVar("R", bound=Record)
Row = tuple[Any, ...]
Sort = Literal["text", "int", "float", "bool", "enum", "json"]

ASCII_LENGTH = 80
"""Texts declared this short are ids, digests and the like: ASCII on every store."""
MAX_TEXT_BYTES = 16_000_000
"""The longest text or JSON of one field: what fits into a MySQL MEDIUMTEXT and its packets."""
_MAX_INT = 1 << 63


@dataclass(frozen=True)
class Column:
    """One field of a kind, as a store keeps it.

    Attributes:
        sort: how it is kept; everything that is not a scalar is `json`.
        max_length: of a text, in characters; None when only `MAX_TEXT_BYTES` limits it.
        nullable: whether None is a value.
        ascii: whether the text may hold ASCII characters only.
        members: the values of an `enum`.
    """

    name: str
    sort: Sort
    max_length: int | None = None
    nullable: bool = False
    members: tuple[str, ...] = ()

    @property
    def ascii(self) -> bool:
        """Whether only ASCII characters are allowed."""
        return self.max_length is not None and self.max_length <= ASCII_LENGTH

    def holds(self, value: object) -> bool:
        """Whether a record could be stored with this value; values of a wrong type cannot.

        Raises:
            Invalid: the value is of another type than the field.
        """
        if self.sort == "text" and isinstance(value, str):
            return _text_fault(value, self) == ""
        if self.sort == "enum":
            if isinstance(value, str) and value in self.members:
                return True
            known = ", ".join(self.members)
            raise Invalid(f"{self.name} is compared with {value!r}; it is one of: {known}")
        if self.sort == "int" and isinstance(value, int) and not isinstance(value, bool):
            return -_MAX_INT <= value < _MAX_INT
        raise Invalid(f"{self.name} is compared with {value!r}; expected {self.sort}")


class Layout(Generic[R]):
    """The columns of one kind of record, with the conversion both ways.

    >>> from zenlib.records import Source
    >>> layout = layout_of(Source)
    >>> layout.encode(Source(id="b3:1", text="x = 1"))
    ('b3:1', 1, 'x = 1')
    >>> layout.decode(('b3:1', 1, 'x = 1'))
    Source(id='b3:1', version=1, text='x = 1')
    """

    def __init__(self, kind: type[R]) -> None:
        self.kind = kind
        self.columns = tuple(_column(name, field) for name, field in kind.model_fields.items())
        self.names = tuple(column.name for column in self.columns)
        self.by_name = {column.name: column for column in self.columns}
        self.number: int | None = None
        self.group: int | None = None
        if kind.NUMBERED is not None:
            self.number, self.group = (self.names.index(name) for name in kind.NUMBERED)
        self._encoders = tuple((c.name, _encoder(c, kind.KIND)) for c in self.columns)
        self._json = tuple(c.name for c in self.columns if c.sort == "json")
        self._validate = kind.__pydantic_validator__.validate_python
        for name in {name for index in kind.INDEXED for name in index}:
            column = self.by_name[name]
            if column.nullable or column.sort not in ("text", "int", "enum"):
                raise TypeError(f"{kind.KIND}.{name} is indexed: it must be a text, int or enum")
            if column.sort == "text" and column.max_length is None:
                raise TypeError(f"{kind.KIND}.{name} is indexed: it needs a max_length")

    def encode(self, record: R) -> Row:
        """Return the record as one value per column.

        Raises:
            Invalid: a value cannot be stored; the message names kind, field and reason.
        """
        values = record.__dict__
        row = tuple([encode(values[name]) for name, encode in self._encoders])
        if row[1] < 1:
            raise Invalid(f"{self.kind.KIND} {row[0]}: the version is {row[1]}; the first is 1")
        return row

    def decode(self, row: Row) -> R:
        """Return the record of a row.

        Raises:
            CorruptArtifact: the row does not hold such a record any more.
        """
        values: dict[str, Any] = dict(zip(self.names, row, strict=True))
        try:
            for name in self._json:
                text = values[name]
                if text is not None:
                    values[name] = {} if text == "{}" else [] if text == "[]" else _loads(text)
            return cast("R", self._validate(values))
        except (ValidationError, ValueError) as error:
            raise CorruptArtifact(
                f"{self.kind.KIND} {values['id']!r} is damaged in the metadata store: {error}"
            ) from error

    def same(self, stored: Row, row: Row) -> bool:
        """Whether a record is stored already as it is given (a number given as 0 equals any)."""
        if self.number is not None and row[self.number] == 0:
            row = (*row[: self.number], stored[self.number], *row[self.number + 1 :])
        return stored == row or self.decode(stored) == self.decode(row)

    def place(self, stored: Row | None, row: Row) -> Literal["insert", "update", "nothing"]:
        """Decide what putting `row` means, given what is stored under its id.

        Raises:
            Conflict: the versions do not match.
        """
        if stored is None:
            if row[1] == 1:
                return "insert"
            found = "it is not stored"
        else:
            if self.same(stored, row):
                return "nothing"
            if stored[1] == row[1] - 1:
                return "update"
            found = f"version {stored[1]} is stored"
            found += ", with another content" if stored[1] == row[1] else ""
        raise Conflict(
            f"{self.kind.KIND} {row[0]} was put as version {row[1]}, but {found}: "
            "read it again and decide"
        )


_LAYOUTS: dict[type[Record], Layout[Any]] = {}


def layout_of(kind: type[R]) -> Layout[R]:
    """Return the layout of one of `zenlib.records.KINDS`.

    Raises:
        Invalid: metadata stores do not keep this kind.
    """
    layout = _LAYOUTS.get(kind)
    if layout is None:
        if kind not in KINDS:
            known = ", ".join(sorted(kind.__name__ for kind in KINDS))
            name = getattr(kind, "__name__", repr(kind))
            raise Invalid(f"a metadata store keeps no {name}; it keeps: {known}")
        layout = _LAYOUTS[kind] = Layout(kind)
    return cast("Layout[R]", layout)


def sorted_rows(records: tuple[Record, ...]) -> list[tuple[Layout[Any], Row]]:
    """Return the rows of one put, lowest version first, else in the order given."""
    rows = []
    plain = True
    for record in records:
        layout = layout_of(type(record))
        row = layout.encode(record)
        plain = plain and row[1] == 1
        rows.append((layout, row))
    if not plain:
        rows.sort(key=lambda item: cast("int", item[1][1]))
    return rows


def _column(name: str, field: FieldInfo) -> Column:
    annotation = field.annotation
    choices = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else ()
    nullable = type(None) in choices or annotation is Any
    if nullable and len(choices) == 2:
        annotation = next(choice for choice in choices if choice is not type(None))
    lengths = (getattr(item, "max_length", None) for item in field.metadata)
    max_length = next((length for length in lengths if length is not None), None)
    if annotation is str:
        return Column(name, "text", max_length, nullable)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return Column(name, "enum", 40, nullable, tuple(member.value for member in annotation))
    scalars: Mapping[Any, Sort] = {int: "int", float: "float", bool: "bool"}
    return Column(name, scalars.get(annotation, "json"), None, nullable)


def _encoder(column: Column, kind: str) -> Callable[[Any], Any]:
    place = f"{kind}.{column.name}"
    make = {
        "text": _text_encoder,
        "int": _int_encoder,
        "enum": _enum_encoder,
        "json": _json_encoder,
        "float": _float_encoder,
        "bool": _int_encoder,
    }[column.sort]
    encode = make(column, place)
    if not column.nullable:
        return encode
    return lambda value: None if value is None else encode(value)


def _refuse(place: str, value: object, why: str) -> NoReturn:
    text = repr(value)
    shown = text if len(text) <= 60 else text[:60] + "…"
    raise Invalid(f"{place} = {shown} cannot be stored: {why}")


def _text_fault(value: str, column: Column) -> str:
    """Return why a text cannot be stored, or ''."""
    limit = column.max_length
    if limit is not None and len(value) > limit:
        return f"it has {len(value):,} characters; at most {limit} are allowed"
    if "\0" in value:
        return "it contains a NUL character"
    if value.isascii():
        size = len(value)
    elif column.ascii:
        return "only ASCII characters are allowed here"
    else:
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            return "it contains half of a surrogate pair, which is no character"
    if size > MAX_TEXT_BYTES:
        return f"it takes {size:,} bytes; at most {MAX_TEXT_BYTES:,} fit. Store it as an artifact"
    return ""


def _text_encoder(column: Column, place: str) -> Callable[[Any], Any]:
    limit = column.max_length or MAX_TEXT_BYTES

    def encode(value: Any) -> str:
        if type(value) is str and value.isascii() and len(value) <= limit and "\0" not in value:
            return value  # nearly always
        if not isinstance(value, str):
            _refuse(place, value, "it is not a text")
        if fault := _text_fault(value, column):
            _refuse(place, value, fault)
        return str(value)

    return encode


def _int_encoder(column: Column, place: str) -> Callable[[Any], Any]:  # noqa: ARG001
    def encode(value: Any) -> int:
        if not isinstance(value, int):
            _refuse(place, value, "it is not an integer")
        if not -_MAX_INT <= value < _MAX_INT:
            _refuse(place, value, "it does not fit into 64 bits")
        return int(value)

    return encode


def _float_encoder(column: Column, place: str) -> Callable[[Any], Any]:  # noqa: ARG001
    def encode(value: Any) -> float:
        if not isinstance(value, (int, float)) or value - value != 0:
            _refuse(place, value, "it is not a finite number")
        return float(value)

    return encode


def _enum_encoder(column: Column, place: str) -> Callable[[Any], Any]:
    # a StrEnum member hashes and compares as its text: both find the plain text here
    texts = {member: member for member in column.members}

    def encode(value: Any) -> str:
        text = texts.get(value) if isinstance(value, str) else None
        if text is None:
            _refuse(place, value, f"it is none of: {', '.join(column.members)}")
        return text

    return encode


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.__dict__
    raise TypeError(f"{type(value).__name__} is not JSON")


# ASCII, so that NUL, emoji and halves of surrogate pairs inside of JSON travel as escapes.
_dumps = json_writer(default=_plain)
_loads = json.JSONDecoder().decode


def _json_encoder(column: Column, place: str) -> Callable[[Any], Any]:  # noqa: ARG001
    def encode(value: Any) -> str:
        if not value:
            if type(value) is dict:
                return "{}"
            if type(value) is tuple or type(value) is list:
                return "[]"
            if value is None:
                _refuse(place, value, "it must have a value")
        try:
            text = _dumps(value)
        except RecursionError:
            _refuse(place, "…", "it is nested too deeply, or contains itself")
        except (TypeError, ValueError) as error:
            _refuse(place, value, f"{error}; only finite JSON can be kept")
        if len(text) > MAX_TEXT_BYTES:
            size = f"it takes {len(text):,} bytes as JSON; at most {MAX_TEXT_BYTES:,} fit"
            _refuse(place, value, f"{size}. Store it as an artifact")
        return text

    return encode

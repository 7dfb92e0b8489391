"""Lists, tuples, dictionaries and dataclasses that hold values of other serializers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, overload

from zenlib import values
from zenlib.errors import Invalid, NotSerializable
from zenlib.instances import (
    Unfit,
    dataclass_items,
    find_class,
    is_named_tuple,
    make_dataclass,
    make_named_tuple,
    reference,
)
from zenlib.serializers.base import Content, Reader, Serializer, Writer

MAX_PARTS = 10_000
"""A container of more values, that are not all data, is kept otherwise: each is a record."""


class Container(Serializer):
    """Keeps each value of a container by the serializer that fits it.

    Tried after JSON, so some value inside is no data: an array, a table, a model, a file.
    """

    name = "container"

    def fits(self, value: object) -> bool:
        """Whether the outermost type is a container."""
        kind = type(value)
        return kind in (list, tuple, dict) or is_named_tuple(kind) or dataclasses.is_dataclass(kind)

    def dump(self, value: Any, writer: Writer) -> Any:
        """Store the parts; the data says what to build from them."""
        try:
            data, parts = _take_apart(value)
        except Unfit as error:
            raise NotSerializable(str(error)) from error
        if len(parts) > MAX_PARTS:
            raise NotSerializable(f"{len(parts)} values, more than {MAX_PARTS}, that are not data")
        for part in parts:
            writer.part(part)
        writer.describe(length=len(parts))
        return data

    def load(self, content: Content, reader: Reader) -> Any:
        """Return the container, built again."""
        data = content.data
        parts = [reader.part(part) for part in content.parts]
        match data:
            case {"kind": "list"}:
                return parts
            case {"kind": "tuple"}:
                return tuple(parts)
            case {"kind": "dict", "keys": keys}:
                return dict(zip(values.decode(keys), parts, strict=True))
            case {"kind": "namedtuple", "class": ref, "fields": list(fields)}:
                found = find_class(ref, "namedtuple", is_named_tuple)
                return make_named_tuple(found, dict(zip(fields, parts, strict=True)))
            case {"kind": "dataclass", "class": ref, "fields": list(fields)}:
                found = find_class(ref, "dataclass", dataclasses.is_dataclass)
                return make_dataclass(found, dict(zip(fields, parts, strict=True)))
        raise Invalid(f"not the record of a container: {data!r:.200}")

    @staticmethod
    def is_sequence(content: Content) -> bool:
        """Whether a stored container is a list or tuple, whose parts are its elements."""
        return isinstance(content.data, dict) and content.data.get("kind") in ("list", "tuple")


def _take_apart(value: Any) -> tuple[dict[str, Any], list[Any]]:
    kind = type(value)
    if kind is list or kind is tuple:
        return {"kind": kind.__name__}, list(value)
    if kind is dict:
        return {"kind": "dict", "keys": values.encode(list(value), place="keys")}, list(
            value.values()
        )
    if is_named_tuple(kind):
        if getattr(value, "__dict__", None):
            raise Unfit("a named tuple with attributes besides its fields")
        fields, parts = list(kind._fields), list(value)
    else:
        items = dataclass_items(value)
        fields, parts = [name for name, _ in items], [part for _, part in items]
    what = "namedtuple" if is_named_tuple(kind) else "dataclass"
    return {"kind": what, "class": reference(kind), "fields": fields}, parts


class Batches(Sequence[Any]):
    """A stored sequence of batches, each loaded when it is asked for and not kept.

    What a generator step gives: `for batch in batches`, `len(batches)`, `batches[3]`; it can be
    walked any number of times, one batch in memory at a time.
    """

    def __init__(self, contents: Sequence[Content], reader: Reader) -> None:
        self._contents = tuple(contents)
        self._reader = reader

    def __len__(self) -> int:
        return len(self._contents)

    def __iter__(self) -> Iterator[Any]:
        return (self._reader.part(content) for content in self._contents)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Batches: ...
    def __getitem__(self, index: int | slice) -> Any:
        """Load one batch, or take some of them unloaded."""
        if isinstance(index, slice):
            return Batches(self._contents[index], self._reader)
        return self._reader.part(self._contents[index])

    def __repr__(self) -> str:
        return f"<Batches: {len(self)}, loaded one at a time>"

    def contents(self) -> tuple[Content, ...]:
        """Return the stored batches, unloaded."""
        return self._contents


class BatchesSerializer(Serializer):
    """Keeps what a generator yields, batch by batch."""

    name = "batches"

    def fits(self, value: object) -> bool:
        """Whether it is a `Batches`, given on by a step; generators come by `Shelf.save_batches`."""
        return type(value) is Batches

    def dump(self, value: Any, writer: Writer) -> Any:
        """Store each batch in turn; only one is in memory."""
        count = 0
        for batch in value:
            writer.part(batch)
            count += 1
        writer.describe(batches=count)

    def load(self, content: Content, reader: Reader) -> Any:
        """Return the batches, unloaded."""
        return Batches(content.parts, reader)

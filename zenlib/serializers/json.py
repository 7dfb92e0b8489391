"""Values that are data: what `zenlib.values` can encode, in the record itself or as a JSON file."""

from __future__ import annotations

import dataclasses
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID

from zenlib import values
from zenlib.errors import Invalid
from zenlib.instances import is_named_tuple
from zenlib.serializers.base import Content, Reader, Serializer, Writer

INLINE_BYTES = 4096
"""JSON texts up to this size travel inside the metadata record."""

LARGE_BYTES = 2048
"""Byte strings above this size are files of their own."""

_NAME = "value.json"
_KINDS = frozenset(
    {
        *(type(None), bool, int, float, complex, str, bytes, bytearray, range, slice),
        *(list, dict, tuple, set, frozenset, datetime, date, time, timedelta, UUID, Decimal),
        *(Fraction, PurePosixPath, PureWindowsPath),
    }
)


class Json(Serializer):
    """Keeps data as the text that `values.canonical` makes of it.

    The text, not what it means, is the content's data: so the order of a dictionary's items is
    kept by every store.
    """

    name = "json"

    def fits(self, value: object) -> bool:
        """Whether the outermost type is data; `dump` finds out about what is inside."""
        kind = type(value)
        if kind in _KINDS:
            return kind not in (bytes, bytearray) or len(value) <= LARGE_BYTES  # type: ignore[arg-type]
        return (
            isinstance(value, Enum)
            or dataclasses.is_dataclass(kind)
            or is_named_tuple(kind)
            or _is_foreign_data(value)
        ) and not isinstance(value, PurePath)

    def dump(self, value: Any, writer: Writer) -> Any:
        """Return the text, or write it to a file when it is long."""
        text = values.canonical(value, files=False)
        if isinstance(value, list | tuple | dict | str):
            writer.describe(length=len(value))
        return self.keep(text, writer)

    def keep(self, text: bytes, writer: Writer) -> str | None:
        """Return a canonical text as the content's data, or write it to a file when it is long."""
        if len(text) <= INLINE_BYTES:
            return text.decode("ascii")
        with writer.open(_NAME) as file:
            file.write(text)
        return None

    def load(self, content: Content, reader: Reader) -> Any:
        """Return the value of the text."""
        return values.parse(self.text(content, reader))

    def text(self, content: Content, reader: Reader) -> str | bytes:
        """Return the text of a stored value."""
        if not content.files:
            if not isinstance(content.data, str):
                raise Invalid("not the record of a JSON value: its data is no text")
            return content.data
        return reader.path(_NAME).read_bytes()


def _is_foreign_data(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        return True
    main = sys.modules.get("pydantic.main")
    return main is not None and isinstance(value, main.BaseModel)

"""Exact bytes for the plain values that appear in code and in constants."""

from __future__ import annotations

import struct
from types import EllipsisType, NoneType
from typing import Any


def text(value: str) -> bytes:
    """Return bytes that no other string has, and that end where the string ends.

    >>> text("é")
    b's2:\\xc3\\xa9'
    """
    data = value.encode("utf-8", "surrogatepass")
    return b"s%d:%b" % (len(data), data)


def scalar(value: Any) -> bytes | None:
    """Return the exact bytes of a plain value, or None if its type is not one of them.

    Types are kept apart (`1`, `1.0` and `True` differ), and so are `0.0`, `-0.0` and each NaN.
    """
    kind = type(value)
    if kind is str:
        return text(value)
    if kind is int:
        return b"i%x;" % value
    if kind is float:
        return b"f" + struct.pack(">d", value)
    if kind is bytes:
        return b"b%d:%b" % (len(value), value)
    if kind is complex:
        return b"c" + struct.pack(">dd", value.real, value.imag)
    return _NAMED.get(kind, {}).get(value) if kind in _NAMED else None


_NAMED: dict[type, dict[object, bytes]] = {
    bool: {True: b"T;", False: b"F;"},
    NoneType: {None: b"N;"},
    EllipsisType: {...: b"E;"},
    type(NotImplemented): {NotImplemented: b"X;"},
}

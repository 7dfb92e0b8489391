"""Digests, canonical JSON and time-ordered ids: how zenlib names things by what they are."""

from __future__ import annotations

import json
import os
import re
import threading
import time
import uuid
from typing import Any, NewType

from blake3 import blake3

from zenlib.errors import Invalid

Digest = NewType("Digest", str)
"""A BLAKE3-256 digest written as `b3:` and 64 lower-case hexadecimal digits."""

_DIGEST = re.compile(r"b3:[0-9a-f]{64}")


def digest_of(data: bytes) -> Digest:
    """Return the digest of some bytes.

    >>> digest_of(b"")[:11]
    'b3:af1349b9'
    """
    return Digest("b3:" + blake3(data).hexdigest())


def parse_digest(text: str) -> Digest:
    """Return `text` as a digest.

    Raises:
        Invalid: it is not one.
    """
    if not _DIGEST.fullmatch(text):
        raise Invalid(f"not a digest: {text!r}; expected 'b3:' and 64 hexadecimal digits")
    return Digest(text)


_ENCODE = json.JSONEncoder(
    ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


def canonical_json(data: Any) -> bytes:
    """Return the one JSON text of `data`: sorted keys, no spaces, ASCII, no NaN.

    For structures of our own, where the order of keys means nothing. A user's dictionary goes
    through `zenlib.values` first, which keeps the order of its items.
    """
    return _ENCODE(data).encode("ascii")


_COMPACT = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


def compact_json(data: Any) -> str:
    """Return the JSON text of a user's data: no spaces, ASCII, no NaN, items in their own order.

    The order of a dictionary's items can change what a function does with it, so two orders are
    two values.

    >>> compact_json({"b": 1, "a": 2})
    '{"b":1,"a":2}'
    """
    return _COMPACT(data)


def digest_json(data: Any) -> Digest:
    """Return the digest of `canonical_json(data)`."""
    return digest_of(canonical_json(data))


_last = 0
_lock = threading.Lock()


def new_id() -> str:
    """Return a new UUIDv7 (RFC 9562 §5.7): ids made later by one process sort later.

    The 12 bits after the milliseconds hold its fraction in 1/4096 (method 3 of §6.2) and are
    counted up when the clock has not moved, so the order holds within a process even when the
    clock is set back.
    """
    global _last  # noqa: PLW0603
    with _lock:
        now = time.time_ns() * 4096 // 1_000_000
        _last = now = max(now, _last + 1)
    value = (now >> 12) << 80 | 0x7 << 76 | (now & 0xFFF) << 64 | 0b10 << 62
    value |= int.from_bytes(os.urandom(8)) & (1 << 62) - 1
    return str(uuid.UUID(int=value))


def id_time_us(id: str) -> int:
    """Return when an id of `new_id` was made, in microseconds since 1970 (UTC)."""
    number = uuid.UUID(id).int
    return (number >> 80) * 1000 + ((number >> 64 & 0xFFF) * 1000 >> 12)

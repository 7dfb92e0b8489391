"""Digests, canonical JSON and time-ordered ids: how zenlib names things by what they are."""

from __future__ import annotations

import json
import random
import re
import threading
import time
import uuid
from collections.abc import Callable
from json.encoder import c_make_encoder, encode_basestring_ascii  # type: ignore[attr-defined]
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


def json_writer(
    *, sort_keys: bool = False, default: Callable[[Any], Any] | None = None
) -> Callable[[Any], str]:
    """Return a function that writes JSON text: ASCII, no spaces, no NaN, no check for cycles.

    `JSONEncoder.encode` makes its C encoder anew for each call, which for small data takes most
    of the time; the function returned here makes it once.

    >>> json_writer(sort_keys=True)({"b": 1, "a": [True, None]})
    '{"a":[true,null],"b":1}'
    """
    encoder = json.JSONEncoder(
        ensure_ascii=True,
        allow_nan=False,
        check_circular=False,
        sort_keys=sort_keys,
        separators=(",", ":"),
        default=default,
    )
    if c_make_encoder is None:  # not CPython
        return encoder.encode
    chunks = c_make_encoder(
        None, encoder.default, encode_basestring_ascii, None, ":", ",", sort_keys, False, False
    )
    join = "".join
    return lambda data: join(chunks(data, 0))


_ENCODE = json_writer(sort_keys=True)


def canonical_json(data: Any) -> bytes:
    """Return the one JSON text of `data`: sorted keys, no spaces, ASCII, no NaN.

    For structures of our own, where the order of keys means nothing. A user's dictionary goes
    through `zenlib.values` first, which keeps the order of its items.
    """
    return _ENCODE(data).encode("ascii")


_COMPACT = json_writer()


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
    global _last
    with _lock:
        now = time.time_ns() * 4096 // 1_000_000
        _last = now = max(now, _last + 1)
    value = (now >> 12) << 80 | 0x7 << 76 | (now & 0xFFF) << 64 | 0b10 << 62
    # The `random` module seeds itself from the system, and anew in a forked child.
    digits = f"{value | random.getrandbits(62):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def id_time_us(id: str) -> int:
    """Return when an id of `new_id` was made, in microseconds since 1970 (UTC)."""
    number = uuid.UUID(id).int
    return (number >> 80) * 1000 + ((number >> 64 & 0xFFF) * 1000 >> 12)

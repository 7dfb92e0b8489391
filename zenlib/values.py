"""Small Python values as JSON data and back, exactly: parameters, metrics, results of a few KiB."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID

from zenlib import instances
from zenlib.errors import Denied, Invalid, NotSerializable
from zenlib.instances import Unfit, tag

MAX_DEPTH = 200
"""How deep values may be nested: what one level adds in JSON stays below Python's own limit."""

_PLAIN = (str, int, bool, float, type(None))
_BIG = 1 << 4096  # Python refuses to read or print integers of more than 4300 digits


def encode(value: Any, *, place: str = "value", files: bool = True) -> Any:
    """Return `value` as JSON data that `decode` turns into an equal value of the same type.

    None, booleans, integers, finite floats, strings, lists and dictionaries with string keys are
    themselves; everything else becomes `{"$": tag, "v": ...}`. The order of a dictionary's items
    is kept, so the data must not be sorted on the way. Instances of dataclasses, named tuples,
    enums and pydantic models are kept by the name of their class and by their fields.

    Args:
        place: how errors call the value.
        files: whether a `pathlib.Path` counts as data; if not, it cannot be encoded.

    Raises:
        NotSerializable: some part has no exact form; the message names its place.

    >>> encode((1, 2.5))
    {'$': 'tuple', 'v': [1, 2.5]}
    """
    try:
        return _encode(value, 0 if files else _REFUSE_PATHS)
    except Unfit as unfit:
        where = place + "".join(unfit.steps[:-21:-1]) + "…" * (len(unfit.steps) > 20)
        raise NotSerializable(f"{where}: {unfit}") from unfit.__cause__
    except RecursionError as error:
        raise NotSerializable(f"{place}: nested too deep for the stack that is left") from error


def decode(data: Any) -> Any:
    """Return the value that `encode` was called on.

    Classes are looked up by name, in modules that are imported if need be. Nothing but an enum,
    dataclass, named tuple or pydantic model is ever made, and none of its own code is called.

    Raises:
        Invalid: the data was not made by `encode`, or a class has changed or is not there.
        Denied: the data names something that is not a class of these kinds.

    >>> decode({"$": "tuple", "v": [1, 2.5]})
    (1, 2.5)
    """
    try:
        return _decode(data, 0)
    except (Invalid, Denied):
        raise
    except RecursionError as error:
        raise Invalid("not an encoded value: nested too deep") from error
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise Invalid(f"not an encoded value: {error}") from error


def fits(value: Any) -> bool:
    """Return whether `encode` would succeed.

    >>> fits({"lr": 0.1}), fits(print)
    (True, False)
    """
    try:
        encode(value)
    except NotSerializable:
        return False
    return True


_text = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


def canonical(value: Any, *, place: str = "value", files: bool = True) -> bytes:
    """Return the one JSON text of a value: ASCII, no spaces, items in the value's own order.

    Values of different types, and dictionaries of different order, have different texts.

    Raises:
        NotSerializable: as `encode`.

    >>> canonical({"b": 1, "a": (True,)})
    b'{"b":1,"a":{"$":"tuple","v":[true]}}'
    """
    data = encode(value, place=place, files=files)
    try:
        return _text(data).encode("ascii")
    except RecursionError as error:
        raise NotSerializable(f"{place}: nested too deep for the stack that is left") from error


def parse(text: str | bytes) -> Any:
    """Return the value of a text that `canonical` wrote.

    Raises:
        Invalid: it is no such text: broken, NaN, a key twice, nested too deep.
        Denied: as `decode`.

    >>> parse(b'{"$":"tuple","v":[true]}')
    (True,)
    """
    return decode(parse_data(text))


def parse_data(text: str | bytes) -> Any:
    """Return the JSON data of a text, without what JSON readers accept beyond JSON.

    Raises:
        Invalid: as `parse`.
    """
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_twins)
    except RecursionError as error:
        raise Invalid("not JSON of an encoded value: nested too deep") from error
    except ValueError as error:
        raise Invalid(f"not JSON of an encoded value: {error}") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a key twice")
    return found


# Encoding. `depth` counts the nesting; from _REFUSE_PATHS up it also says that files are no data.

_REFUSE_PATHS = 1 << 20


def _encode(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind is str:
        return value if value.isascii() or _is_unicode(value) else tag("str", _escape(value))
    if kind is int:
        return value if -_BIG < value < _BIG else tag("int", hex(value))
    if kind is bool or value is None:
        return value
    if kind is float:
        return value if math.isfinite(value) else tag("float", repr(value))
    if depth & (_REFUSE_PATHS - 1) >= MAX_DEPTH:
        raise Unfit(f"nested deeper than {MAX_DEPTH} levels, or contains itself")
    known = _ENCODERS.get(kind)
    if known is not None:
        return known(value, depth + 1)
    return instances.encode(value, lambda part: _encode(part, depth + 1))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _escape(text: str) -> str:
    """Return ASCII for a text with lone surrogates, which JSON would join into one character."""
    return text.encode("unicode_escape").decode("ascii")


def _items(values: Iterable[Any], depth: int) -> list[Any]:
    found: list[Any] = []
    try:
        for value in values:
            found.append(_encode(value, depth))  # noqa: PERF401 - len(found) names the place
    except Unfit as unfit:
        unfit.steps.append(f"[{len(found)}]")
        raise
    return found


def _encode_dict(value: dict[Any, Any], depth: int) -> Any:
    if "$" in value or not all(type(k) is str and (k.isascii() or _is_unicode(k)) for k in value):
        return tag("dict", [_pair(key, item, depth) for key, item in value.items()])
    found = {}
    key = ""
    try:
        for key, item in value.items():
            found[key] = _encode(item, depth)
    except Unfit as unfit:
        unfit.steps.append(f"[{key!r}]")
        raise
    return found


def _pair(key: Any, item: Any, depth: int) -> list[Any]:
    try:
        return [_encode(key, depth), _encode(item, depth)]
    except Unfit as unfit:
        unfit.steps.append(f"[{key!r:.80}]")
        raise


def _encode_set(value: Iterable[Any], depth: int) -> list[Any]:
    found = []
    for item in value:
        try:
            found.append(_encode(item, depth))
        except Unfit as unfit:
            unfit.steps.append(f"{{{item!r:.80}}}")
            raise
    return sorted(found, key=_text)


def _zone(zone: tzinfo | None) -> Any:
    if zone is None:
        return None
    if type(zone) is timezone:
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]
        return [_delta(offset), *(_encode(part, 0) for part in name)]
    if type(zone).__module__ == "zoneinfo" and getattr(zone, "key", None):
        return zone.key  # type: ignore[attr-defined]
    raise Unfit(
        f"a time zone of {instances.type_name(zone)} has no exact form; use zoneinfo.ZoneInfo(key)"
    )


def _delta(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _encode_time(value: datetime | time, _: int) -> list[Any]:
    return [value.replace(tzinfo=None, fold=0).isoformat(), value.fold, _zone(value.tzinfo)]


def _encode_path(value: PurePath, depth: int) -> Any:
    if isinstance(value, Path):
        if depth >= _REFUSE_PATHS:
            raise Unfit("a path stands for the content of its file, which is no data")
        return tag("path", ["Path", _encode(str(value), depth)])
    return tag("path", [type(value).__name__, _encode(str(value), depth)])


def _base64(value: bytes | bytearray) -> str:
    return base64.b64encode(value).decode("ascii")


def _tagged(name: str, content: Callable[[Any, int], Any]) -> Callable[[Any, int], Any]:
    return lambda value, depth: {"$": name, "v": content(value, depth)}


_ENCODERS: dict[type, Callable[[Any, int], Any]] = {
    list: _items,
    dict: _encode_dict,
    tuple: _tagged("tuple", _items),
    set: _tagged("set", _encode_set),
    frozenset: _tagged("frozenset", _encode_set),
    bytes: _tagged("bytes", lambda v, _: _base64(v)),
    bytearray: _tagged("bytearray", lambda v, _: _base64(v)),
    complex: _tagged("complex", lambda v, d: [_encode(v.real, d), _encode(v.imag, d)]),
    range: _tagged("range", lambda v, d: _items((v.start, v.stop, v.step), d)),
    slice: _tagged("slice", lambda v, d: _items((v.start, v.stop, v.step), d)),
    datetime: _tagged("datetime", _encode_time),
    time: _tagged("time", _encode_time),
    date: _tagged("date", lambda v, _: v.isoformat()),
    timedelta: _tagged("timedelta", lambda v, _: _delta(v)),
    UUID: _tagged("uuid", lambda v, _: str(v)),
    Decimal: _tagged("decimal", lambda v, _: str(v)),
    Fraction: _tagged("fraction", lambda v, d: _items((v.numerator, v.denominator), d)),
    PurePosixPath: _encode_path,
    PureWindowsPath: _encode_path,
    type(Path()): _encode_path,
}


# Decoding. A tag's content is checked by what it is given to: constructors of the standard library.


def _decode(data: Any, depth: int) -> Any:
    kind = type(data)
    if kind in _PLAIN:
        return data
    if depth >= MAX_DEPTH:
        raise Invalid(f"not an encoded value: nested deeper than {MAX_DEPTH} levels")
    if kind is list:
        return [_decode(item, depth + 1) for item in data]
    if kind is not dict:
        raise Invalid(f"not an encoded value: {kind.__name__} is no JSON data")
    if "$" not in data:
        return {key: _decode(item, depth + 1) for key, item in data.items()}
    if data.keys() != {"$", "v"}:
        raise Invalid(f"not an encoded value: keys {sorted(data)!r:.200} beside '$'")
    known = _DECODERS.get(data["$"]) if isinstance(data["$"], str) else None
    if known is not None:
        return known(data["v"], depth + 1)
    return instances.decode(data["$"], data["v"], lambda part: _decode(part, depth + 1))


def _all(data: Any, depth: int) -> list[Any]:
    if type(data) is not list:
        raise Invalid(f"not an encoded value: {data!r:.80} is no list")
    return [_decode(item, depth) for item in data]


def _unescape(text: str) -> str:
    return text.encode("ascii").decode("unicode_escape")


def _decode_float(text: str, _: int) -> float:
    if text not in ("nan", "inf", "-inf"):
        raise Invalid(f"not an encoded value: {text!r:.80} as a float")
    return float(text)


def _decode_dict(data: Any, depth: int) -> dict[Any, Any]:
    found = {_decode(key, depth): _decode(item, depth) for key, item in data}
    if len(found) != len(data):
        raise Invalid("not an encoded value: a dictionary has a key twice")
    return found


def _decode_zone(data: Any) -> tzinfo | None:
    if data is None:
        return None
    if isinstance(data, str):
        import zoneinfo  # only here: it is slow to import

        try:
            return zoneinfo.ZoneInfo(data)
        except (zoneinfo.ZoneInfoNotFoundError, OSError) as error:
            raise Invalid(
                f"no time zone {data!r:.80} on this machine: pip install tzdata"
            ) from error
    offset, *name = data
    return timezone(timedelta(*offset), *(_decode(part, 0) for part in name))


def _decode_datetime(data: Any, _: int) -> datetime:
    text, fold, zone = data
    return datetime.fromisoformat(text).replace(fold=fold, tzinfo=_decode_zone(zone))


def _decode_time(data: Any, _: int) -> time:
    text, fold, zone = data
    return time.fromisoformat(text).replace(fold=fold, tzinfo=_decode_zone(zone))


_PATHS: dict[str, type[PurePath]] = {
    "Path": Path,
    "PurePosixPath": PurePosixPath,
    "PureWindowsPath": PureWindowsPath,
}


def _decode_path(data: Any, depth: int) -> PurePath:
    name, text = data
    return _PATHS[name](_decode(text, depth))


def _bytes(text: str, _: int) -> bytes:
    return base64.b64decode(text, validate=True)


_DECODERS: dict[str, Callable[[Any, int], Any]] = {
    "str": lambda v, _: _unescape(v),
    "int": lambda v, _: int(v, 16),
    "float": _decode_float,
    "dict": _decode_dict,
    "tuple": lambda v, d: tuple(_all(v, d)),
    "set": lambda v, d: set(_all(v, d)),
    "frozenset": lambda v, d: frozenset(_all(v, d)),
    "bytes": _bytes,
    "bytearray": lambda v, d: bytearray(_bytes(v, d)),
    "complex": lambda v, d: complex(*_all(v, d)),
    "range": lambda v, d: range(*_all(v, d)),
    "slice": lambda v, d: slice(*_all(v, d)),
    "datetime": _decode_datetime,
    "time": _decode_time,
    "date": lambda v, _: date.fromisoformat(v),
    "timedelta": lambda v, _: timedelta(*v),
    "uuid": lambda v, _: UUID(v),
    "decimal": lambda v, _: Decimal(v),
    "fraction": lambda v, d: Fraction(*_all(v, d)),
    "path": _decode_path,
}

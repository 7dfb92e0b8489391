"""Parameters of a pipeline, as they are written on the command line: `lr=0.2`."""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Literal, TypeVar, Union, get_args, get_origin
from uuid import UUID

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from zenlib import hints
from zenlib.errors import Invalid
from zenlib.pipelines import Pipeline
from zenlib.wording import nearest, shown

_SCALARS = (str, bytes, int, float, complex, date, time, timedelta, Decimal, UUID, PurePath)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True)
class Arguments:
    """What a pipeline is called with."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def arguments(pipeline: Pipeline[..., Any], texts: Sequence[str]) -> Arguments:
    """Return the arguments that `name=text` and `name:=JSON` stand for.

    Raises:
        Invalid: a parameter is unknown, missing or given twice, or a text is no value of its type.
    """
    signature = inspect.signature(pipeline.fn)
    kinds = hints.hints_of(pipeline.fn)
    given = _split(texts)
    extra = next((p for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD), None)
    values: dict[str, Any] = {}
    for name, (text, strictly) in given.items():
        parameter = signature.parameters.get(name)
        if parameter is None or parameter.kind in _VARIADIC:
            parameter = extra
        if parameter is None:
            raise Invalid(_unknown(pipeline, name, signature))
        hint = kinds.get(parameter.name, Any)
        try:
            values[name] = parse_json(text, hint) if strictly else parse(text, hint)
        except Unfit as unfit:
            raise Invalid(
                f"--param {shown(f'{name}={text}')}: parameter {name!r} of pipeline "
                f"{pipeline.name!r} takes {hints.show(hints.strip(hint))}: {unfit}"
            ) from None
    _check_missing(pipeline, signature, values)
    return _arranged(signature, values)


def _split(texts: Sequence[str]) -> dict[str, tuple[str, bool]]:
    found: dict[str, tuple[str, bool]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        strictly = name.endswith(":")
        name = name.removesuffix(":").strip()
        if not equals or not name:
            raise Invalid(f"--param {shown(text)}: write name=value (or name:=JSON)")
        if name in found:
            raise Invalid(f"--param {name}: given twice")
        found[name] = value, strictly
    return found


def _unknown(pipeline: Pipeline[..., Any], name: str, signature: inspect.Signature) -> str:
    known = [p.name for p in signature.parameters.values() if p.kind not in _VARIADIC]
    listed = f"; its parameters are {', '.join(known)}" if known else "; it takes none"
    return (
        f"pipeline {pipeline.name!r} has no parameter {shown(name)}{nearest(name, known)}{listed}"
    )


def _check_missing(
    pipeline: Pipeline[..., Any], signature: inspect.Signature, values: Mapping[str, Any]
) -> None:
    missing = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in _VARIADIC
        and parameter.name not in values
    ]
    if missing:
        options = " ".join(f"--param {name}=…" for name in missing)
        raise Invalid(f"pipeline {pipeline.name!r} needs {', '.join(missing)}: add {options}")


def _arranged(signature: inspect.Signature, values: dict[str, Any]) -> Arguments:
    """Give positional-only parameters by place, up to the last one that was given."""
    first = [p for p in signature.parameters.values() if p.kind is p.POSITIONAL_ONLY]
    while first and first[-1].name not in values:
        first.pop()
    args = tuple(values.pop(p.name, p.default) for p in first)
    return Arguments(args, values)


# One value.


class Unfit(Exception):
    """A text is no value of a type; says why."""


def parse(text: str, hint: Any = Any) -> Any:
    """Return the value that a text stands for, where a `hint` is expected.

    Without a hint: what the text is as JSON, else the text itself.

    Raises:
        Unfit: it is none; says why.

    >>> parse("0.2"), parse("adam"), parse("7", str), parse("[1, 2]", tuple[int, ...])
    (0.2, 'adam', '7', (1, 2))
    """
    plain = hints.strip(hint)
    if plain is Any or isinstance(plain, str | TypeVar):
        return _json_or_text(text)
    if plain is str:
        return text if plain is hint else _checked(hint, text)
    if plain is None or plain is type(None):
        if text in ("null", "None"):
            return None
        raise Unfit("write null")
    if get_origin(plain) in (Union, types.UnionType):
        return _one_of(text, plain)
    if get_origin(plain) is Literal or (isinstance(plain, type) and issubclass(plain, Enum)):
        return _choice(text, plain)
    if isinstance(plain, type) and issubclass(plain, _SCALARS):
        return _checked(hint, text)
    return parse_json(text, hint)


def parse_json(text: str, hint: Any = Any) -> Any:
    """Return the value of a JSON text, where a `hint` is expected.

    Raises:
        Unfit: it is none; says why.
    """
    check = _checker(hint)
    try:
        data = _loads(text)
    except json.JSONDecodeError as error:
        raise Unfit(f"not JSON: {error}") from None
    return check(data)


def _json_or_text(text: str) -> Any:
    try:
        return _loads(text)
    except json.JSONDecodeError:
        return text


def _loads(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_no_twins)
    except RecursionError:
        raise Unfit("nested too deep") from None
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # an integer of more digits than Python reads
        raise Unfit(str(error).partition(";")[0]) from None


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unfit("an object has a key twice")
    return found


def _one_of(text: str, hint: Any) -> Any:
    """Return a value of one of the types of a union: what fits as JSON, else what fits as text."""
    options = get_args(hint)
    if type(None) in options and (text == "null" or (text == "None" and str not in options)):
        return None
    try:
        if str in options:
            _loads(text)
            return _own_zones(TypeAdapter(hint).validate_json(text, strict=True))
    except (json.JSONDecodeError, ValidationError, PydanticUserError):
        pass
    reasons = []
    others = [option for option in options if option is not type(None)]
    for option in sorted(others, key=lambda option: option is str):  # any text is a str: last
        try:
            return parse(text, option)
        except Unfit as unfit:
            reasons.append(str(unfit))
    raise Unfit("; or ".join(dict.fromkeys(reasons)))


def _choice(text: str, hint: Any) -> Any:
    """Return the member of an enum, by value or name, or the option of a `Literal`."""
    try:
        return _checked(hint, text)
    except Unfit as unfit:
        reason = unfit
    try:
        return _checked(hint, _loads(text))
    except (Unfit, json.JSONDecodeError):
        pass
    if isinstance(hint, type) and text in getattr(hint, "__members__", {}):
        return hint[text]  # type: ignore[index]
    raise reason


def _checked(hint: Any, data: Any) -> Any:
    """Return data as a value of the hinted type, by pydantic's lax rules."""
    return _checker(hint)(data)


def _checker(hint: Any) -> Callable[[Any], Any]:
    try:
        adapter = TypeAdapter(hint)
    except PydanticUserError:
        raise Unfit("a value of this type cannot be written on the command line") from None

    def check(data: Any) -> Any:
        try:
            return _own_zones(adapter.validate_python(data))
        except ValidationError as error:
            raise Unfit(_first(error)) from None

    return check


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    place = ".".join(str(part) for part in found[0]["loc"])
    message = found[0]["msg"]
    message = message[:1].lower() + message[1:]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{place}: {message}{more}" if place else f"{message}{more}"


def _own_zones(value: Any) -> Any:
    """Replace pydantic's own time zones, which mean nothing elsewhere, by Python's."""
    kind = type(value)
    if kind in (datetime, time) and type(value.tzinfo).__module__.startswith("pydantic_core"):
        return value.replace(tzinfo=timezone(value.utcoffset()))
    if kind in (list, tuple, set, frozenset):
        return kind(_own_zones(item) for item in value)
    if kind is dict:
        return {_own_zones(key): _own_zones(item) for key, item in value.items()}
    return value

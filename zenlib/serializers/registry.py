"""Which serializer keeps a value, and which one loads it: by type, by name, by entry point."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from zenlib.errors import Invalid, ZenlibWarning
from zenlib.serializers.base import Serializer

GROUP = "zenlib.serializers"
"""The group of entry points by which other packages add serializers."""

_HERE = "zenlib.serializers"
_BUILTIN: tuple[tuple[str, str, frozenset[str]], ...] = (
    # name, class, top-level modules of the types that it keeps (none: of any module)
    ("json", f"{_HERE}.json:Json", frozenset()),
    ("path", f"{_HERE}.path:PathContent", frozenset({"pathlib"})),
    ("bytes", f"{_HERE}.bytes:Bytes", frozenset({"builtins"})),
    ("numpy", f"{_HERE}.numpy:Numpy", frozenset({"numpy"})),
    ("pandas", f"{_HERE}.pandas:Pandas", frozenset({"pandas"})),
    ("polars", f"{_HERE}.polars:Polars", frozenset({"polars"})),
    ("arrow", f"{_HERE}.arrow:Arrow", frozenset({"pyarrow"})),
    ("sklearn", f"{_HERE}.sklearn:Sklearn", frozenset({"sklearn", "scipy"})),
    ("batches", f"{_HERE}.containers:BatchesSerializer", frozenset({"zenlib"})),
    ("container", f"{_HERE}.containers:Container", frozenset()),
)
_EXTRAS = {"numpy": "numpy", "pandas": "pandas", "polars": "polars", "arrow": "arrow"}
_EXTRAS["sklearn"] = "sklearn"
_BUILTIN_NAMES = {name for name, _, _ in _BUILTIN} | {"pickle"}
_registered: dict[str, Serializer] = {}


def register(serializer: Serializer) -> None:
    """Use a serializer for the values that fit it, before those that come with zenlib.

    Call it in the module of the steps, so that it is called in every process that runs them.
    Registering the same name again replaces the serializer.

    Raises:
        Invalid: the name belongs to a serializer of zenlib.
    """
    if serializer.name in _BUILTIN_NAMES:
        raise Invalid(f"a serializer named {serializer.name!r} comes with zenlib; rename yours")
    _registered[serializer.name] = serializer


def candidates(value: object) -> Iterator[Serializer]:
    """Yield the serializers that may keep a value, the best first; pickle is not among them."""
    for serializer in _registered.values():
        if serializer.fits(value):
            yield serializer
    top = type(value).__module__.partition(".")[0]
    for name, _, modules in _BUILTIN:
        if not modules or top in modules:
            serializer = _builtin(name)
            if serializer.fits(value):
                yield serializer
    for name in _entry_points():
        found = _plugin(name)
        if found is not None and found.fits(value):
            yield found


def named(name: str) -> Serializer:
    """Return the serializer that wrote a value.

    Raises:
        Invalid: it is not installed; the message says what to install.
    """
    if name in _registered:
        return _registered[name]
    if name in _BUILTIN_NAMES:
        return _builtin(name)
    found = _plugin(name) if name in _entry_points() else None
    if found is None:
        raise Invalid(
            f"no serializer named {name!r}: install the package that brings it, or import the "
            "module that registers it"
        )
    return found


@cache
def _builtin(name: str) -> Serializer:
    where = next(where for known, where, _ in _BUILTIN if known == name)
    module, _, attribute = where.partition(":")
    try:
        found: Serializer = getattr(importlib.import_module(module), attribute)()
    except ImportError as error:
        extra = _EXTRAS.get(name, "all")
        raise Invalid(
            f"{error}, which values of {name} need: pip install 'zenlib[{extra}]'"
        ) from error
    return found


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


@cache
def _plugin(name: str) -> Serializer | None:
    point = _entry_points()[name]
    try:
        found = point.load()()
    except Exception as error:  # noqa: BLE001 - somebody else's code; whatever it raises, say so
        package = point.dist.name if point.dist else point.value
        warnings.warn(
            f"serializer {name!r} of {package} cannot be used: {error!r}",
            ZenlibWarning,
            stacklevel=2,
        )
        return None
    if not isinstance(found, Serializer) or found.name != name:
        raise Invalid(f"entry point {point.value} is not a Serializer named {name!r}")
    return found

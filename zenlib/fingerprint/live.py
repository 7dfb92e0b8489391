"""Facts about live objects: who owns them, and whether all of their state can be seen."""

from __future__ import annotations

import copyreg
import sys
import types
from collections.abc import Callable
from typing import Any

from zenlib.fingerprint.project import PROJECT, Owner, Project, file_of_module

CONTAINERS: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (list, lambda value: list(list.__iter__(value))),
    (dict, lambda value: dict(dict.items(value))),
    (tuple, lambda value: tuple(tuple.__iter__(value))),
    (set, lambda value: set(set.__iter__(value))),
    (frozenset, lambda value: frozenset(frozenset.__iter__(value))),
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (bytes, bytes.__bytes__),
    (complex, complex.__complex__),
)
"""The classes in C whose content can be told exactly also for instances of subclasses."""


def owner_of_globals(project: Project, names: dict[str, Any]) -> Owner:
    """Return who owns the functions of a namespace."""
    name, file = names.get("__name__"), names.get("__file__")
    spec = names.get("__spec__")
    name = getattr(spec, "name", None) or name
    if not isinstance(name, str):
        return PROJECT
    if not isinstance(file, str):
        module = sys.modules.get(name)
        if module is None or vars(module) is not names:
            return PROJECT
        file = file_of_module(module)
    return project.owner(name, file)


def owner_of_module(project: Project, name: str) -> Owner:
    """Return who owns a module, by name."""
    module = sys.modules.get(name)
    if module is None:
        return project.owner(name, None)
    return project.owner(name, file_of_module(module))


def owner_of_class(project: Project, cls: type) -> Owner:
    """Return who owns a class."""
    module = cls.__module__
    return owner_of_module(project, module) if isinstance(module, str) else PROJECT


def hides_state(cls: type) -> bool:
    """Whether instances hold more than their attributes, slots and elements: a class in C does.

    The sizes are compared as `object.__reduce_ex__` does.
    """
    for base, _ in CONTAINERS:
        if issubclass(cls, base):
            return False
    if issubclass(cls, BaseException):
        return False
    word = object.__basicsize__ // 2
    size = object.__basicsize__
    size += word * (cls.__dictoffset__ > 0) + word * (cls.__weakrefoffset__ > 0)
    names = copyreg._slotnames(cls)  # type: ignore[attr-defined]
    return cls.__basicsize__ > size + word * len(names or ())


def is_step(value: object) -> bool:
    """Whether it is an object of zenlib that stands for a function."""
    top = type(value).__module__.partition(".")[0]
    return top == "zenlib" and hasattr(value, "__wrapped__")


def is_plain_builtin(value: object) -> bool:
    """Whether it is a function in C that is bound to no object."""
    if not isinstance(value, types.BuiltinFunctionType):
        return False
    return value.__self__ is None or isinstance(value.__self__, types.ModuleType)


def is_logger(value: object) -> bool:
    """Whether it writes a log, which changes nothing that is computed."""
    logging = sys.modules.get("logging")
    return logging is not None and isinstance(value, logging.Logger | logging.LoggerAdapter)

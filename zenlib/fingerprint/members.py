"""What classes and whole modules are made of: their live members."""

from __future__ import annotations

import dataclasses
import enum
import sys
import types
from collections.abc import Mapping
from typing import Any

from zenlib.fingerprint.encode import Encoder
from zenlib.fingerprint.graph import Graph
from zenlib.fingerprint.source import class_source
from zenlib.fingerprint.tokens import text

_ABOUT = frozenset(
    {
        *("__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "__firstlineno__"),
        *("__static_attributes__", "__annotations__", "__annotate__", "__annotate_func__"),
        *("__annotations_cache__", "__signature__", "__abstractmethods__", "_abc_impl"),
    }
)
"""Members that say where a class stands, that are counted in another way, or that follow from
the others."""
_MAPPINGS = frozenset({"__dataclass_fields__", "__pydantic_fields__"})
"""Mappings that are made with the class; a change in place of one of their items has no effect."""
_PYDANTIC = frozenset({"__pydantic_fields__", "__pydantic_decorators__"})
"""Of what pydantic adds to a model, that from which it makes the rest."""
_MODULE_ABOUT = frozenset(
    {
        *("__name__", "__doc__", "__package__", "__loader__", "__spec__", "__file__"),
        *("__cached__", "__builtins__", "__path__", "__annotations__"),
    }
)


def fill_class(encoder: Encoder, cls: type) -> None:
    """Add a class: bases, metaclass, annotations and members, as they are at the moment."""
    graph, members = encoder.graph, vars(cls)
    graph.watch(members)
    _describe(graph, encoder, cls)
    encoder.many(b"bases", cls.__bases__, 0)
    if type(cls) is not type:
        encoder.cls(type(cls))
    encoder.put(b"annotations")
    encoder.annotations(members.get("__annotations__"))
    if isinstance(cls, enum.EnumType):
        members_of: Mapping[str, enum.Enum] = cls.__members__
        encoder.put(b"members")
        encoder.many(b"(", ((name, each._value_) for name, each in members_of.items()), 0)
    for name in sorted(members, key=str):
        if _counts(cls, name):
            encoder.put(text(name))
            _member(encoder, cls, name, members[name])


def _counts(cls: type, name: str) -> bool:
    if name in _ABOUT or (name.startswith("__pydantic_") and name not in _PYDANTIC):
        return False
    if isinstance(cls, enum.EnumType):
        private = name.startswith("_") and name.endswith("_") and not name.startswith("__")
        return not private and name not in cls.__members__
    return True


def _member(encoder: Encoder, cls: type, name: str, value: Any) -> None:
    if name == "__pydantic_decorators__":
        _pydantic_decorators(encoder, value)
    elif name in _MAPPINGS:
        encoder.annotations(value)
    elif name.startswith("__") or isinstance(value, property | staticmethod | classmethod):
        encoder.encode(value)
    else:
        encoder.refer(value, (id(cls), "member", name), f"{encoder.node.name}.{name}")


def _pydantic_decorators(encoder: Encoder, value: Any) -> None:
    """Add the validators and serializers of a pydantic model, without the address of the model
    that each of them carries."""
    for group in dataclasses.fields(value):
        for name, decorator in getattr(value, group.name).items():
            encoder.put(text(group.name), text(name))
            encoder.encode(getattr(decorator, "func", None))
            encoder.encode(getattr(decorator, "info", None))


def _describe(graph: Graph, encoder: Encoder, cls: type) -> None:
    """Find the text of a class, for people; it is not part of the digest."""
    module = sys.modules.get(cls.__module__)
    names: dict[str, Any] = vars(module) if module is not None else {}
    file = names.get("__file__") or _file_of_methods(cls)
    if not isinstance(file, str):
        return
    source, line = class_source(file, cls.__qualname__, names)
    if line:
        encoder.node.source = source
        encoder.node.where = f"{graph.project.place(file, cls.__module__)}:{line}"


def _file_of_methods(cls: type) -> str | None:
    """The file (or notebook cell) that the first method of a class was compiled from."""
    for value in vars(cls).values():
        if isinstance(value, types.FunctionType) and value.__module__ == cls.__module__:
            return value.__code__.co_filename
    return None


def fill_module(encoder: Encoder, module: types.ModuleType) -> None:
    """Add a module that is used as a whole: every name in it, and what each means."""
    names = vars(module)
    encoder.graph.watch(names)
    for name in sorted(set(names) - _MODULE_ABOUT, key=str):
        encoder.put(text(name))
        encoder.refer(names[name], (id(names), name), f"{encoder.node.name}.{name}")

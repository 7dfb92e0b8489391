"""Exact bytes for live values: constants, defaults, closure cells, class attributes, instances.

A value counts by what it contains; functions and classes inside it count by what they do. An
instance of a Python class is its class and its state; of a class in C, what pickling would keep.
Whatever has no exact form is noted as unknown, never guessed.
"""

from __future__ import annotations

import builtins
import copyreg
import enum
import functools
import importlib
import sys
import threading
import types
import typing
from collections.abc import Callable
from typing import Any

from zenlib.fingerprint.code import Ref, skeleton
from zenlib.fingerprint.graph import MISSING, Changed, Graph, Node, read
from zenlib.fingerprint.live import (
    CONTAINERS,
    hides_state,
    is_logger,
    is_plain_builtin,
    is_step,
    owner_of_class,
    owner_of_globals,
    owner_of_module,
)
from zenlib.fingerprint.project import Owner, file_of_module
from zenlib.fingerprint.tokens import scalar, text

MAX_DEPTH = 100
"""How deep values may be nested; deeper ones are unknown."""

_DYNAMIC: dict[int, str] = {
    id(found): name
    for name, found in {
        "eval": builtins.eval,
        "exec": builtins.exec,
        "globals": builtins.globals,
        "__import__": builtins.__import__,
        "importlib.import_module": importlib.import_module,
        "importlib.reload": importlib.reload,
        "sys.modules": sys.modules,
    }.items()
}
_DIRECT = (type, types.FunctionType, types.ModuleType)
"""What is referred to as itself; everything else that has a name is a constant of that name."""
_LOCKS = (type(threading.Lock()), type(threading.RLock()))


class Encoder:
    """Writes one value (or function, or class) into the items of a node."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self.graph = graph
        self.node = node
        self.items: list[bytes | Node] = []
        self.fixed = True
        self.seen: dict[int, int] = {}
        self.alive: list[object] = []

    def put(self, *items: bytes | Node) -> None:
        """Add exact bytes, or nodes that are referred to."""
        self.items += items

    def doubt(self, what: str) -> None:
        """Note that the node cannot be known exactly."""
        node = self.node
        place = f" ({node.where})" if node.where else ""
        self.put(b"?")
        self.graph.doubt(f"{node.kind} {node.name}{place} {what}")

    def encode(self, value: Any, depth: int = 0) -> None:
        """Add a value of any type."""
        plain = scalar(value)
        if plain is not None:
            self.items.append(plain)
        elif depth > MAX_DEPTH:
            self.doubt(f"is nested deeper than {MAX_DEPTH} levels")
        elif id(value) in _DYNAMIC:
            self.doubt(f"uses {_DYNAMIC[id(value)]}, which can reach anything")
        else:
            handler = _HANDLERS.get(type(value))
            if handler is not None:
                handler(self, value, depth)
            elif isinstance(value, type):
                self.cls(value)
            else:
                self.instance(value, depth)

    def refer(self, value: Any, key: object, name: str, kind: str = "constant") -> None:
        """Add what a name means: a function or class itself, a value as a constant of that name."""
        if isinstance(value, _DIRECT) or is_step(value) or is_plain_builtin(value):
            self.encode(value)
        else:
            self.put(b"V", self.graph.node(key, value, kind, name))

    def many(self, mark: bytes, values: Any, depth: int) -> None:
        """Add several values in order."""
        values = list(values)
        self.put(b"%b%d" % (mark, len(values)))
        for value in values:
            self.encode(value, depth + 1)

    def mapping(self, value: Any, depth: int) -> None:
        """Add a mapping, its items in their order."""
        self.fixed = False
        self.put(b"{%d" % len(value))
        for key, item in list(value.items()):
            self.encode(key, depth + 1)
            self.encode(item, depth + 1)

    def annotations(self, value: dict[str, Any] | None) -> None:
        """Add the annotations of a class or function; only the exchange of one can be noticed."""
        fixed = self.fixed
        self.encode(value)
        self.fixed = fixed
        if value:
            self.graph.watch(value)

    def unordered(self, value: Any, depth: int) -> None:
        """Add a set: its elements in the order of their bytes, or of their names."""
        self.fixed = self.fixed and isinstance(value, frozenset)
        outside, ready = self.items, []
        for element in value:
            self.items = []
            self.encode(element, depth + 1)
            ready.append(self.items)
        self.items = outside
        self.put(b"<%d" % len(ready))
        for items in sorted(ready, key=_sort_key):
            self.items += items

    def cls(self, value: type) -> None:
        """Add a class: a node of its own if it is the project's, else its name."""
        owner = owner_of_class(self.graph.project, value)
        if owner.followed:
            name = f"{value.__module__}.{value.__qualname__}"
            self.put(b"C", self.graph.node(id(value), value, "class", name))
        else:
            self.outside(owner, value.__module__, value.__qualname__)

    def outside(self, owner: Owner, module: str, name: str) -> None:
        """Add something of a distribution, or of Python: by name, and by its version."""
        self.graph.use(owner)
        self.put(b"o", text(module), text(name))

    def function(self, fn: types.FunctionType, depth: int) -> None:
        """Add a function: a node of its own if it is the project's."""
        owner = owner_of_globals(self.graph.project, fn.__globals__)
        if owner.followed:
            name = f"{fn.__globals__.get('__name__', '?')}.{fn.__code__.co_qualname}"
            self.put(b"F", self.graph.node(id(fn), fn, "function", name))
        else:
            self.foreign(fn, owner, depth)

    def foreign(self, fn: types.FunctionType, owner: Owner, depth: int) -> None:
        """Add a function of a distribution or of Python, with the project's code it holds."""
        wrapped = getattr(fn, "__wrapped__", None)
        if owner.name == "zenlib" and wrapped is not None:
            self.encode(wrapped, depth + 1)
            return
        if self.offered(fn):
            return
        qualname = fn.__code__.co_qualname
        self.outside(owner, str(fn.__globals__.get("__name__")), qualname)
        registry = fn.__dict__.get("registry")
        if isinstance(registry, types.MappingProxyType):  # functools.singledispatch
            self.encode(registry, depth + 1)
        elif wrapped is not None and self.decorated(wrapped):
            self.encode(wrapped, depth + 1)
        elif "<locals>" in qualname or fn.__closure__:
            self.put(b"(%d" % len(fn.__closure__ or ()))
            for cell in fn.__closure__ or ():
                content = self.graph.content(cell)
                self.encode(None if content is MISSING else content, depth + 1)
            self.many(b"d", fn.__defaults__ or (), depth)
            self.encode(fn.__kwdefaults__, depth + 1)

    def offered(self, fn: types.FunctionType) -> bool:
        """Add a function by the name under which a library offers it, however it was made."""
        module, name = fn.__module__, fn.__qualname__
        if getattr(sys.modules.get(module or ""), name, None) is not fn:
            return False
        owner = owner_of_module(self.graph.project, module)
        if not owner.followed:
            self.outside(owner, module, name)
        return not owner.followed

    def decorated(self, wrapped: object) -> bool:
        """Add the decorators in the source of a wrapped function; False if they cannot be told.

        A decorator of a distribution is known by its version and by the expression that applies
        it, so what it keeps inside its wrapper need not be looked at.
        """
        if not isinstance(wrapped, types.FunctionType):
            return False
        names = wrapped.__globals__
        found = read(wrapped.__code__, names)[0].decorators
        if not found or not owner_of_globals(self.graph.project, names).followed:
            return False
        refs = [hole for each in found for hole in skeleton(each) if isinstance(hole, Ref)]
        if not all(ref.name in names or hasattr(builtins, ref.name) for ref in refs):
            return False
        name = f"{names.get('__name__', '?')}.{wrapped.__code__.co_qualname}"
        key = (id(wrapped), "decorators")
        self.put(b"@", self.graph.node(key, wrapped, "decorators", f"decorators of {name}"))
        return True

    def method(self, value: types.MethodType, depth: int) -> None:
        """Add a bound method: its function and the object it is bound to."""
        named = self.found_by_name(value)
        if not named:
            self.put(b"M")
            self.encode(value.__func__, depth + 1)
            self.encode(value.__self__, depth + 1)

    def builtin(self, value: Any, depth: int) -> None:
        """Add a function in C: by name, or bound to the object whose method it is."""
        owner_object = value.__self__
        if isinstance(owner_object, types.ModuleType) or owner_object is None:
            module = str(value.__module__ or "builtins")
            self.outside(owner_of_module(self.graph.project, module), module, value.__qualname__)
        elif not self.found_by_name(value):
            self.put(b"m", text(value.__name__))
            self.encode(owner_object, depth + 1)

    def found_by_name(self, value: Any) -> bool:
        """Add a method by name if a module outside the project offers it: `random.random`."""
        module = type(value.__self__).__module__
        owner = owner_of_module(self.graph.project, module)
        found = getattr(sys.modules.get(module), value.__name__, None)
        if owner.followed or found != value:
            return False
        self.outside(owner, module, value.__name__)
        return True

    def descriptor(self, value: Any, _depth: int) -> None:
        """Add a slot, getter or method of a class in C."""
        self.put(b"D", text(type(value).__name__), text(value.__name__))
        owner = value.__objclass__
        if not owner_of_class(self.graph.project, owner).followed:
            self.cls(owner)

    def module(self, value: types.ModuleType, _depth: int) -> None:
        """Add a module that is used as a value: all that it holds if it is the project's."""
        owner = self.graph.project.owner(value.__name__, file_of_module(value))
        if owner.followed:
            self.put(b"W", self.graph.node(id(value), value, "module", value.__name__))
        else:
            self.outside(owner, value.__name__, "")

    def partial(self, value: functools.partial[Any], depth: int) -> None:
        """Add a partial: its function and what it has been given."""
        self.put(b"P")
        self.encode(value.func, depth + 1)
        self.many(b"(", value.args, depth)
        self.mapping(value.keywords, depth)

    def cached(self, value: Any, depth: int) -> None:
        """Add a function behind `functools.lru_cache`: its cache's content does not count."""
        self.put(b"L")
        self.encode(value.__wrapped__, depth + 1)
        self.mapping(value.cache_parameters(), depth)

    def generic(self, value: Any, depth: int) -> None:
        """Add a type expression such as `list[int]` or `int | None`."""
        self.put(b"G")
        self.encode(typing.get_origin(value), depth + 1)
        self.many(b"(", typing.get_args(value), depth)

    def instance(self, value: Any, depth: int) -> None:
        """Add an object: its class and its state."""
        if id(value) in self.seen:
            self.put(b"@%d;" % self.seen[id(value)])
            return
        self.seen[id(value)] = len(self.seen)
        self.alive.append(value)
        kind = type(value)
        if self.special(value, depth):
            return
        self.fixed = False
        owner = owner_of_class(self.graph.project, kind)
        if owner.name and self.by_content(value):
            self.cls(kind)
        elif owner.followed and not hides_state(kind):
            self.state(value, depth)
        elif not self.reduced(value, depth) and not self.by_content(value):
            self.doubt(f"holds a {kind.__module__}.{kind.__qualname__}, which has no exact value")

    def special(self, value: Any, depth: int) -> bool:
        """Add an object that is known by other means than its state; False if it is none."""
        kind = type(value)
        if isinstance(value, enum.Enum):
            self.cls(kind)
            self.encode(value._value_, depth + 1)
            self.encode(value._name_, depth + 1)
        elif typing.get_origin(value) is not None:
            self.generic(value, depth)
        elif kind.__module__ == "typing":
            self.put(b"t", text(repr(value)))
        elif isinstance(value, _LOCKS) or is_logger(value):
            self.put(b"l", text(kind.__qualname__))  # neither changes what is computed
        elif is_step(value):
            self.encode(value.__wrapped__, depth + 1)
        elif not owner_of_class(self.graph.project, kind).followed:
            wrapped = getattr(value, "__wrapped__", None)
            if wrapped is None or not self.decorated(wrapped):
                return False
            self.cls(kind)
            self.encode(wrapped, depth + 1)
        else:
            return False
        return True

    def by_content(self, value: Any) -> bool:
        """Add the digest that `hash_value` gives; False if there is none."""
        if self.graph.hash_value is None:
            return False
        try:
            digest = self.graph.hash_value(value)
        except Exception:  # noqa: BLE001 - whatever it raises, there is no exact value
            return False
        self.put(b"h", text(digest))
        return True

    def state(self, value: Any, depth: int) -> None:
        """Add an instance of a Python class: its class, attributes, slots and elements."""
        self.put(b"I")
        self.cls(type(value))
        for base, plain in CONTAINERS:
            if isinstance(value, base):
                self.encode(plain(value), depth + 1)
        if isinstance(value, BaseException):
            self.encode(value.args, depth + 1)
        state = object.__getstate__(value)
        self.encode(state, depth + 1)

    def reduced(self, value: Any, depth: int) -> bool:
        """Add what pickling would keep of an instance of a class in C; False if it keeps none."""
        if type(value).__module__ == "itertools":
            return False
        try:
            reduce = copyreg.dispatch_table.get(type(value))
            found = reduce(value) if reduce is not None else value.__reduce_ex__(4)
        except Changed:
            raise
        except Exception:  # noqa: BLE001 - whatever it raises, there is no exact value
            return False
        self.put(b"R")
        self.cls(type(value))
        if isinstance(found, str):
            self.put(text(found))
            return True
        parts = (*found, None, None, None)[:5]
        for part in parts[:3]:
            self.encode(part, depth + 1)
        for part in parts[3:]:
            self.many(b"[", part or (), depth)
        return True


def _sort_key(items: list[bytes | Node]) -> tuple[bytes, list[str]]:
    plain = b"".join(item for item in items if isinstance(item, bytes))
    return plain, [item.name for item in items if isinstance(item, Node)]


def _list(encoder: Encoder, value: Any, depth: int) -> None:
    encoder.fixed = False
    encoder.many(b"[", value, depth)


def _bytearray(encoder: Encoder, value: bytearray, depth: int) -> None:
    encoder.fixed = False
    encoder.put(b"a")
    encoder.encode(bytes(value), depth)


def _property(encoder: Encoder, value: property, depth: int) -> None:
    encoder.many(b"p", (value.fget, value.fset, value.fdel), depth)


_HANDLERS: dict[type, Callable[[Encoder, Any, int], None]] = {
    list: _list,
    tuple: lambda encoder, value, depth: encoder.many(b"(", value, depth),
    dict: Encoder.mapping,
    types.MappingProxyType: Encoder.mapping,
    set: Encoder.unordered,
    frozenset: Encoder.unordered,
    bytearray: _bytearray,
    property: _property,
    staticmethod: lambda encoder, value, depth: encoder.many(b"S", (value.__func__,), depth),
    classmethod: lambda encoder, value, depth: encoder.many(b"K", (value.__func__,), depth),
    functools.partial: Encoder.partial,
    functools._lru_cache_wrapper: Encoder.cached,
    types.FunctionType: Encoder.function,
    types.MethodType: Encoder.method,
    types.BuiltinFunctionType: Encoder.builtin,
    types.MethodWrapperType: Encoder.builtin,
    types.ModuleType: Encoder.module,
    types.GenericAlias: Encoder.generic,
    types.UnionType: Encoder.generic,
    types.WrapperDescriptorType: Encoder.descriptor,
    types.MethodDescriptorType: Encoder.descriptor,
    types.ClassMethodDescriptorType: Encoder.descriptor,
    types.GetSetDescriptorType: Encoder.descriptor,
    types.MemberDescriptorType: Encoder.descriptor,
}

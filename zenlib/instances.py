"""Instances of classes as JSON data and back: enums, named tuples, dataclasses, pydantic, NumPy.

The second half of `zenlib.values`. An instance is kept by the name of its class and by its
declared fields; it is made again from these alone, without calling any of the class's own code.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import importlib
import re
import sys
from collections.abc import Callable, Iterable
from enum import Enum, Flag
from types import MemberDescriptorType
from typing import Any

from zenlib.errors import Denied, Invalid

Each = Callable[[Any], Any]
"""Encodes, or decodes, a part of an instance."""


class Unfit(Exception):
    """Why a value does not fit; `steps` is the way to it, innermost first."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.steps: list[str] = []


def tag(name: str, value: Any) -> dict[str, Any]:
    """Return what stands for a value that is not JSON itself."""
    return {"$": name, "v": value}


def type_name(value: object) -> str:
    """Return the type of a value as people write it."""
    return class_name(type(value))


def class_name(kind: type) -> str:
    """Return the name of a class as people write it, with its module."""
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def encode(value: Any, each: Each) -> Any:
    """Return an instance as JSON data; `each` encodes its fields.

    Raises:
        Unfit: it has no exact form.
    """
    kind: Any = type(value)
    if isinstance(value, Enum):
        return tag("enum", [reference(kind), _member(value)])
    if is_named_tuple(kind):
        _check_attributes(value, ())
        return tag(
            "namedtuple", [reference(kind), _fields(zip(kind._fields, value, strict=True), each)]
        )
    if _is_model(kind):
        return tag("model", [reference(kind), *_encode_model(value, each)])
    if _is_dataclass(kind):
        return tag("dataclass", [reference(kind), _fields(dataclass_items(value), each)])
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        return tag("numpy", _encode_scalar(value))
    raise Unfit(f"a {type_name(value)} has no exact form as data")


def decode(name: object, data: Any, each: Each) -> Any:
    """Return the instance that `encode` was given.

    Raises:
        Invalid: an unknown tag, or a class that is not there or has other fields.
        Denied: the name leads to something that is not a class of this kind.
    """
    if name == "numpy":
        return _decode_scalar(data)
    if name not in _MAKERS:
        raise Invalid(f"values tagged {name!r:.80} are unknown here; was it a newer zenlib?")
    ref, *content = data
    allowed, make = _MAKERS[name]
    return make(find_class(ref, str(name), allowed), content, each)


def _fields(fields: Iterable[tuple[str, Any]], each: Each) -> dict[str, Any]:
    found = {}
    name = ""
    try:
        for name, value in fields:
            found[name] = each(value)
    except Unfit as unfit:
        unfit.steps.append(f".{name}")
        raise
    return found


# Classes, by name.


def reference(kind: type) -> str:
    """Return `module:qualname`, when that leads back to the class.

    Raises:
        Unfit: the class is local to a function, or its name now means another one.
    """
    ref = f"{kind.__module__}:{kind.__qualname__}"
    if "<locals>" in ref:
        raise Unfit(f"its class {ref} is defined inside a function; define it in a module")
    if _walk(sys.modules.get(kind.__module__), kind.__qualname__) is not kind:
        raise Unfit(f"the name {ref} no longer leads to its class; make the value again")
    return ref


def find_class(ref: object, what: str, allowed: Callable[[type], bool]) -> Any:
    """Return the class that `reference` named, importing its module if need be.

    Raises:
        Invalid: there is no such module or class.
        Denied: the name leads to something else than a class that is `allowed`.
    """
    match = re.fullmatch(r"([^\W\d][\w.]*):([^\W\d][\w.]*)", ref) if isinstance(ref, str) else None
    if match is None:
        raise Invalid(f"not the name of a class: {ref!r:.200}")
    module, qualname = match.groups()
    found = _walk(_import(module, f"{module}:{qualname}"), qualname)
    if found is None:
        raise Invalid(f"class {ref} is not there any more; put it back, or compute the value again")
    if not isinstance(found, type) or not allowed(found):
        raise Denied(f"{ref} is no {what} class; stored data may name nothing else")
    return found


def _import(module: str, ref: str) -> Any:
    if module in sys.modules and sys.modules[module] is not None:
        return sys.modules[module]
    if "__main__" in module.split("."):  # importing x.__main__ would run a program
        raise Denied(f"{ref}: stored data may not start {module}")
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Invalid(
            f"class {ref} cannot be loaded: {error}; install the package that has it, or run "
            "where its module can be imported"
        ) from error


def _walk(module: Any, qualname: str) -> Any:
    """Return the class, or None; descriptors of classes are not called on the way."""
    first, *rest = qualname.split(".")
    found = getattr(module, first, None)
    for part in rest:
        found = vars(found).get(part) if isinstance(found, type) else None
    return found


def is_named_tuple(kind: type) -> bool:
    """Whether a class was made by `typing.NamedTuple` or `collections.namedtuple`."""
    fields = getattr(kind, "_fields", None)
    return (
        issubclass(kind, tuple)
        and isinstance(fields, tuple)
        and all(isinstance(field, str) for field in fields)
    )


def _is_dataclass(kind: type) -> bool:
    return dataclasses.is_dataclass(kind)


def _is_model(kind: type) -> bool:
    main = sys.modules.get("pydantic.main")
    return main is not None and issubclass(kind, main.BaseModel)


# What instances are made of.


def dataclass_items(value: Any) -> list[tuple[str, Any]]:
    """Return name and value of the fields of a dataclass's instance.

    Raises:
        Unfit: the fields are not all of its state.
    """
    kind = type(value)
    try:
        object.__new__(kind)
    except TypeError as error:
        raise Unfit(f"a {class_name(kind)} has state besides its fields") from error
    names = [field.name for field in dataclasses.fields(kind)]
    _check_attributes(value, names)
    return [(name, _attribute(value, name)) for name in names]


def _attribute(value: Any, name: str) -> Any:
    try:
        return getattr(value, name)
    except AttributeError as error:
        raise Unfit(f"the field {name!r} of this {type_name(value)} has no value") from error


def _check_attributes(value: Any, names: Iterable[str]) -> None:
    """Refuse attributes that are no fields; what `cached_property` keeps is no state."""
    for name in set(getattr(value, "__dict__", ())).difference(names):
        if not isinstance(getattr(type(value), name, None), functools.cached_property):
            raise Unfit(f"a {type_name(value)} has the attribute {name!r} besides its fields")


def _member(value: Enum) -> Any:
    if type(value).__members__.get(value.name) is value:
        return value.name
    return value.value  # a combination of flags


def _encode_model(value: Any, each: Each) -> list[Any]:
    """Return fields, extra fields, private attributes and which fields were set."""
    names = type(value).model_fields
    _check_attributes(value, names)
    extra, private = value.__pydantic_extra__, value.__pydantic_private__
    return [
        _fields(((name, _attribute(value, name)) for name in names), each),
        None if extra is None else each(dict(extra)),
        None if private is None else _fields(private.items(), each),
        sorted(value.model_fields_set),
    ]


def _encode_scalar(value: Any) -> list[str]:
    kind = value.dtype.kind
    if kind == "U":
        return ["U", str.__str__(value).encode("unicode_escape").decode("ascii")]
    if kind == "S":
        return ["S", base64.b64encode(bytes(value)).decode("ascii")]
    if kind not in "biufcmM" or value.dtype.char in "gG":
        raise Unfit(f"a NumPy scalar of type {value.dtype} has no portable form")
    return [value.dtype.str, base64.b64encode(value.tobytes()).decode("ascii")]


# Making them again.


def make_named_tuple(kind: Any, fields: dict[str, Any]) -> Any:
    """Return a named tuple with these fields, without calling its class."""
    _check_fields(kind, kind._fields, fields)
    return tuple.__new__(kind, [fields[name] for name in kind._fields])


def make_dataclass(kind: Any, fields: dict[str, Any]) -> Any:
    """Return an instance of a dataclass with these fields, without calling its class."""
    _check_fields(kind, [field.name for field in dataclasses.fields(kind)], fields)
    made = object.__new__(kind)
    for name, value in fields.items():
        if isinstance(getattr(kind, name, None), MemberDescriptorType):
            object.__setattr__(made, name, value)  # a slot
        else:
            made.__dict__[name] = value
    return made


def _check_fields(kind: type, declared: Iterable[str], found: dict[str, Any]) -> None:
    gone = ", ".join(sorted(set(found).difference(declared)))
    new = ", ".join(sorted(set(declared).difference(found)))
    if gone or new:
        parts = ([f"it no longer has {gone}"] if gone else []) + (
            [f"it now has {new}"] if new else []
        )
        raise Invalid(
            f"{class_name(kind)} has changed since the value was kept: {' and '.join(parts)}; "
            "compute the value again"
        )


def _decode_enum(kind: Any, content: Any, _: Each) -> Any:
    [member] = content
    if isinstance(member, str) and member in kind.__members__:
        return kind.__members__[member]
    if isinstance(member, int) and issubclass(kind, Flag):
        return kind(member)
    known = ", ".join(kind.__members__)
    raise Invalid(f"{class_name(kind)} has no member {member!r:.80}; it has: {known:.500}")


def _decode_named_tuple(kind: Any, content: Any, each: Each) -> Any:
    [fields] = content
    return make_named_tuple(kind, {name: each(value) for name, value in fields.items()})


def _decode_dataclass(kind: Any, content: Any, each: Each) -> Any:
    [fields] = content
    return make_dataclass(kind, {name: each(value) for name, value in fields.items()})


def _decode_model(kind: Any, content: Any, each: Each) -> Any:
    fields, extra, private, were_set = content
    _check_fields(kind, kind.model_fields, fields)
    made = object.__new__(kind)
    put = functools.partial(object.__setattr__, made)
    put("__dict__", {name: each(value) for name, value in fields.items()})
    put("__pydantic_extra__", None if extra is None else each(extra))
    put(
        "__pydantic_private__",
        None if private is None else {name: each(value) for name, value in private.items()},
    )
    put("__pydantic_fields_set__", set(were_set))
    return made


def _decode_scalar(data: Any) -> Any:
    try:
        numpy = importlib.import_module("numpy")
    except ImportError as error:
        raise Invalid("this value needs NumPy: pip install 'zenlib[numpy]'") from error
    kind, text = data
    if kind == "U":
        return numpy.str_(text.encode("ascii").decode("unicode_escape"))
    content = base64.b64decode(text, validate=True)
    if kind == "S":
        return numpy.bytes_(content)
    if not re.fullmatch(r"[<>|=][biufcmM]\d+(\[\w+\])?", kind):
        raise Invalid(f"not the type of a NumPy scalar: {kind!r:.80}")
    [value] = numpy.frombuffer(content, dtype=kind)
    return value


_MAKERS: dict[object, tuple[Callable[[type], bool], Callable[[Any, Any, Each], Any]]] = {
    "enum": (lambda kind: issubclass(kind, Enum), _decode_enum),
    "namedtuple": (is_named_tuple, _decode_named_tuple),
    "dataclass": (_is_dataclass, _decode_dataclass),
    "model": (_is_model, _decode_model),
}

"""Reading type hints: what a step returns, and whether a value or an output fits a parameter.

Both questions are answered "yes" whenever a hint says something that cannot be decided cheaply
(protocols, type variables, foreign generics): a check that is wrong in refusing is worse than none.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import inspect
import types
import typing
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from zenlib.errors import Invalid


def hints_of(fn: Any) -> dict[str, Any]:
    """Return the resolved hints of a function; one that cannot be resolved is left out."""
    fn = inspect.unwrap(fn)
    try:
        return typing.get_type_hints(fn, include_extras=True)
    except Exception:  # noqa: BLE001 - hints run user code: names under TYPE_CHECKING, typos, anything
        return _hints_one_by_one(fn)


def _hints_one_by_one(fn: Any) -> dict[str, Any]:
    found = {}
    for name, hint in getattr(fn, "__annotations__", {}).items():
        probe = types.SimpleNamespace(__annotations__={name: hint})
        try:
            found.update(
                typing.get_type_hints(probe, getattr(fn, "__globals__", {}), include_extras=True)
            )
        except Exception:  # noqa: BLE001, S112 - the same; the hint then counts as not given
            continue
    return found


@dataclasses.dataclass(frozen=True)
class Returns:
    """What a step returns.

    Attributes:
        names: of the outputs, in order; empty when the step returns nothing.
        hints: one for each name.
        shape: how the outputs lie in the returned value: `none`, `single`, `tuple`, `namedtuple`,
            `dataclass`, `typeddict` or `batches` (a generator: one output made of many parts).
        cls: the class, for the shapes that are classes.
    """

    names: tuple[str, ...]
    hints: tuple[Any, ...]
    shape: str
    cls: type | None = None

    def split(self, value: Any) -> dict[str, Any] | None:
        """Return output name -> value for what the step returned; None if its form is wrong."""
        match self.shape:
            case "none":
                return {} if value is None else None
            case "single" | "batches":
                return {self.names[0]: value}
            case "tuple":
                if not isinstance(value, tuple | list) or len(value) != len(self.names):
                    return None
                return dict(zip(self.names, value, strict=True))
            case "typeddict":
                if not isinstance(value, dict) or set(value) != set(self.names):
                    return None
                return {name: value[name] for name in self.names}
            case _:
                if self.cls is None or not isinstance(value, self.cls):
                    return None
                return {name: getattr(value, name) for name in self.names}


_GENERATORS = (
    collections.abc.Iterator,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
)


def returns_of(fn: Any, names: tuple[str, ...] | None = None) -> Returns:
    """Read the outputs of a step from its return hint, or from `names` if they are given.

    Raises:
        Invalid: two outputs have one name, or the number of names does not fit the hint.
    """
    hint = hints_of(fn).get("return", Any)
    inner = inspect.unwrap(fn)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        item = _item_hint(strip(hint))
        found = Returns((_label(hint) or "output",), (item,), "batches")
    else:
        found = _read_return(hint)
    if names is not None:
        found = _rename(found, names, fn)
    repeated = {name for name in found.names if found.names.count(name) > 1}
    if repeated:
        raise Invalid(
            f"step {fn.__qualname__!r} has two outputs named {min(repeated)!r}; "
            "give each its own name: Annotated[T, 'name']"
        )
    for name in found.names:
        if not name or len(name) > 255:
            raise Invalid(
                f"step {fn.__qualname__!r}: an output name must have 1 to 255 characters, "
                f"this one has {len(name)}"
            )
    return found


def _rename(found: Returns, names: tuple[str, ...], fn: Any) -> Returns:
    if found.shape == "none" or (found.shape == "single" and len(names) > 1):
        # Without a hint the names say how many outputs there are.
        if found.shape == "none" or found.hints[0] not in (Any, tuple):
            raise Invalid(
                f"step {fn.__qualname__!r} names {len(names)} outputs {list(names)} "
                f"but its return hint is {show(found.hints[0]) if found.hints else 'None'}"
            )
        return Returns(names, (Any,) * len(names), "tuple")
    if len(names) != len(found.names) or found.shape in ("namedtuple", "dataclass", "typeddict"):
        raise Invalid(
            f"step {fn.__qualname__!r} names {len(names)} outputs {list(names)} "
            f"but its return hint has {len(found.names)}: {list(found.names)}"
        )
    return dataclasses.replace(found, names=names)


def _read_return(hint: Any) -> Returns:
    if hint is None or hint is type(None):
        return Returns((), (), "none")
    label = _label(hint)
    plain = strip(hint)
    if label is None:
        several = _fields(plain)
        if several is not None:
            return several
    return Returns((label or "output",), (plain,), "single")


def _fields(hint: Any) -> Returns | None:
    """Return the outputs of a hint that stands for several."""
    args = get_args(hint)
    if get_origin(hint) is tuple and args and args[-1] is not Ellipsis and args != ((),):
        names = tuple(_label(arg) or f"output_{place}" for place, arg in enumerate(args))
        return Returns(names, tuple(strip(arg) for arg in args), "tuple")
    if not isinstance(hint, type):
        return None
    if issubclass(hint, tuple) and hasattr(hint, "_fields"):
        shape, names = "namedtuple", tuple(hint._fields)
    elif dataclasses.is_dataclass(hint):
        shape, names = "dataclass", tuple(f.name for f in dataclasses.fields(hint) if f.init)
    elif typing.is_typeddict(hint):
        shape, names = "typeddict", tuple(hint.__annotations__)
    else:
        return None
    if not names:
        return None
    kinds = hints_of(hint)
    return Returns(names, tuple(strip(kinds.get(name, Any)) for name in names), shape, hint)


def _label(hint: Any) -> str | None:
    """Return the name in `Annotated[T, "name"]`."""
    if get_origin(hint) is Annotated:
        for note in hint.__metadata__:
            if isinstance(note, str):
                return note
    return None


def strip(hint: Any) -> Any:
    """Return the hint without `Annotated`, `Required` and the like."""
    while get_origin(hint) in (Annotated, typing.Required, typing.NotRequired, typing.Final):
        hint = get_args(hint)[0]
    return hint


def _item_hint(hint: Any) -> Any:
    args = get_args(hint)
    return strip(args[0]) if args and get_origin(hint) is not tuple else Any


def item_of(hint: Any) -> Any:
    """Return the hint of the elements of a list-like hint, `Any` if it does not say."""
    hint = strip(hint)
    args = get_args(hint)
    origin = get_origin(hint)
    if origin is tuple:
        return strip(args[0]) if len(args) == 2 and args[1] is Ellipsis else Any
    if isinstance(origin, type) and issubclass(origin, collections.abc.Iterable) and args:
        return strip(args[0])
    return Any


def may_be_list(hint: Any) -> bool:
    """Whether a value of this hint could be a list or tuple; True when that cannot be told."""
    hint = strip(hint)
    if _union(hint):
        return any(may_be_list(option) for option in get_args(hint))
    found = _runtime(hint)
    if found is None or hint is Any:
        return True
    return issubclass(found, list | tuple) or issubclass(list, found)


def show(hint: Any) -> str:
    """Return a hint as a person would write it."""
    if hint is None or hint is type(None):
        return "None"
    if isinstance(hint, type) and not get_args(hint):
        return hint.__qualname__
    return str(hint).replace("typing.", "").replace("collections.abc.", "")


def type_name(value_type: type) -> str:
    """Return `module.Name` of a type, or the name alone for a built-in one."""
    if value_type.__module__ == "builtins":
        return value_type.__qualname__
    return f"{value_type.__module__}.{value_type.__qualname__}"


_NUMBERS: dict[type, tuple[type, ...]] = {float: (int,), complex: (int, float)}  # PEP 484


def accepts(hint: Any, value: Any, *, deep: bool = True) -> bool:
    """Whether `value` fits `hint`; True when that cannot be decided.

    Args:
        deep: also look at the elements of lists, tuples, sets and dictionaries.
    """
    hint = strip(hint)
    origin = get_origin(hint)
    if hint is Any or isinstance(hint, str | typing.TypeVar):
        return True
    if hint is None:
        return value is None
    if origin in (Union, types.UnionType):
        return any(accepts(option, value, deep=deep) for option in get_args(hint))
    if origin is Literal:
        return any(value == option and type(value) is type(option) for option in get_args(hint))
    if origin is type or hint is type:
        return isinstance(value, type)
    runtime = origin if isinstance(origin, type) else hint
    if isinstance(hint, typing.NewType):
        return accepts(hint.__supertype__, value, deep=deep)
    if not isinstance(runtime, type):
        return True
    if not _is_instance(value, runtime):
        return False
    return not deep or _elements_fit(runtime, get_args(hint), value)


def _is_instance(value: Any, runtime: type) -> bool:
    if typing.is_typeddict(runtime):
        return isinstance(value, dict)
    if getattr(runtime, "_is_protocol", False) and not getattr(
        runtime, "_is_runtime_protocol", False
    ):
        return True
    try:
        if isinstance(value, bool) and runtime in (float, complex):
            return False
        return isinstance(value, (runtime, *_NUMBERS.get(runtime, ())))
    except TypeError:
        return True


def _elements_fit(runtime: type, args: tuple[Any, ...], value: Any) -> bool:
    if not args:
        return True
    if runtime is tuple and isinstance(value, tuple):
        if len(args) == 2 and args[1] is Ellipsis:
            return all(accepts(args[0], item) for item in value)
        return len(args) == len(value) and all(map(accepts, args, value))
    if isinstance(value, dict) and len(args) == 2:
        return all(accepts(args[0], k) and accepts(args[1], v) for k, v in value.items())
    if isinstance(value, list | set | frozenset) and len(args) == 1:
        return all(accepts(args[0], item) for item in value)
    return True


def compatible(source: Any, target: Any) -> bool:
    """Whether an output hinted `source` may feed a parameter hinted `target`."""
    source, target = strip(source), strip(target)
    if Any in (source, target) or source == target or target is object:
        return True
    if _union(source):
        # An Optional output may feed a plain parameter: only a run can tell.
        return any(compatible(option, target) for option in get_args(source))
    if _union(target):
        return any(compatible(source, option) for option in get_args(target))
    source_type, target_type = _runtime(source), _runtime(target)
    if source_type is None or target_type is None:
        return True
    if not _is_subtype(source_type, target_type):
        return False
    return _arguments_fit(source, target)


def _union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


@functools.cache
def _none_type() -> type:
    return type(None)


def _runtime(hint: Any) -> type | None:
    """Return the class behind a hint, or None if it has no single one."""
    if hint is None:
        return _none_type()
    if isinstance(hint, typing.NewType):
        return _runtime(hint.__supertype__)
    if get_origin(hint) is Literal:
        kinds = {type(option) for option in get_args(hint)}
        return kinds.pop() if len(kinds) == 1 else None
    origin = get_origin(hint)
    if isinstance(origin, type):
        return origin
    return hint if isinstance(hint, type) else None


def _is_subtype(source: type, target: type) -> bool:
    for one in (source, target):
        if getattr(one, "_is_protocol", False) and one.__module__ != "typing":
            return True  # what has the right methods fits, whatever its class
    if typing.is_typeddict(source):
        source = dict
    if typing.is_typeddict(target):
        target = dict
    try:
        return issubclass(source, (target, *_NUMBERS.get(target, ())))
    except TypeError:
        return True


def _arguments_fit(source: Any, target: Any) -> bool:
    """Compare the arguments of two generics of one class; others are left to the run."""
    ours, theirs = get_args(source), get_args(target)
    if not ours or not theirs or get_origin(source) is not get_origin(target):
        return True
    if len(ours) != len(theirs) or Literal in (get_origin(source), get_origin(target)):
        return True
    return all(
        a is Ellipsis or b is Ellipsis or compatible(a, b)
        for a, b in zip(ours, theirs, strict=True)
    )

"""Handles: what a step call gives inside a pipeline, where the value does not exist yet."""

from __future__ import annotations

from collections.abc import Iterator
from types import GenericAlias
from typing import Any, NoReturn

from zenlib.errors import HandleMisuse
from zenlib.hints import Returns
from zenlib.plan import Ref


class Handle:
    """One future output of a step. It can be given to other steps, and to nothing else."""

    __slots__ = ("_hint", "_mapped", "_ref", "_tracer")

    def __init__(self, tracer: Any, ref: Ref, hint: Any, *, mapped: bool) -> None:
        self._tracer = tracer
        self._ref = ref
        self._hint = hint
        self._mapped = mapped

    def after(self, *others: Any) -> Handle:
        """Run the step of this output only after the steps of the others."""
        self._tracer.order(self._ref.node, others)
        return self

    def __repr__(self) -> str:
        return (
            f"<output {self._ref.output!r} of step {self._ref.node!r}, known when the run executes>"
        )

    def _misuse(self, use: str, fix: str = "") -> NoReturn:
        fix = fix or "do this inside a step: give the output to a step and compute there"
        raise HandleMisuse(
            f"the output {self._ref.output!r} of step {self._ref.node!r} is used {use}, but inside "
            f"a pipeline it has no value yet; {fix}"
        )

    def __bool__(self) -> NoReturn:
        self._misuse(
            "as a condition",
            "write `with when(output):` around the steps that depend on it, or decide in a step",
        )

    def __iter__(self) -> NoReturn:
        self._misuse(
            "in a loop or unpacked",
            "use `other_step.map(output)` to run a step per element, or annotate the step's "
            "return type with a tuple to unpack several outputs",
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)  # protocols that Python, copy and pickle look for
        self._misuse(f"for its attribute {name!r}")

    def __getitem__(self, key: Any) -> NoReturn:
        self._misuse(f"for its element {key!r}")

    def __format__(self, spec: str) -> NoReturn:
        self._misuse("in a text", "make the text inside a step")

    def __str__(self) -> str:
        self._misuse("in a text", "make the text inside a step; repr() works for debugging")

    def __hash__(self) -> int:
        return id(self)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        self._misuse(
            "inside an object, or copied",
            "give it to a step as an argument of its own, or in a plain list, tuple or dictionary",
        )


def _refuse(name: str, use: str) -> None:
    def method(self: Handle, *_: Any, **__: Any) -> NoReturn:
        self._misuse(use)

    method.__name__ = name
    setattr(Handle, name, method)


for _name in [
    "add",
    "radd",
    "sub",
    "rsub",
    "mul",
    "rmul",
    "matmul",
    "rmatmul",
    "truediv",
    "rtruediv",
    "floordiv",
    "rfloordiv",
    "mod",
    "rmod",
    "pow",
    "rpow",
    "lshift",
    "rlshift",
    "rshift",
    "rrshift",
    "and",
    "rand",
    "or",
    "ror",
    "xor",
    "rxor",
    "neg",
    "pos",
    "abs",
    "invert",
    "iadd",
    "isub",
    "imul",
    "itruediv",
    "ifloordiv",
    "imod",
    "ipow",
    "iand",
    "ior",
    "ixor",
    "divmod",
    "rdivmod",
    "round",
]:
    _refuse(f"__{_name}__", "in arithmetic")
for _name in ["lt", "le", "gt", "ge", "eq", "ne"]:
    _refuse(f"__{_name}__", "in a comparison")
_refuse("__call__", "as a function")
for _name in ["int", "float", "complex", "index", "trunc", "floor", "ceil"]:
    _refuse(f"__{_name}__", "as a number")
for _name in [
    "len",
    "contains",
    "reversed",
    "setitem",
    "delitem",
    "enter",
    "exit",
    "await",
    "aiter",
    "next",
]:
    _refuse(f"__{_name}__", f"with {_name!r}")


class Handles:
    """Several future outputs of one step: unpack them, or name one (`result.model`)."""

    __slots__ = ("_handles", "_hint", "_mapped", "_node", "_returns")

    def __init__(
        self, node: str, returns: Returns, handles: dict[str, Handle], *, mapped: bool
    ) -> None:
        self._node = node
        self._returns = returns
        self._handles = handles
        self._mapped = mapped
        self._hint = returns.cls or GenericAlias(tuple, returns.hints)

    def after(self, *others: Any) -> Handles:
        """Run the step only after the steps of the others."""
        for handle in self._handles.values():
            handle.after(*others)
            break
        return self

    def __iter__(self) -> Iterator[Handle]:
        return iter(self._handles.values())

    def __len__(self) -> int:
        return len(self._handles)

    def __getitem__(self, key: int | str) -> Handle:
        try:
            return self._handles[key] if isinstance(key, str) else [*self][key]
        except (KeyError, IndexError, TypeError):
            self._unknown(key)

    def __getattr__(self, name: str) -> Handle:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        if name not in self._handles:
            self._unknown(name)
        return self._handles[name]

    def _unknown(self, key: object) -> NoReturn:
        names = ", ".join(map(repr, self._handles))
        raise HandleMisuse(f"step {self._node!r} has no output {key!r}; it has {names}")

    def __repr__(self) -> str:
        return (
            f"<outputs {list(self._handles)} of step {self._node!r}, known when the run executes>"
        )

    def __bool__(self) -> NoReturn:
        raise HandleMisuse(
            f"the outputs of step {self._node!r} are used as a condition, but inside a pipeline "
            "they have no value yet; write `with when(output):`, or decide in a step"
        )

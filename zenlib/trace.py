"""Tracing: running a pipeline's body once, with handles for values, to find its plan."""

from __future__ import annotations

import contextlib
import inspect
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from zenlib import hints, values
from zenlib.errors import HandleMisuse, Invalid
from zenlib.fanout import is_mapped
from zenlib.handles import Handle, Handles
from zenlib.hints import Returns
from zenlib.plan import (
    EACH,
    Binding,
    Condition,
    First,
    Items,
    Node,
    Object,
    OutputSpec,
    Plan,
    Ref,
    Value,
)
from zenlib.steps import Step, Unmapped, tracer
from zenlib.wording import shown

_LONGEST_ID = 240
"""The longest id of a node: with the number of an item, or an output's name, 255 can be stored."""

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True)
class Spec:
    """What the signature of a step says, read once for each step."""

    signature: inspect.Signature
    hints: dict[str, Any]
    returns: Returns
    outputs: tuple[OutputSpec, ...]
    code: dict[str, Any]
    options: dict[str, Any]
    handle_hints: tuple[Any, ...]
    """What a handle of each output says of its value: for batches, a list of them."""

    @classmethod
    def of(cls, step: Step[Any, Any]) -> Spec:
        """Return the spec of a step.

        Raises:
            Invalid: two outputs have one name.
        """
        found: Spec | None = step._spec
        if found is None:
            returns: Returns = step._returns or hints.returns_of(
                step.fn, step.options.get("outputs")
            )
            shown = [hints.show(hint) for hint in returns.hints]
            kinds = returns.hints
            if returns.shape == "batches":
                kinds = (types.GenericAlias(list, (kinds[0],)),)
            found = step._spec = cls(
                signature=inspect.signature(step.fn),
                hints=hints.hints_of(step.fn),
                returns=returns,
                outputs=tuple(map(OutputSpec, returns.names, shown)),
                code=code_of(step.fn),
                options=options_json(step.options),
                handle_hints=kinds,
            )
        return found


class Tracer:
    """Collects the nodes of one pipeline while its body runs."""

    def __init__(self, pipeline: str) -> None:
        self.pipeline = pipeline
        self.nodes: dict[str, Node] = {}
        self.steps: dict[str, Step[Any, Any]] = {}
        self.objects: dict[str, Any] = {}
        self._used: dict[str, int] = {}
        self._finishing = False
        self._groups: list[str] = []
        self._conditions: list[Condition] = []
        self._defaults: list[dict[str, Any]] = [{}]

    # What a pipeline's body calls, through `zenlib.steps` and the functions below.

    def call(self, step: Step[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Add a node for one call of `step` and return its handles."""
        bound = self._bind(step, args, kwargs)
        inputs = {
            name: self._input(step, name, value, parameter)
            for name, (value, parameter) in bound.items()
        }
        return self._add(step, inputs)

    def map(
        self, step: Step[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any], how: str
    ) -> Any:
        """Add a mapped node and return handles of the lists of its results."""
        inputs: dict[str, Binding] = {}
        mapped = []
        bound = self._bind(step, args, kwargs)
        given = Spec.of(step).signature.bind_partial(*args, **kwargs).arguments
        for name, (value, parameter) in bound.items():
            if parameter.kind in _VARIADIC:
                self._refuse_lists(step, name, value)
            elif name in given and (is_mapped(value) or isinstance(value, Handle | Handles)):
                inputs[name] = self._mapped_input(step, name, value)
                mapped.append(name)
                continue
            plain = value.value if isinstance(value, Unmapped) else value
            inputs[name] = self._input(step, name, plain, parameter)
        if not mapped:
            raise Invalid(
                f"step {step.name!r} of pipeline {self.pipeline!r} is mapped over nothing: give "
                "it at least one list, or an output of another step"
            )
        return self._add(step, inputs, map=how, mapped=tuple(mapped))

    def order(self, node: str, others: tuple[Any, ...]) -> None:
        """Let `node` run only after the nodes of `others`."""
        found = self.nodes[node]
        after = dict.fromkeys((*found.after, *(self._node_of(other) for other in others)))
        self.nodes[node] = replace(found, after=tuple(after))

    @contextlib.contextmanager
    def condition(self, handle: Any, expected: bool) -> Iterator[None]:
        """Let the nodes added inside run only if `handle` turns out to be `expected`."""
        if not isinstance(handle, Handle):
            raise Invalid(
                f"when(...) takes the output of a step that returns a bool, not {shown(handle, 100)}"
            )
        self._own(handle)
        if not hints.compatible(handle._hint, bool):
            raise Invalid(
                f"when(...) takes an output of type bool; output {handle._ref.output!r} of step "
                f"{handle._ref.node!r} is {hints.show(handle._hint)}"
            )
        self._conditions.append(Condition(handle._ref, expected))
        try:
            yield
        finally:
            self._conditions.pop()

    def either(self, options: tuple[Any, ...]) -> Handle:
        """Return a handle of the first of several outputs that was not skipped."""
        for option in options:
            self._own(option)
        choice = Handle(self, options[0]._ref, options[0]._hint, mapped=options[0]._mapped)
        return _Choice.of(choice, options)

    @contextlib.contextmanager
    def nested(self, name: str, defaults: dict[str, Any]) -> Iterator[None]:
        """Put the nodes added inside into the group of a nested pipeline."""
        self._groups.append(name)
        self._defaults.append({**self._defaults[-1], **defaults})
        try:
            yield
        finally:
            self._groups.pop()
            self._defaults.pop()

    def finish(self, result: Any, params: dict[str, Any], options: dict[str, Any]) -> Plan:
        """Return the checked plan of what was collected."""
        self._finishing = True
        outputs = None
        nothing = isinstance(result, Handle) and not result._ref.output
        if result is not None and not nothing:
            outputs = self._binding(result, f"what pipeline {self.pipeline!r} returns")
        return Plan.of(
            self.pipeline,
            [*self.nodes.values()],
            params=params,
            outputs=outputs,
            options=options,
        )

    # Inside.

    def _bind(
        self, step: Step[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> dict[str, tuple[Any, inspect.Parameter]]:
        signature = Spec.of(step).signature
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise Invalid(
                f"step {step.name!r} in pipeline {self.pipeline!r}: {error}; its parameters are "
                f"{signature.replace(return_annotation=inspect.Signature.empty)}"
            ) from None
        bound.apply_defaults()
        return {
            name: (bound.arguments[name], signature.parameters[name]) for name in bound.arguments
        }

    def _input(
        self, step: Step[Any, Any], name: str, value: Any, parameter: inspect.Parameter
    ) -> Binding:
        target = Spec.of(step).hints.get(name, Any)
        place = f"parameter {name!r} of step {step.name!r}"
        if parameter.kind not in _VARIADIC:
            self._check(value, target, place)
        else:
            for item in value.values() if isinstance(value, dict) else value:
                self._check(item, target, place)
        return self._binding(value, place)

    def _refuse_lists(self, step: Step[Any, Any], name: str, value: Any) -> None:
        for item in value.values() if isinstance(value, dict) else value:
            if is_mapped(item) or isinstance(item, Handle):
                raise Invalid(
                    f"step {step.name!r} cannot be mapped over its *{name}: give the parameter a "
                    "name of its own"
                )

    def _mapped_input(self, step: Step[Any, Any], name: str, value: Any) -> Binding:
        target = Spec.of(step).hints.get(name, Any)
        place = f"each element for parameter {name!r} of step {step.name!r}"
        if isinstance(value, Handle | Handles):
            item = value._hint if value._mapped else hints.item_of(value._hint)
            if not value._mapped and not hints.may_be_list(value._hint):
                raise Invalid(
                    f"step {step.name!r} is mapped over {name!r}, but {value!r} is "
                    f"{hints.show(value._hint)}, no list; write unmapped(...) around what is the "
                    "same for each element"
                )
            if not hints.compatible(item, target):
                self._mismatch(value, item, target, place)
            return self._binding(value, place)
        for item in value:
            self._check(item, target, place)
        return self._binding([*value], place)

    def _check(self, value: Any, target: Any, place: str) -> None:
        if isinstance(value, Unmapped):
            raise Invalid(f"{place}: unmapped(...) is for the arguments of .map and .product")
        if isinstance(value, Handle | Handles):
            if not value._mapped:
                self._check_hints(value, target, place)
            elif hints.compatible(list, target):
                self._check_hints(value, hints.item_of(target), f"each element of {place}")
            else:
                self._mismatch(value, list, target, place)
        elif not _has_handle(value) and not hints.accepts(target, value):
            raise Invalid(
                f"{place} takes {hints.show(hints.strip(target))}, but is given "
                f"{shown(value, 100)} ({hints.show(type(value))})"
            )

    def _check_hints(self, handle: Handle | Handles, target: Any, place: str) -> None:
        if isinstance(handle, Handle):
            self._has_value(handle, place)
        if not hints.compatible(handle._hint, target):
            self._mismatch(handle, handle._hint, target, place)

    def _mismatch(self, handle: Handle | Handles, source: Any, target: Any, place: str) -> None:
        if isinstance(handle, Handle):
            what = f"output {handle._ref.output!r} of step {handle._ref.node!r}"
        else:
            what = f"what step {handle._node!r} returns"
        raise Invalid(
            f"{place} takes {hints.show(hints.strip(target))}, but is given {what}, "
            f"which is {hints.show(source)}"
        )

    def _has_value(self, handle: Handle, place: str) -> None:
        if not handle._ref.output:
            raise Invalid(
                f"{place} is given step {handle._ref.node!r}, which returns nothing; use "
                ".after(...) to run one step after another"
            )

    def _own(self, handle: Any) -> None:
        if not isinstance(handle, Handle):
            raise Invalid(f"expected the output of a step, not {shown(handle, 100)}")
        if handle._tracer is not self:
            raise Invalid(
                f"the output {handle._ref.output!r} of step {handle._ref.node!r} belongs to another "
                f"call of a pipeline ({handle._tracer.pipeline!r}); outputs cannot be carried from "
                f"one to the next: call the step in pipeline {self.pipeline!r}, or nest the pipeline"
            )

    def _binding(self, value: Any, place: str) -> Binding:
        """Return what feeds a parameter."""
        if isinstance(value, _Choice):
            return First(tuple(self._binding(option, place) for option in value._options))
        if isinstance(value, Handle):
            self._own(value)
            self._has_value(value, place)
            return value._ref
        if isinstance(value, Handles):
            parts = tuple(self._binding(handle, place) for handle in value)
            names = () if value._returns.shape == "tuple" else value._returns.names
            kind = _kind_of(value._returns)
            if "<locals>" in kind and not self._finishing:
                raise Invalid(
                    f"{place}: a {hints.show(value._returns.cls)} is given to a step as a whole, but "
                    "its class is defined inside a function, where no other process finds it; "
                    "define it in a module, or give its fields one by one"
                )
            return Items(EACH + kind if value._mapped else kind, parts, names)
        if _has_handle(value):
            if isinstance(value, dict):
                if not all(isinstance(key, str) for key in value):
                    raise Invalid(f"{place}: a dictionary of outputs needs texts as keys")
                items = tuple(self._binding(item, place) for item in value.values())
                return Items("dict", items, tuple(value))
            items = tuple(self._binding(item, place) for item in value)
            return Items("tuple" if isinstance(value, tuple) else "list", items)
        self._refuse_hidden(value, place)
        if values.fits(value):
            return Value(values.encode(value))
        key = f"object:{len(self.objects) + 1}"
        self.objects[key] = value
        return Object(key, hints.type_name(type(value)))

    def _refuse_hidden(self, value: Any, place: str) -> None:
        """Refuse an output in a place where nobody would exchange it for its value."""
        try:
            found = _hidden(value)
        except RecursionError:  # contains itself: whoever keeps it says so
            return
        if found is not None:
            raise HandleMisuse(
                f"{place}: {found!r} stands in a {hints.show(type(value))}; give it to the step as "
                "an argument of its own, or in a plain list, tuple or dictionary"
            )

    def _node_of(self, other: Any) -> str:
        if isinstance(other, Handles):
            return other._node
        self._own(other)
        return str(other._ref.node)

    def _add(
        self,
        step: Step[Any, Any],
        inputs: dict[str, Binding],
        *,
        map: str = "",
        mapped: tuple[str, ...] = (),
    ) -> Any:
        spec = Spec.of(step)
        base = "/".join((*self._groups, step.name))
        id = base
        number = self._used.get(base, 0)
        while id in self.nodes:
            number += 1
            id = f"{base}_{number + 1}"
        if len(id) > _LONGEST_ID:
            raise Invalid(
                f"step {shown(step.name)} lies so deep in nested pipelines that its name there, "
                f"{shown(id)}, has {len(id)} characters; at most {_LONGEST_ID} can be kept: give "
                "the step or its pipelines shorter names"
            )
        self._used[base] = number
        self.nodes[id] = Node(
            id=id,
            step=step.name,
            code=spec.code,
            inputs=inputs,
            outputs=spec.outputs,
            after=tuple(dict.fromkeys(self._node_of(other) for other in step._bound_after)),
            when=tuple(self._conditions),
            map=map,
            mapped=mapped,
            options={**self._defaults[-1], **spec.options},
            group="/".join(self._groups),
        )
        self.steps[id] = step
        return self._handles(id, spec, bool(map))

    def _handles(self, id: str, spec: Spec, mapped: bool) -> Any:
        found = spec.returns
        if found.shape == "none":
            return Handle(self, Ref(id, ""), None, mapped=mapped)
        handles = {
            name: Handle(self, Ref(id, name), hint, mapped=mapped)
            for name, hint in zip(found.names, spec.handle_hints, strict=True)
        }
        if found.shape in ("single", "batches"):
            return handles[found.names[0]]
        return Handles(id, found, handles, mapped=mapped)


class _Choice(Handle):
    """The handle that `either` gives."""

    __slots__ = ("_options",)
    _options: tuple[Any, ...]

    @classmethod
    def of(cls, like: Handle, options: tuple[Any, ...]) -> _Choice:
        made = cls(like._tracer, like._ref, like._hint, mapped=like._mapped)
        made._options = options
        return made


def _kind_of(found: Returns) -> str:
    if found.shape == "tuple":
        return "tuple"
    if found.shape == "typeddict" or found.cls is None:
        return "dict"
    return f"{found.cls.__module__}:{found.cls.__qualname__}"


def _has_handle(value: Any) -> bool:
    if isinstance(value, Handle | Handles):
        return True
    if type(value) in (list, tuple):
        return any(_has_handle(item) for item in value)
    if type(value) is dict:
        return any(_has_handle(item) for item in value.values())
    return False


def _hidden(value: Any) -> Handle | Handles | None:
    """Return an output inside a named tuple, dataclass, set or the like."""
    if isinstance(value, Handle | Handles):
        return value
    inside: Iterable[Any] = ()
    if isinstance(value, dict):
        inside = (*value, *value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        inside = value
    elif is_dataclass(value) and not isinstance(value, type):
        inside = [getattr(value, field.name, None) for field in fields(value)]
    return next((found for item in inside if (found := _hidden(item)) is not None), None)


def code_of(fn: Callable[..., Any]) -> dict[str, Any]:
    """Return where a function is: module, qualified name, file and first line."""
    inner = inspect.unwrap(fn)
    code = getattr(inner, "__code__", None)
    return {
        "module": getattr(inner, "__module__", "") or "",
        "qualname": getattr(inner, "__qualname__", type(inner).__qualname__),
        "file": Path(code.co_filename).name if code else "",
        "line": code.co_firstlineno if code else 0,
    }


def options_json(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a step that a plan records; the rest stays with the function."""
    found = {
        key: list(value) if isinstance(value, tuple) else value
        for key in ("cache", "expires", "ignore", "version", "timeout", "isolated", "on", "tags")
        if (value := options.get(key)) not in (None, (), False)
        or (key == "cache" and value is False)
    }
    if options.get("resources"):
        found["resources"] = dict(options["resources"])
    retries = options.get("retries")
    if retries is not None and retries.times:
        found["retries"] = {
            "times": retries.times,
            "on": [hints.type_name(kind) for kind in retries.on],
            "delay": retries.delay,
            "backoff": retries.backoff,
            "max_delay": retries.max_delay,
            "jitter": retries.jitter,
        }
    return found


def _active(what: str) -> Tracer:
    found = tracer.get()
    if not isinstance(found, Tracer):
        raise Invalid(f"{what} is for the body of a @pipeline function; here a plain `if` does it")
    return found


def when(output: Any, *, is_: bool = True) -> contextlib.AbstractContextManager[None]:
    """Run the steps inside only if an output turns out to be true (or, `is_=False`, false).

    Steps that need one of them are skipped with it; `either` joins the branches again.

        with when(good_enough(score)):
            deploy(model)

    Raises:
        Invalid: outside a pipeline, or not the output of a step that returns a bool.
    """
    return _active("when(...)").condition(output, is_)


def either(first: Any, *others: Any) -> Any:
    """Return the first of several outputs whose step was not skipped.

    Raises:
        Invalid: outside a pipeline, or something that is not an output.
    """
    return _active("either(...)").either((first, *others))

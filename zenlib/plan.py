"""The DAG as plain data: nodes, what feeds them, order, validation, and JSON.

A plan can be read, checked, drawn and stored without the user's code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from zenlib.errors import Invalid

FORMAT = 1
EACH = "each "


@dataclass(frozen=True)
class Value:
    """An argument that is known when the plan is made, encoded by `zenlib.values`."""

    data: Any


@dataclass(frozen=True)
class Object:
    """An argument that JSON cannot hold (a table, an array, a model).

    Attributes:
        key: under which the live value, or later its stored content, is found beside the plan.
        type: its Python type, for people.
    """

    key: str
    type: str


@dataclass(frozen=True)
class Ref:
    """An output of another node; without `output`, what the node returned as a whole."""

    node: str
    output: str


@dataclass(frozen=True)
class Items:
    """Several bindings together.

    Attributes:
        kind: `list`, `tuple`, `dict` (names are its keys), or `module:qualname` of a class that
            is called with the bindings by name. With `each ` before it, the bindings are lists
            of one length, and the value is a list with one such thing per place.
    """

    kind: str
    items: tuple[Binding, ...]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class First:
    """The first of several bindings whose node was not skipped."""

    options: tuple[Binding, ...]


Binding = Value | Object | Ref | Items | First


@dataclass(frozen=True)
class OutputSpec:
    """The name and declared type of an output."""

    name: str
    type: str = "Any"


@dataclass(frozen=True)
class Condition:
    """A node runs only if this output turns out to be `expected`."""

    ref: Ref
    expected: bool


@dataclass(frozen=True)
class Node:
    """One step of a plan.

    Attributes:
        id: unique in the plan; the step's name, with a number when it is used again.
        step: the step's name.
        code: where the function is: `module`, `qualname`, `file`, `line`.
        inputs: parameter -> what feeds it.
        outputs: what it gives.
        after: nodes that must end first although they feed nothing.
        when: conditions, all of which must hold.
        map: empty, `zip` or `product`: one execution per element of the `mapped` inputs.
        mapped: the parameters that take one element each.
        options: the step's options, as JSON.
        group: the nested pipelines it lies in, joined by `/`.
    """

    id: str
    step: str
    code: dict[str, Any]
    inputs: dict[str, Binding] = field(default_factory=dict)
    outputs: tuple[OutputSpec, ...] = ()
    after: tuple[str, ...] = ()
    when: tuple[Condition, ...] = ()
    map: str = ""
    mapped: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    group: str = ""

    def refs(self) -> Iterator[Ref]:
        """Yield every output that the node's inputs refer to."""
        for binding in self.inputs.values():
            yield from refs_of(binding)

    def needs(self) -> dict[str, None]:
        """Return the nodes that must end before this one, as an ordered set."""
        found = {ref.node: None for ref in self.refs()}
        found.update((condition.ref.node, None) for condition in self.when)
        found.update((id, None) for id in self.after)
        return found


def refs_of(binding: Binding | None) -> Iterator[Ref]:
    """Yield every output that a binding refers to."""
    match binding:
        case Ref():
            yield binding
        case Items(items=items) | First(options=items):
            for item in items:
                yield from refs_of(item)
        case _:
            return


@dataclass(frozen=True)
class Plan:
    """A pipeline's DAG for one set of arguments.

    Attributes:
        pipeline: the pipeline's name.
        nodes: by id, in an order in which each comes after all that it needs.
        params: the pipeline's arguments, encoded by `zenlib.values`.
        outputs: what the pipeline returns.
        options: the pipeline's options, as JSON.

    >>> load = Node("load", "load", {}, outputs=(OutputSpec("output"),))
    >>> fit = Node("fit", "fit", {}, inputs={"data": Ref("load", "output")})
    >>> plan = Plan.of("training", [fit, load])
    >>> list(plan.nodes)
    ['load', 'fit']
    >>> Plan.from_json(plan.to_json()) == plan
    True
    """

    pipeline: str
    nodes: dict[str, Node]
    params: dict[str, Any] = field(default_factory=dict)
    outputs: Binding | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, pipeline: str, nodes: list[Node], **rest: Any) -> Plan:
        """Return a checked plan of these nodes.

        Raises:
            Invalid: no nodes, two of one id, a reference to nothing, or a cycle.
        """
        by_id = {node.id: node for node in nodes}
        if not nodes:
            raise Invalid(
                f"pipeline {pipeline!r} has no steps: its function must call at least one step"
            )
        if len(by_id) != len(nodes):
            ids = [node.id for node in nodes]
            repeated = next(id for id in ids if ids.count(id) > 1)
            raise Invalid(f"pipeline {pipeline!r} has two nodes named {repeated!r}")
        plan = cls(pipeline, by_id, **rest)
        plan._check_refs()
        return replace(plan, nodes={id: by_id[id] for id in plan._order()})

    def _check_refs(self) -> None:
        for node in self.nodes.values():
            for needed in node.needs():
                if needed not in self.nodes:
                    raise Invalid(
                        f"step {node.id!r} of pipeline {self.pipeline!r} needs {needed!r}, "
                        "which is not in the plan"
                    )
            for ref in node.refs():
                self._check_output(ref, f"step {node.id!r}")
        for ref in refs_of(self.outputs):
            self._check_output(ref, "the pipeline's return value")

    def _check_output(self, ref: Ref, user: str) -> None:
        source = self.nodes.get(ref.node)
        names = [spec.name for spec in source.outputs] if source else []
        if ref.output not in names:
            raise Invalid(
                f"{user} uses output {ref.output!r} of step {ref.node!r}, "
                f"which has {', '.join(map(repr, names)) or 'no outputs'}"
            )

    def _order(self) -> list[str]:
        """Return the nodes' ids so that each comes after all that it needs (Kahn 1962)."""
        sorter = TopologicalSorter({node.id: node.needs() for node in self.nodes.values()})
        try:
            return list(sorter.static_order())
        except CycleError as error:
            path = " → ".join(reversed(error.args[1]))
            raise Invalid(f"pipeline {self.pipeline!r} has a cycle: {path}") from None

    def node_of(self, name: str) -> str:
        """Return the node of a step run: `score` for `score` and for `score[3]`."""
        return name if name in self.nodes else name.rpartition("[")[0]

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON data."""
        found = {
            "format": FORMAT,
            "pipeline": self.pipeline,
            "params": self.params,
            "options": self.options,
            "nodes": [_node_to_dict(node) for node in self.nodes.values()],
        }
        if self.outputs is not None:
            found["outputs"] = binding_to_dict(self.outputs)
        return found

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the plan as JSON text."""
        return json.dumps(self.to_dict(), indent=indent)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """Return the checked plan that `to_dict` was called on.

        Raises:
            Invalid: the data is not a plan, or is of a newer format.
        """
        if data.get("format") != FORMAT:
            raise Invalid(
                f"this plan has format {data.get('format')!r}; this version reads format {FORMAT}"
            )
        try:
            outputs = data.get("outputs")
            return cls.of(
                data["pipeline"],
                [_node_from_dict(node) for node in data["nodes"]],
                params=data["params"],
                options=data["options"],
                outputs=None if outputs is None else binding_from_dict(outputs),
            )
        except (KeyError, TypeError) as error:
            raise Invalid(f"not a plan: {error!r} is missing or wrong") from error

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Return the checked plan that `to_json` was called on."""
        return cls.from_dict(json.loads(text))


def binding_to_dict(binding: Binding) -> dict[str, Any]:
    """Return a binding as JSON data."""
    match binding:
        case Value(data):
            return {"value": data}
        case Object(key, type_):
            return {"object": key, "type": type_}
        case Ref(node, output):
            return {"from": node, "output": output}
        case Items(kind, items, names):
            found: dict[str, Any] = {"kind": kind, "items": [binding_to_dict(i) for i in items]}
            return {**found, "names": list(names)} if names else found
        case First(options):
            return {"first": [binding_to_dict(option) for option in options]}


def binding_from_dict(data: Mapping[str, Any]) -> Binding:
    """Return the binding that `binding_to_dict` was called on.

    Raises:
        Invalid: the data is not a binding.
    """
    if "value" in data:
        return Value(data["value"])
    if "object" in data:
        return Object(data["object"], data["type"])
    if "from" in data:
        return Ref(data["from"], data["output"])
    if "items" in data:
        items = tuple(binding_from_dict(item) for item in data["items"])
        return Items(data["kind"], items, tuple(data.get("names", ())))
    if "first" in data:
        return First(tuple(binding_from_dict(option) for option in data["first"]))
    raise Invalid(f"not an input of a step: {dict(data)!r}")


def _node_to_dict(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": node.id,
        "step": node.step,
        "code": node.code,
        "inputs": {name: binding_to_dict(binding) for name, binding in node.inputs.items()},
        "outputs": [{"name": spec.name, "type": spec.type} for spec in node.outputs],
    }
    if node.after:
        found["after"] = list(node.after)
    if node.when:
        found["when"] = [
            {**binding_to_dict(condition.ref), "expected": condition.expected}
            for condition in node.when
        ]
    if node.map:
        found["map"], found["mapped"] = node.map, list(node.mapped)
    if node.options:
        found["options"] = node.options
    if node.group:
        found["group"] = node.group
    return found


def _node_from_dict(data: Mapping[str, Any]) -> Node:
    return Node(
        id=data["id"],
        step=data["step"],
        code=data["code"],
        inputs={name: binding_from_dict(found) for name, found in data["inputs"].items()},
        outputs=tuple(OutputSpec(spec["name"], spec["type"]) for spec in data["outputs"]),
        after=tuple(data.get("after", ())),
        when=tuple(
            Condition(Ref(found["from"], found["output"]), found["expected"])
            for found in data.get("when", ())
        ),
        map=data.get("map", ""),
        mapped=tuple(data.get("mapped", ())),
        options=data.get("options", {}),
        group=data.get("group", ""),
    )

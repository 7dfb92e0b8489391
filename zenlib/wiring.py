"""What each node of a plan is given, once the nodes before it have ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zenlib import lookup
from zenlib.errors import Invalid, ZenlibError
from zenlib.execution import Call
from zenlib.fanout import combine
from zenlib.keys import (
    Argument,
    Group,
    Literal,
    Stored,
    doubts_in,
    key_parts,
    paths_in,
    stored_in,
)
from zenlib.orchestrators.base import Fingerprinted
from zenlib.plan import EACH, Binding, First, Items, Node, Object, Plan, Ref, Value, refs_of
from zenlib.records import Status
from zenlib.serializers.base import Content
from zenlib.stack import OpenStack
from zenlib.wording import shown


@dataclass
class NodeState:
    """What is known of one node of a plan.

    Attributes:
        calls: one, or one for each item of a mapped node; None before the node is expanded.
        outputs: of each call that has ended well, by its place.
        ended: how many calls have ended.
        bad: the status of a call that did not end well.
    """

    status: Status = Status.PENDING
    calls: int | None = None
    outputs: dict[int, Mapping[str, Stored]] = field(default_factory=dict)
    ended: int = 0
    bad: Status | None = None
    took_us: int = 0
    cached: int = 0

    @property
    def good(self) -> bool:
        """Whether its outputs exist."""
        return self.status in (Status.COMPLETED, Status.CACHED)

    @property
    def word(self) -> str:
        """How the node ended, as the verb of a sentence."""
        return "failed" if self.status is Status.FAILED else f"was {self.status}"


class Wiring:
    """Resolves the inputs of nodes from the states of the nodes before them."""

    def __init__(self, plan: Plan, objects: Mapping[str, Stored], stack: OpenStack) -> None:
        self.plan = plan
        self.states = {id: NodeState() for id in plan.nodes}
        self._objects = objects
        self._stack = stack
        self._digests: dict[tuple[Any, ...], str] = {}

    def reason_to_skip(self, node: Node) -> str:
        """Return why a node whose needs have all ended cannot or need not run; empty if it can."""
        for condition in node.when:
            source = self.states[condition.ref.node]
            if not source.good:
                return f"condition {condition.ref.node} {source.word}"
            stored = source.outputs[0][condition.ref.output]
            value = self._stack.shelf.load(self._content(stored), place="a condition")
            if bool(value) is not condition.expected:
                return (
                    f"condition {condition.ref.node}.{condition.ref.output} is {shown(value, 50)}"
                )
        for binding in node.inputs.values():
            lost = self.lost(binding)
            if lost:
                return f"{lost} {self.states[lost].word}"
        for needed in node.after:
            if self.states[needed].status in (Status.FAILED, Status.CANCELLED):
                return f"{needed} {self.states[needed].word}"
        return ""

    def inputs(self, node: Node) -> list[Stored]:
        """Return every stored value among a node's inputs, lists as a whole."""
        return [
            found for binding in node.inputs.values() for found in stored_in(self.argument(binding))
        ]

    def argument_sets(self, node: Node) -> list[dict[str, Argument]]:
        """Return the arguments of each call of a node."""
        arguments: dict[str, Argument] = {
            name: self.argument(binding)
            for name, binding in node.inputs.items()
            if name not in node.mapped
        }
        if not node.map:
            return [arguments]
        who = f"step {node.id!r}"
        lists = {name: self._elements(node.inputs[name], name, who) for name in node.mapped}
        return [
            {name: {**arguments, **items}[name] for name in node.inputs}
            for items in combine(node.map, lists, who)
        ]

    def argument(self, binding: Binding) -> Argument:
        """Return what a binding stands for."""
        match binding:
            case Value(data):
                return self._literal(data)
            case Object(key, _):
                return self._objects[key]
            case Ref(node, output):
                progress = self.states[node]
                if self.plan.nodes[node].map:
                    results = tuple(
                        progress.outputs[place][output] for place in sorted(progress.outputs)
                    )
                    return Group("list", results)
                return progress.outputs[0][output]
            case Items(kind, items, names):
                found = tuple(self.argument(item) for item in items)
                if kind.startswith(EACH):  # a mapped step's outputs, as a list of what it returns
                    columns = [group.items for group in found if isinstance(group, Group)]
                    rows = (
                        Group(kind[len(EACH) :], row, names) for row in zip(*columns, strict=True)
                    )
                    return Group("list", tuple(rows))
                return Group(kind, found, names)
            case First(options):
                return self.argument(next(o for o in options if not self.lost(o)))

    def _literal(self, data: Any) -> Literal:
        """Return a given value; a path in it counts by what it leads to, not by its name alone."""
        paths = paths_in(data) if isinstance(data, list | dict) else []
        if not paths:
            return Literal(data)
        try:
            return Literal(data, tuple(map(self._file_digest, paths)))
        except (ZenlibError, OSError) as error:
            return Literal(data, doubt=f"{', '.join(paths)}: {error}")

    def _file_digest(self, name: str) -> str:
        path = Path(name)
        if not path.exists():
            return "nothing"
        stat = path.stat()
        known = (name, stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if path.is_dir():  # its own times say nothing of the files in it
            return self._stack.shelf.digest(path)
        if known not in self._digests:
            self._digests[known] = self._stack.shelf.digest(path)
        return self._digests[known]

    def calls(
        self, node: Node, run_id: str, code: Fingerprinted, *, reuse: bool
    ) -> list[tuple[int, Call]]:
        """Return the executions of a node, each with its place.

        Args:
            node: all that it needs has ended.
            run_id: of the run.
            code: the identity of the step's code.
            reuse: whether the run may take earlier results.

        Raises:
            Invalid: only known now: lists of different lengths, or something that is no list.
            CorruptArtifact: a list that is mapped over is damaged.
        """
        own = node.options.get("cache")
        caching = (own if own is not None else self.plan.options.get("cache")) is not False
        found = []
        for place, arguments in enumerate(self.argument_sets(node)):
            unknown = (*code.unknown, *doubts_in(arguments.values()))
            key = key_parts(node, arguments, code.code, unknown)
            taking = reuse and caching and not unknown
            if not taking:
                key["reason"] = "unknown" if unknown else "disabled"
            name = f"{node.id}[{place}]" if node.map else node.id
            keep = not code.never_kept and not unknown
            call = Call(run_id, self.plan.pipeline, name, node, arguments, key, taking, keep)
            found.append((place, call))
        return found

    def _elements(self, binding: Binding, name: str, who: str) -> Sequence[Argument]:
        """Return the elements of an argument that is mapped over."""
        argument = self.argument(binding)
        if isinstance(argument, Group):
            return argument.items
        place = f"{who} is mapped over {name!r}"
        if isinstance(argument, Literal):
            if not isinstance(argument.data, list):
                raise Invalid(f"{place}, which is no list")
            return [Literal(item) for item in argument.data]
        content = self._content(argument)
        parts = self._stack.shelf.split(content)
        if parts is None:
            raise Invalid(
                f"{place}, but {argument.source} is no list: {content.type}; write unmapped(...) "
                "around what is the same for each element"
            )
        return [
            Stored(part.digest, part, source=f"{argument.source}[{place_}]")
            for place_, part in enumerate(parts)
        ]

    def _content(self, stored: Stored) -> Content:
        if stored.content is not None:
            return stored.content
        found = lookup.artifacts_of(self._stack.metadata, [stored.artifact])
        if stored.artifact not in found:
            raise Invalid(f"the artifact of {stored.source} ({stored.artifact}) was deleted")
        return Content.from_json(found[stored.artifact].content)

    def lost(self, binding: Binding) -> str:
        """Return a node without which a binding has no value, or nothing."""
        if isinstance(binding, First):
            all_lost = [self.lost(option) for option in binding.options]
            return "" if "" in all_lost else all_lost[0]
        if isinstance(binding, Items):
            return next((lost for item in binding.items if (lost := self.lost(item))), "")
        return next((r.node for r in refs_of(binding) if not self.states[r.node].good), "")

    def outputs(self) -> Any:
        """Return what the pipeline returns, as data with `{"artifact": id}` leaves."""
        binding = self.plan.outputs
        if binding is None or self.lost(binding):
            return None
        return _outputs_json(self.argument(binding))


def _outputs_json(argument: Argument) -> Any:
    if isinstance(argument, Literal):
        return {"value": argument.data}
    if isinstance(argument, Stored):
        return (
            {"artifact": argument.artifact}
            if argument.artifact
            else {"content": argument.content.to_json() if argument.content else None}
        )
    items = [_outputs_json(item) for item in argument.items]
    return {"kind": argument.kind, "items": items, "names": list(argument.names)}

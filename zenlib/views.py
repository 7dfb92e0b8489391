"""What a user holds of the history: runs, their steps and artifacts, loaded as they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from functools import cached_property
from typing import Any

from zenlib import execution, explain, lookup, records, values
from zenlib.artifacts.blobs import key_of
from zenlib.diagram import Box, Graph, Line
from zenlib.diagram.text import text as draw
from zenlib.display import duration
from zenlib.errors import Invalid, NotFound
from zenlib.explain import Why
from zenlib.instances import find_class, is_named_tuple, make_dataclass, make_named_tuple
from zenlib.plan import Plan
from zenlib.records import Attempt, Failure, Status, StepRun
from zenlib.serializers.base import Content
from zenlib.stack import OpenStack


class Artifact:
    """One stored output.

    Attributes:
        record: what the metadata store has of it.
    """

    def __init__(self, stack: OpenStack, record: records.Artifact) -> None:
        self._stack = stack
        self.record = record

    def __repr__(self) -> str:
        return f"<artifact {self.name}@{self.version} {self.type} {self.digest[:11]}…>"

    @property
    def id(self) -> str:
        """The id of the record."""
        return self.record.id

    @property
    def name(self) -> str:
        """The name that its versions share."""
        return self.record.name

    @cached_property
    def version(self) -> int:
        """The number of this version: 1, 2, 3, …"""
        if self.record.number:
            return self.record.number
        return self._stack.metadata.get(records.Artifact, self.record.id).number

    @property
    def digest(self) -> str:
        """The digest of the content: equal digests are equal values."""
        return self.record.digest

    @property
    def type(self) -> str:
        """The Python type of the value."""
        return self.record.type

    @property
    def size_bytes(self) -> int:
        """The size of its files; 0 for a small value that lies in the record."""
        return self.record.size_bytes

    @property
    def metadata(self) -> dict[str, Any]:
        """Facts about the value: rows, shape, dtype, …"""
        return self.record.metadata

    @cached_property
    def content(self) -> Content:
        """How the value is stored."""
        return Content.from_json(self.record.content)

    @property
    def uri(self) -> str:
        """Where its bytes lie, if it is one file; otherwise where its record is."""
        if len(self.content.files) == 1 and not self.content.parts:
            (file,) = self.content.files.values()
            base = self._stack.settings.artifact_store.url or "memory://"
            return f"{base.rstrip('/')}/{key_of(file.digest)}"
        return f"zenlib://artifacts/{self.id}"

    def load(self) -> Any:
        """Return the value; every byte is verified first.

        Raises:
            CorruptArtifact: bytes are missing or changed.
            Denied: it is pickled and the rules do not allow to open it.
        """
        return self._stack.shelf.load(self.content, place=f"artifact {self.name!r}")


class Constant:
    """Something that a pipeline returned and no step made."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __repr__(self) -> str:
        return f"<constant {self._value!r:.80}>"

    def load(self) -> Any:
        """Return the value."""
        return self._value


class Several:
    """Outputs in a list, tuple or dictionary: what a mapped step made, or a pipeline returned.

    Items are found by place (`[0]`) or by name (`["model"]`).
    """

    def __init__(self, kind: str, items: list[Any], names: list[str]) -> None:
        self._kind = kind
        self.items = items
        self.names = names

    def __repr__(self) -> str:
        return f"<{self._kind} of {len(self.items)} outputs: {', '.join(self.names)}>"

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def __getitem__(self, key: int | str) -> Any:
        if isinstance(key, int):
            return self.items[key]
        if key not in self.names:
            raise NotFound(f"no output {key!r}; there are {', '.join(self.names)}")
        return self.items[self.names.index(key)]

    def load(self) -> Any:
        """Return the values, in the same arrangement.

        A dataclass or named tuple is made without calling its class; where that cannot give all
        of it (the class is gone, has other fields, or computes some), a dictionary comes back.
        """
        found = [item.load() for item in self.items]
        if self._kind == "list":
            return found
        if self._kind == "tuple":
            return tuple(found)
        named = dict(zip(self.names, found, strict=True))
        return named if self._kind == "dict" else _restored(self._kind, named)


def _restored(kind: str, named: dict[str, Any]) -> Any:
    try:
        cls = find_class(kind, "dataclass", lambda c: is_named_tuple(c) or is_dataclass(c))
        return (make_named_tuple if is_named_tuple(cls) else make_dataclass)(cls, named)
    except Invalid:  # also of a class that is defined inside a function
        return named


class StepResult:
    """What became of one node of a run.

    Attributes:
        node: its id in the plan.
        record: its step run; None if it has not ended yet, or is mapped.
        items: for a mapped node, the results of its elements.
    """

    def __init__(
        self, run: Run, node: str, record: StepRun | None, items: tuple[StepResult, ...] = ()
    ) -> None:
        self._run = run
        self.node = node
        self.record = record
        self.items = items

    def __repr__(self) -> str:
        return f"<step {self.node} {self.status}>"

    @property
    def status(self) -> Status:
        """The status; of a mapped node, the worst of its items."""
        if self.record is not None:
            return self.record.status
        found = {item.status for item in self.items}
        for status in (Status.FAILED, Status.CANCELLED, Status.RUNNING, Status.COMPLETED):
            if status in found:
                return status
        if found:
            return Status.CACHED
        mapped = self.node in self._run.plan.nodes and self._run.plan.nodes[self.node].map
        if self._run.status is Status.COMPLETED and mapped:
            return Status.COMPLETED  # over an empty list
        return Status.PENDING

    @cached_property
    def outputs(self) -> Mapping[str, Any]:
        """Output name -> `Artifact` (for a mapped node, a list of them)."""
        if self.items:
            names = dict.fromkeys(n for item in self.items for n in item.outputs)
            return {
                name: Several(
                    "list",
                    [item.outputs[name] for item in self.items if name in item.outputs],
                    [item.node for item in self.items if name in item.outputs],
                )
                for name in names
            }
        if self.record is None:
            return {}
        return {name: self._run.artifact(out.artifact) for name, out in self.record.outputs.items()}

    @property
    def output(self) -> Any:
        """The only output.

        Raises:
            Invalid: there are several, or none.
        """
        if len(self.outputs) != 1:
            raise Invalid(
                f"step {self.node!r} has {len(self.outputs)} outputs"
                + (f": {', '.join(self.outputs)}" if self.outputs else f"; it is {self.status}")
            )
        return next(iter(self.outputs.values()))

    @property
    def took_us(self) -> int:
        """How long it took, in microseconds; of a mapped node, all items together."""
        if self.record is None:
            return sum(item.took_us for item in self.items)
        return self.record.ended_us - self.record.started_us

    @property
    def failure(self) -> Failure | None:
        """Why it failed; of a mapped node, the first failure."""
        if self.record is None:
            return next((item.failure for item in self.items if item.failure), None)
        return self.record.failure

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Each try: when it began, how long it took, how it ended."""
        return self.record.attempts if self.record else ()

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric that the step logged."""
        if self.record is None:
            return {}
        return {name: found["last"] for name, found in self.record.metrics.items()}

    def why(self) -> Why:
        """Return why it ran, or why it did not."""
        return self._run.why(self.node)


class Run:
    """One execution of a pipeline, as it is now.

    Attributes:
        record: what the metadata store has of it.
    """

    def __init__(self, stack: OpenStack, record: records.Run) -> None:
        self._stack = stack
        self.record = record

    def __repr__(self) -> str:
        return f"<run {self.id} of {self.pipeline}: {self.status}>"

    @property
    def id(self) -> str:
        """The id: a UUIDv7, ordered by time."""
        return self.record.id

    @property
    def pipeline(self) -> str:
        """The name of the pipeline."""
        return self.record.pipeline

    @property
    def status(self) -> Status:
        """The status when this object was read; `refresh` reads it again."""
        return self.record.status

    @property
    def tags(self) -> tuple[str, ...]:
        """The run's tags."""
        return self.record.tags

    @property
    def failure(self) -> Failure | None:
        """Why it failed."""
        return self.record.failure

    @property
    def took_us(self) -> int:
        """How long it took so far, in microseconds."""
        return (self.record.ended_us or execution.now_us()) - self.record.started_us

    @property
    def params(self) -> dict[str, Any]:
        """The pipeline's arguments; one that is no plain value is given as a note of its type."""
        return {name: values.decode(data) for name, data in self.record.params.items()}

    @cached_property
    def plan(self) -> Plan:
        """The plan that was executed."""
        return Plan.from_dict(self.record.plan)

    def refresh(self) -> Run:
        """Return the run as it is now."""
        return Run(self._stack, self._stack.metadata.get(records.Run, self.id))

    @cached_property
    def step_runs(self) -> list[StepRun]:
        """The records of its steps, in the order in which they ended."""
        found: list[StepRun] = []
        cursor = None
        while True:
            page = self._stack.metadata.find(
                StepRun, {"run_id": self.id}, limit=10_000, cursor=cursor
            )
            found += page.items
            cursor = page.cursor
            if cursor is None:
                return found

    @cached_property
    def steps(self) -> dict[str, StepResult]:
        """Node id -> what became of it, in plan order; `run.steps["fit"]`."""
        by_node: dict[str, list[StepRun]] = {}
        for step_run in self.step_runs:
            by_node.setdefault(self.plan.node_of(step_run.node), []).append(step_run)
        found = _Steps()
        for id, node in self.plan.nodes.items():
            mine = by_node.get(id, [])
            if node.map and not (len(mine) == 1 and mine[0].node == id):
                mine.sort(key=lambda step_run: int(step_run.node[len(id) + 1 : -1]))
                items = tuple(StepResult(self, step_run.node, step_run) for step_run in mine)
                found[id] = StepResult(self, id, None, items)
            else:
                found[id] = StepResult(self, id, mine[-1] if mine else None)
        return found

    @property
    def all_steps(self) -> dict[str, StepResult]:
        """Like `steps`, with an entry for each element of a mapped node."""
        found = {}
        for id, result in self.steps.items():
            found.update(
                {item.node: item for item in result.items} if result.items else {id: result}
            )
        return found

    @cached_property
    def _artifacts(self) -> dict[str, records.Artifact]:
        ids = [o.artifact for step_run in self.step_runs for o in step_run.outputs.values()]
        return lookup.artifacts_of(self._stack.metadata, ids)

    def artifact(self, id: str) -> Artifact:
        """Return an artifact of this run by its id.

        Raises:
            NotFound: it was deleted.
        """
        record = self._artifacts.get(id)
        if record is None:
            raise NotFound(f"artifact {id} of run {self.id} was deleted")
        return Artifact(self._stack, record)

    @cached_property
    def outputs(self) -> Any:
        """What the pipeline returned: an output (`.load()`), or several (`["model"]`, `[0]`)."""
        if self.record.outputs is None:
            return None
        return self._output(self.record.outputs)

    def _output(self, data: dict[str, Any]) -> Any:
        if "artifact" in data:
            return self.artifact(data["artifact"])
        if "value" in data:
            return Constant(values.decode(data["value"]))
        if "content" in data:
            return Constant(self._stack.shelf.load(Content.from_json(data["content"])))
        items = [self._output(item) for item in data["items"]]
        names = data["names"] or [
            self._output_name(item) if isinstance(item, Artifact) else str(place)
            for place, item in enumerate(items)
        ]
        return Several(data["kind"], items, names)

    def _output_name(self, artifact: Artifact) -> str:
        for step_run in self.step_runs:
            for name, output in step_run.outputs.items():
                if output.artifact == artifact.id:
                    return name if not name.startswith("output") else artifact.name
        return artifact.name

    def why(self, node: str) -> Why:
        """Return why a step of this run ran, or why it did not.

        Raises:
            NotFound: the plan has no such step, or it has not ended yet.
        """
        step = self.all_steps.get(node) or self.steps.get(node)
        if step is None:
            raise NotFound(f"run {self.id} has no step {node!r}; it has {', '.join(self.steps)}")
        if step.record is None:
            if step.items:
                return Why(
                    node,
                    explain.verdict_of(step.status),
                    (f"{len(step.items)} items; ask for one: {node}[0]",),
                )
            return Why(node, str(step.status), ("it has not ended",))
        return explain.why(self._stack.metadata, step.record)

    def diagram(self, *, width: int | None = None, color: bool = False) -> str:
        """Return a drawing of the plan and what became of each step, for a terminal."""
        return draw(self.graph(), width=width, color=color)

    def graph(self) -> Graph:
        """Return the picture of this run as data."""
        notes = {}
        for id, step in self.steps.items():
            ran = step.status in (Status.COMPLETED, Status.FAILED)
            notes[id] = str(step.status), duration(step.took_us) if ran else "", len(step.items)
        return graph_of(self.plan, notes)


class _Steps(dict[str, StepResult]):
    def __missing__(self, node: str) -> StepResult:
        raise NotFound(f"there is no step {node!r}; there are {', '.join(self)}")


def graph_of(plan: Plan, notes: Mapping[str, tuple[str, str, int]] | None = None) -> Graph:
    """Return the picture of a plan as data.

    Args:
        plan: the plan.
        notes: node id -> status, note, number of items.
    """
    notes = notes or {}
    boxes, lines = [], []
    for id, node in plan.nodes.items():
        status, note, count = notes.get(id, ("pending", "", 0))
        boxes.append(
            Box(id, id, status, note, count=count or None if node.map else None, group=node.group)
        )
        fed: dict[str, list[str]] = {}
        for ref in node.refs():
            label = "" if ref.output == "output" else ref.output
            if label not in fed.setdefault(ref.node, []):
                fed[ref.node].append(label)
        for source, labels in fed.items():
            lines.append(Line(source, id, ", ".join(filter(None, labels))))
        for condition in node.when:
            label = "if" if condition.expected else "if not"
            lines.append(Line(condition.ref.node, id, label, "condition"))
        lines += [Line(other, id, "", "order") for other in node.after if other not in fed]
    return Graph(tuple(boxes), tuple(lines), plan.pipeline)

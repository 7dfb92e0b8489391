"""What differs between two runs: parameters, code, inputs, metrics, outputs, environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zenlib import explain
from zenlib.fingerprint import Difference
from zenlib.hashing import compact_json
from zenlib.records import Run, StepRun
from zenlib.stores.base import MetadataStore


@dataclass(frozen=True)
class Side:
    """One of the two runs: its record, and node -> step run."""

    run: Run
    steps: Mapping[str, StepRun]


@dataclass(frozen=True)
class Change:
    """One difference.

    Attributes:
        section: `parameters`, `code`, `inputs`, `outputs`, `metrics`, `steps` or `environment`.
        name: what differs.
        old, new: its two values as texts; empty where one run does not have it.
        note: more about it.
    """

    section: str
    name: str
    old: str = ""
    new: str = ""
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """All differences between two runs.

    Attributes:
        a, b: the ids of the runs.
        changes: in the order of the sections.
        code: the differences in code, with the sources for a diff.
    """

    a: str
    b: str
    changes: tuple[Change, ...]
    code: tuple[Difference, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.changes)

    def diff(self) -> str:
        """Return the changed sources as one unified diff."""
        return "\n".join(text for one in self.code if (text := one.unified_diff()))

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON data."""
        changes = [
            {"section": c.section, "name": c.name, "old": c.old, "new": c.new, "note": c.note}
            for c in self.changes
        ]
        return {"a": self.a, "b": self.b, "changes": changes, "diff": self.diff()}

    def __str__(self) -> str:
        if not self.changes:
            return "no difference"
        rows = []
        section = ""
        width = max(len(change.name) for change in self.changes)
        left = max(len(change.old) for change in self.changes)
        for change in self.changes:
            head = change.section if change.section != section else ""
            section = change.section
            values = f"{change.old:<{left}}  →  {change.new}" if change.old or change.new else ""
            rows.append(f"{head:<12} {change.name:<{width}}  {values}  {change.note}".rstrip())
        return "\n".join(rows)


def compare(metadata: MetadataStore, a: Side, b: Side) -> Comparison:
    """Return what differs between two runs."""
    code: dict[str, tuple[Difference, list[str]]] = {}
    changes = [*_params(a.run, b.run)]
    for node, (old, new) in _pairs(a.steps, b.steps).items():
        # A step that was skipped or never started has no code.
        texts = [side.key.get("code", "") if side else "" for side in (old, new)]
        if all(texts) and texts[0] != texts[1]:
            found = explain.code_differences(metadata, texts[0], texts[1])
            if not found:
                changes.append(Change("code", node, texts[0][:20], texts[1][:20]))
            for one in found:
                code.setdefault(one.text, (one, []))[1].append(node)
    for text, (_, nodes) in code.items():
        changes.append(Change("code", ", ".join(nodes), note=text))
    changes += _step_params(a, b)
    changes += _steps(a, b)
    changes += _metrics(a, b)
    changes += _outputs(a, b)
    changes += _environment(a.run, b.run)
    return Comparison(a.run.id, b.run.id, tuple(changes), tuple(one for one, _ in code.values()))


def _pairs(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (a.get(name), b.get(name)) for name in dict.fromkeys((*a, *b))}


def _params(a: Run, b: Run) -> Iterator[Change]:
    for name, (old, new) in _pairs(a.params, b.params).items():
        if not _same(old, new):
            yield Change("parameters", name, *_shown(old), *_shown(new), note=_delta(old, new))


def _same(old: Any, new: Any) -> bool:
    """Whether two encoded values are one: in Python 1, 1.0 and True would be."""
    return compact_json(old) == compact_json(new)


def _shown(data: Any) -> tuple[str]:
    return ("" if data is None else explain.show_param({"value": data})[:60],)


def _delta(old: Any, new: Any) -> str:
    numbers = [n for n in (old, new) if isinstance(n, int | float) and not isinstance(n, bool)]
    return f"{new - old:+.6g}" if len(numbers) == 2 else ""


def _step_params(a: Side, b: Side) -> Iterator[Change]:
    """Yield parameters of steps that are no parameters of the pipeline."""
    for node, (old, new) in _pairs(a.steps, b.steps).items():
        if old is None or new is None:
            continue
        pairs = _pairs(old.key.get("params", {}), new.key.get("params", {}))
        for name, (x, y) in pairs.items():
            if not _same(x, y) and name not in {**a.run.params, **b.run.params}:
                texts = [explain.show_param(v) if v is not None else "" for v in (x, y)]
                yield Change("parameters", f"{node}.{name}", texts[0], texts[1])


def _steps(a: Side, b: Side) -> Iterator[Change]:
    for node, (old, new) in _pairs(a.steps, b.steps).items():
        before = str(old.status) if old else ""
        after = str(new.status) if new else ""
        good = {"completed", "cached"}
        if before != after and not {before, after} <= good:
            yield Change("steps", node, before, after)


def _metrics(a: Side, b: Side) -> Iterator[Change]:
    for node, (old, new) in _pairs(a.steps, b.steps).items():
        pairs = _pairs(old.metrics if old else {}, new.metrics if new else {})
        for name, (x, y) in pairs.items():
            if (x or {}).get("last") != (y or {}).get("last"):
                values = [found["last"] if found else None for found in (x, y)]
                texts = ["" if value is None else f"{value:g}" for value in values]
                yield Change("metrics", f"{node}.{name}", texts[0], texts[1], _delta(*values))


def _outputs(a: Side, b: Side) -> Iterator[Change]:
    for node, (old, new) in _pairs(a.steps, b.steps).items():
        pairs = _pairs(old.outputs if old else {}, new.outputs if new else {})
        for name, (x, y) in pairs.items():
            if x and y and x.digest != y.digest:
                yield Change("data", f"{node}.{name}", x.digest[:11] + "…", y.digest[:11] + "…")


def _environment(a: Run, b: Run) -> Iterator[Change]:
    for name, (old, new) in _pairs(a.environment, b.environment).items():
        if old != new and name != "argv":
            yield Change("environment", name, str(old or ""), str(new or ""))

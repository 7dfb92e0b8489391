"""Why a step ran or did not: the difference between two cache keys, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from zenlib.display import ago, short_id
from zenlib.errors import NotFound
from zenlib.execution import now_us
from zenlib.fingerprint import Difference, Part, differences
from zenlib.hashing import compact_json
from zenlib.records import Code, Source, Status, StepRun
from zenlib.stores.base import MetadataStore, Span


@dataclass(frozen=True)
class Why:
    """The reason for what became of one step.

    Attributes:
        node: of the plan.
        verdict: `ran`, `cached`, `failed`, `skipped`, … or, in a plan, `would run`.
        reasons: in words, the most telling first.
        code: what differs in the code, with the sources for a diff.
        since: the id of the step run that this one was compared with.
    """

    node: str
    verdict: str
    reasons: tuple[str, ...]
    code: tuple[Difference, ...] = field(default=(), repr=False)
    since: str = ""

    def __str__(self) -> str:
        return f"{self.node} {self.verdict}: {'; '.join(self.reasons)}"

    def diff(self) -> str:
        """Return the changed sources as one unified diff; empty if no code differs."""
        return "\n".join(text for one in self.code if (text := one.unified_diff()))

    def to_json(self) -> dict[str, Any]:
        """Return the reason as JSON data."""
        return {
            "node": self.node,
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "since": self.since,
            "diff": self.diff(),
        }


_VERDICTS = {Status.COMPLETED: "ran", Status.CACHED: "cached"}


def verdict_of(status: Status) -> str:
    """Return what became of a step in one word: `ran`, or the word of its status."""
    return _VERDICTS.get(status, str(status))


def why(metadata: MetadataStore, step_run: StepRun) -> Why:
    """Explain one step run by what differs from the one before of the same node."""
    verdict = verdict_of(step_run.status)
    if step_run.status is Status.CACHED:
        age = ago(step_run.key["computed_us"], now_us())
        reason = (
            f"same code, inputs and parameters as run {short_id(step_run.key['from_run'])}, {age}"
        )
        return Why(step_run.node, verdict, (reason,), since=step_run.cached_from)
    if "id" not in step_run.key:
        return Why(step_run.node, verdict, (step_run.key.get("reason", "it never started"),))
    before = previous(metadata, step_run)
    return compare(metadata, step_run.node, verdict, before, step_run.key)


def previous(metadata: MetadataStore, step_run: StepRun) -> StepRun | None:
    """Return the newest earlier step run of the same node that has a result."""
    where = {"pipeline": step_run.pipeline, "node": step_run.node, "id": Span(high=step_run.id)}
    return _with_result(metadata, where)


def latest(metadata: MetadataStore, pipeline: str, node: str) -> StepRun | None:
    """Return the newest step run of a node that has a result."""
    return _with_result(metadata, {"pipeline": pipeline, "node": node})


def _with_result(metadata: MetadataStore, where: Mapping[str, object]) -> StepRun | None:
    found = metadata.find(StepRun, where, order="-id", limit=20).items
    return next((s for s in found if s.status in _VERDICTS and "id" in s.key), None)


def compare(
    metadata: MetadataStore,
    node: str,
    verdict: str,
    before: StepRun | None,
    key: Mapping[str, Any],
    *,
    new_code: Mapping[str, list[Part]] | None = None,
) -> Why:
    """Explain why a step with this key is not a hit on the step run before.

    Args:
        new_code: fingerprints that are not stored yet, by their digest.
    """
    reasons = [f"not cached: {what}" for what in key.get("unknown", ())]
    if key.get("reason") == "disabled":
        reasons.append("caching is switched off")
    if before is None:
        return Why(node, verdict, (*reasons, "first run of this step"))
    code: list[Difference] = []
    if before.key["code"] != key["code"]:
        code = code_differences(metadata, before.key["code"], key["code"], new_code)
        reasons += [one.text for one in code] or [_versions(before.key["code"], key["code"])]
    reasons += _value_reasons(before.key, key)
    if not reasons:
        reasons.append(_same_key(before, key))
    return Why(node, verdict, tuple(reasons), tuple(code), since=before.id)


def _same_key(before: StepRun, key: Mapping[str, Any]) -> str:
    if before.key["id"] != key["id"]:
        return "the rules for cache keys changed"
    if not before.cache_key and before.status is Status.COMPLETED:
        return "the earlier result may not be reused"
    if key.get("reason"):
        return str(key["reason"])
    return "nothing changed, but the earlier result could not be used"


def code_differences(
    metadata: MetadataStore, old: str, new: str, unstored: Mapping[str, list[Part]] | None = None
) -> list[Difference]:
    """Return what differs between two fingerprints, given by their digests."""
    parts = [(unstored or {}).get(digest) or _parts(metadata, digest) for digest in (old, new)]
    if parts[0] is None or parts[1] is None:
        return []
    return differences(parts[0], parts[1])


def _parts(metadata: MetadataStore, digest: str) -> list[Part] | None:
    try:
        code = metadata.get(Code, digest)
    except NotFound:
        return None
    wanted = {data["source"] for data in code.parts if data.get("source")}
    sources = {s.id: s.text for s in metadata.find(Source, {"id": [*wanted]}, limit=10_000).items}
    return [Part.from_json(data, sources) for data in code.parts]


def _versions(old: str, new: str) -> str:
    if old.startswith("version:") and new.startswith("version:"):
        return f"version {old[8:]} → {new[8:]}"
    return "the code changed"


def _value_reasons(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    ignored = set(new.get("ignored", ()))
    for name in dict.fromkeys((*old["params"], *new["params"])):
        a, b = old["params"].get(name), new["params"].get(name)
        # As texts: to Python 1 equals True, 0.0 equals -0.0, and dictionaries have no order.
        if compact_json(a) != compact_json(b) and name not in ignored:
            moved = name in old["inputs"] or name in new["inputs"]
            if not moved:
                yield f"parameter {name}: {show_param(a)} → {show_param(b)}"
    for name, digests in new.get("files", {}).items():
        if name not in ignored and digests != old.get("files", {}).get(name, digests):
            yield f"the content of {show_param(new['params'][name])} changed (parameter {name})"
    for name in dict.fromkeys((*old["inputs"], *new["inputs"])):
        x, y = old["inputs"].get(name), new["inputs"].get(name)
        if name in ignored or (x and y and x[0] == y[0]):
            continue
        if x is None or y is None:
            yield f"input {name} is {'new' if x is None else 'no longer given'}"
        else:
            source = f"{y[1]} " if y[1] else ""
            yield f"input {name} changed ({source}{_short(x[0])} → {_short(y[0])})"
    if old.get("ignored") != new.get("ignored"):
        yield f"ignored parameters: {_ignored(old)} → {_ignored(new)}"
    if old["outputs"] != new["outputs"]:
        yield f"declared outputs: {_outputs(old)} → {_outputs(new)}"


def _ignored(key: Mapping[str, Any]) -> str:
    return ", ".join(key.get("ignored", ())) or "none"


def _outputs(key: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {kind}" for name, kind in key["outputs"]) or "none"


def _short(digest: str) -> str:
    return digest[:7] + "…"


def show_param(shown: Any) -> str:
    """Return a recorded parameter as text."""
    if shown is None:
        return "(none)"
    if "value" not in shown:
        return f"{shown['start'][:40]}… ({_short(shown['digest'])})"
    data = shown["value"]
    if isinstance(data, dict) and set(data) == {"$", "v"}:
        data = data["v"][1] if data["$"] == "path" else data["v"]
    return data if isinstance(data, str) and not data.isspace() and data else json.dumps(data)

"""What a plan would do: which steps would run, which are known already, and why; runs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zenlib import execution, explain, lifecycle, lookup
from zenlib.display import ago, duration, short_id
from zenlib.execution import Call
from zenlib.explain import Why
from zenlib.fingerprint import Part
from zenlib.keys import Stored
from zenlib.orchestrators.base import Fingerprinted
from zenlib.plan import Node, Plan
from zenlib.records import Status, StepRun
from zenlib.stack import OpenStack
from zenlib.steps import Step
from zenlib.wiring import Wiring


@dataclass(frozen=True)
class Prediction:
    """What would become of one step.

    Attributes:
        why: the verdict (`would run`, `cached`, `would be skipped`, `may run`) and its reasons.
        last_us: how long it took the last time it ran, in microseconds; None if it never did.
        items: of a mapped step, how many elements it has, if that is known.
    """

    why: Why
    last_us: int | None = None
    items: int | None = None


@dataclass(frozen=True)
class PlanExplanation:
    """What a plan would do, step by step, in plan order."""

    pipeline: str
    steps: tuple[Prediction, ...]

    def __str__(self) -> str:
        width = max((len(step.why.node) for step in self.steps), default=0)
        lines = []
        for step in self.steps:
            last = f"  (last time {duration(step.last_us)})" if step.last_us is not None else ""
            reasons = "; ".join(step.why.reasons)
            lines.append(f"{step.why.node:<{width}}  {step.why.verdict:<16}  {reasons}{last}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the explanation as JSON data."""
        return {
            "pipeline": self.pipeline,
            "steps": [
                {**step.why.to_json(), "last_us": step.last_us, "items": step.items}
                for step in self.steps
            ],
        }


def foresee(
    plan: Plan,
    steps: Mapping[str, Step[Any, Any]],
    objects: Mapping[str, Any],
    stack: OpenStack,
    *,
    reuse: bool,
) -> PlanExplanation:
    """Return what a plan would do on a stack as its history is now."""
    code, prints = lifecycle.identify(steps, stack.shelf)
    # A digest is all that a key needs of an object; nothing is stored.
    stored = {
        key: Stored(stack.shelf.digest(value), None, source="the call of the pipeline")
        for key, value in objects.items()
    }
    seer = _Seer(plan, code, Wiring(plan, stored, stack), stack, reuse)
    seer.new_code = {digest: list(found.parts) for digest, found in prints.items()}
    return PlanExplanation(plan.pipeline, tuple(seer.see(node) for node in plan.nodes.values()))


class _Seer:
    def __init__(
        self,
        plan: Plan,
        code: Mapping[str, Fingerprinted],
        wiring: Wiring,
        stack: OpenStack,
        reuse: bool,
    ) -> None:
        self._plan = plan
        self._code = code
        self._wiring = wiring
        self._stack = stack
        self._reuse = reuse
        self.digests: Mapping[str, str] = {}
        self.new_code: Mapping[str, list[Part]] = {}

    def see(self, node: Node) -> Prediction:
        """Return what would become of a node, and note its outputs if they are known."""
        state = self._wiring.states[node.id]
        before = explain.latest(
            self._stack.metadata, self._plan.pipeline, node.id + "[0]" * bool(node.map)
        )
        last = before.key.get("took_us", before.ended_us - before.started_us) if before else None
        open_needs = [id for id in node.needs() if self._wiring.states[id].status is Status.PENDING]
        if open_needs:
            reasons = f"needs {', '.join(open_needs)}: runs unless the result is the same as before"
            return Prediction(Why(node.id, "may run", (reasons,)), last)
        skip = self._wiring.reason_to_skip(node)
        if skip:
            state.status = Status.SKIPPED
            return Prediction(Why(node.id, "would be skipped", (skip,)))
        found = self._wiring.calls(node, "", self._code[node.id], reuse=self._reuse)
        calls = [call for _, call in found]
        asking = [call for call in calls if call.reuse]
        before_runs = lookup.earlier(self._stack, [call.key["id"] for call in asking])
        hits = lookup.choose(self._stack, asking, before_runs)
        for place, call in enumerate(calls):
            if call.name in hits:
                state.outputs[place] = lookup.hit(call, *hits[call.name]).outputs
        items = len(calls) if node.map else None
        if len(hits) == len(calls):
            state.status = Status.CACHED
            return Prediction(self._hit(node, hits), last, items)
        return Prediction(self._miss(node, calls, hits, before_runs, before), last, items)

    def _hit(self, node: Node, hits: Mapping[str, Any]) -> Why:
        if not hits:
            return Why(node.id, "cached", ("nothing to do: the list is empty",))
        run, _ = next(iter(hits.values()))
        computed = run.key.get("computed_us", run.ended_us)
        age = ago(computed, execution.now_us())
        source = short_id(run.key.get("from_run", run.run_id))
        return Why(node.id, "cached", (f"same code, inputs and parameters as run {source}, {age}",))

    def _miss(
        self,
        node: Node,
        calls: list[Call],
        hits: Mapping[str, Any],
        known: Mapping[str, Sequence[StepRun]],
        before: StepRun | None,
    ) -> Why:
        missing = next(call for call in calls if call.name not in hits)
        if missing.key["id"] in known:
            reason = lookup.refusal(missing, known[missing.key["id"]])
            missing = replace(missing, key={**missing.key, "reason": reason})
        if missing.name != node.id:
            before = explain.latest(self._stack.metadata, self._plan.pipeline, missing.name)
        found = explain.compare(
            self._stack.metadata, node.id, "would run", before, missing.key, new_code=self.new_code
        )
        if node.map:
            count = f"{len(calls) - len(hits)} of {len(calls)} items"
            return Why(node.id, "would run", (count, *found.reasons), found.code, found.since)
        return found

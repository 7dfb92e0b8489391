"""Looking up: which earlier step run has the result of a call, and whether it may be taken."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from zenlib.display import duration
from zenlib.execution import Call, Done, now_us
from zenlib.keys import Stored
from zenlib.records import Artifact, Status, StepRun
from zenlib.serializers.base import Content
from zenlib.stack import OpenStack
from zenlib.stores.base import MetadataStore


def earlier(stack: OpenStack, keys: Sequence[str]) -> dict[str, list[StepRun]]:
    """Return for each key the completed step runs that have it, newest first, in one question."""
    found: dict[str, list[StepRun]] = {}
    if keys:
        page = stack.metadata.find(
            StepRun, {"cache_key": [*keys]}, order="-id", limit=min(10_000, 4 * len(keys) + 20)
        )
        for step_run in page.items:
            found.setdefault(step_run.cache_key, []).append(step_run)
    return found


def artifacts_of(metadata: MetadataStore, ids: Iterable[str]) -> dict[str, Artifact]:
    """Return the artifacts with these ids that exist, in one question per 10,000."""
    wanted = [*dict.fromkeys(ids)]
    found: dict[str, Artifact] = {}
    for start in range(0, len(wanted), 10_000):
        part = wanted[start : start + 10_000]
        page = metadata.find(Artifact, {"id": part}, limit=len(part))
        found.update((artifact.id, artifact) for artifact in page.items)
    return found


def outputs_of(stack: OpenStack, step_run: StepRun) -> dict[str, Stored]:
    """Return the outputs of a step run, with their contents."""
    artifacts = artifacts_of(stack.metadata, (o.artifact for o in step_run.outputs.values()))
    return {
        name: Stored(
            output.digest,
            Content.from_json(artifacts[output.artifact].content),
            output.artifact,
            f"{step_run.node}.{name}",
        )
        for name, output in step_run.outputs.items()
    }


def expired(step_run: StepRun, call: Call, now: int) -> bool:
    """Whether a result is older than the step's `expires` allows."""
    limit = call.node.options.get("expires")
    age_s = (now - step_run.key.get("computed_us", step_run.ended_us)) / 1e6
    return limit is not None and age_s > limit


def choose(
    stack: OpenStack, calls: Sequence[Call], found: Mapping[str, Sequence[StepRun]]
) -> dict[str, tuple[StepRun, dict[str, Stored]]]:
    """Return for each call's name the step run to reuse, with its outputs, if there is one.

    One whose files are gone, or which is expired, is no hit.
    """
    now = now_us()
    fresh = {
        call.name: [run for run in found.get(call.key["id"], ()) if not expired(run, call, now)]
        for call in calls
    }
    ids = {
        output.artifact
        for runs in fresh.values()
        for run in runs
        for output in run.outputs.values()
    }
    artifacts = artifacts_of(stack.metadata, ids) if ids else {}
    contents = {id: Content.from_json(artifact.content) for id, artifact in artifacts.items()}
    missing = stack.shelf.missing(contents.values())
    hits = {}
    for name, runs in fresh.items():
        for run in runs:
            outputs = _whole(run, contents, missing)
            if outputs is not None:
                hits[name] = run, outputs
                break
    return hits


def refusal(call: Call, runs: Sequence[StepRun]) -> str:
    """Return why earlier step runs with the key of a call were not taken."""
    now = now_us()
    if all(expired(run, call, now) for run in runs):
        limit_us = int(call.node.options["expires"] * 1e6)
        return (
            f"nothing changed, but the earlier result is expired: older than {duration(limit_us)}"
        )
    return "nothing changed, but files of the earlier result are missing"


def lacks(content: Content | None, missing: Collection[str]) -> bool:
    """Whether a file of a stored value is among the missing ones."""
    return (
        bool(missing) and content is not None and any(f.digest in missing for f in content.blobs())
    )


def _whole(
    run: StepRun, contents: Mapping[str, Content], missing: Collection[str]
) -> dict[str, Stored] | None:
    outputs = {}
    for name, output in run.outputs.items():
        content = contents.get(output.artifact)
        if content is None or lacks(content, missing):
            return None
        outputs[name] = Stored(output.digest, content, output.artifact, f"{run.node}.{name}")
    return outputs


def hit(call: Call, earlier_run: StepRun, outputs: Mapping[str, Stored]) -> Done:
    """Return the record of a call whose result was taken from an earlier step run."""
    now = now_us()
    computed = earlier_run.key.get("computed_us", earlier_run.ended_us)
    step_run = StepRun.made(
        run_id=call.run_id,
        pipeline=call.pipeline,
        node=call.name,
        step=call.node.step,
        status=Status.CACHED,
        cached_from=earlier_run.cached_from or earlier_run.id,
        started_us=now,
        ended_us=now,
        key={
            **call.key,
            "computed_us": computed,
            "took_us": earlier_run.key.get(
                "took_us", earlier_run.ended_us - earlier_run.started_us
            ),
            "from_run": earlier_run.key.get("from_run", earlier_run.run_id),
        },
        outputs=earlier_run.outputs,
        metrics=earlier_run.metrics,
        tags=tuple(call.node.options.get("tags", ())),
    )
    relabelled = {
        name: replace(stored, source=f"{call.name}.{name}") for name, stored in outputs.items()
    }
    return Done(step_run, relabelled)

"""Executing one node: look up, load, call, save, publish. The only place where a step runs.

What is here is the same in every orchestrator and every process: an orchestrator decides where
and when `execute` is called, the metadata store holds what became of it.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import time
import traceback
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from zenlib import hints, values
from zenlib.calling import run_function
from zenlib.display import duration
from zenlib.errors import Invalid
from zenlib.hashing import new_id
from zenlib.keys import Argument, Group, Literal, Stored, stored_in
from zenlib.plan import Node
from zenlib.records import Artifact, Attempt, Failure, Output, Status, StepRun
from zenlib.serializers.base import Content
from zenlib.shelf import Shelf
from zenlib.stack import OpenStack
from zenlib.step_context import StepContext, _current
from zenlib.steps import Step
from zenlib.stores.base import MetadataStore
from zenlib.trace import Spec
from zenlib.wording import shown


@dataclass(frozen=True)
class Call:
    """One execution of one node, or of one item of a mapped node: data that can travel.

    Attributes:
        run_id: of the run.
        pipeline: its pipeline's name.
        name: the node's id, with `[i]` for item i.
        node: the node of the plan.
        arguments: parameter -> what it is given.
        key: the parts of the cache key (`zenlib.keys.key_parts`).
        reuse: whether an earlier result may be taken.
        keep: whether later runs may take this result.
        attempts: the tries that failed before.
    """

    run_id: str
    pipeline: str
    name: str
    node: Node
    arguments: Mapping[str, Argument]
    key: dict[str, Any]
    reuse: bool = True
    keep: bool = True
    attempts: tuple[Attempt, ...] = ()

    def stored(self) -> list[Stored]:
        """Return every stored value among the arguments."""
        return [found for argument in self.arguments.values() for found in stored_in(argument)]

    def with_inputs(self, new: Call) -> Call:
        """Return the call with the arguments of `new`; whether it may be reused stays as it is."""
        kept = {"reason": self.key["reason"]} if "reason" in self.key else {}
        return replace(self, arguments=new.arguments, key={**new.key, **kept})


@dataclass(frozen=True)
class Done:
    """What became of a call: its record and, unless it was cached, its new artifacts."""

    step_run: StepRun
    outputs: Mapping[str, Stored] = field(default_factory=dict)


def now_us() -> int:
    """Return the time in microseconds since 1970 (UTC)."""
    return time.time_ns() // 1000


# Look up.


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


# Execute.

Guard = Callable[[], AbstractContextManager[object]]
"""Opens the region in which an interrupt may break into the user's code."""


def execute(
    call: Call, step: Step[Any, Any], stack: OpenStack, guard: Guard = contextlib.nullcontext
) -> Done:
    """Compute a call and publish its result, unless another process did so meanwhile.

    The outputs and the record of the execution become visible in one transaction, after all
    their bytes are in the artifact store.

    Raises:
        Exception: whatever the step raised; nothing was published.
        Invalid: the step returned something else than it says.
        NotSerializable: an output cannot be kept.
    """
    with _claim(stack, call):
        if call.reuse:
            # Somebody may have published this result between the scheduler's look-up and our claim.
            before = earlier(stack, [call.key["id"]])
            found = choose(stack, [call], before) if before else {}
            if before and call.name not in found:
                reason = refusal(call, before[call.key["id"]])
                call = replace(call, key={**call.key, "reason": reason})
            if call.name in found:
                done = hit(call, *found[call.name])
                stack.metadata.put(done.step_run)
                return done
        return _compute(call, step, stack, guard)


def _claim(stack: OpenStack, call: Call) -> AbstractContextManager[object]:
    if call.reuse and call.keep and stack.claims is not None:
        return stack.claims.claim(call.key["id"])
    return contextlib.nullcontext()


def _compute(call: Call, step: Step[Any, Any], stack: OpenStack, guard: Guard) -> Done:
    context = StepContext(
        call.run_id, call.pipeline, call.name, call.node.step, len(call.attempts) + 1
    )
    spec = Spec.of(step)
    started_us, clock = now_us(), time.perf_counter_ns()
    bound = inspect.BoundArguments(
        spec.signature,
        {
            name: load(argument, stack.shelf, f"input {name!r} of step {call.name!r}")
            for name, argument in call.arguments.items()
        },
    )
    token = _current.set(context)
    try:
        with guard():
            value = run_function(step.fn, bound.args, bound.kwargs)
            kept = _save(call, spec.returns, value, stack.shelf)
    finally:
        _current.reset(token)
    took_us = (time.perf_counter_ns() - clock) // 1000
    return _publish(call, context, kept, (started_us, took_us), stack)


def load(argument: Argument, shelf: Shelf, place: str) -> Any:
    """Return the value of an argument.

    Raises:
        CorruptArtifact: bytes are missing or changed.
    """
    if isinstance(argument, Literal):
        return values.decode(argument.data)
    if isinstance(argument, Stored):
        if argument.content is None:
            raise Invalid(f"{place}: the content of {argument.source} was not looked up")
        return shelf.load(argument.content, place=place)
    items = [load(item, shelf, place) for item in argument.items]
    if argument.kind == "list":
        return items
    if argument.kind == "tuple":
        return tuple(items)
    named = dict(zip(argument.names, items, strict=True))
    return named if argument.kind == "dict" else _named_class(argument)(**named)


def _named_class(group: Group) -> Any:
    module, _, qualname = group.kind.partition(":")
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def _save(
    call: Call, returns: hints.Returns, value: Any, shelf: Shelf
) -> dict[str, tuple[Content, dict[str, Any]]]:
    parts = returns.split(value)
    if parts is None:
        names = ", ".join(returns.names) or "None"
        raise Invalid(
            f"step {call.name!r} must return {_expected(returns)} ({names}), "
            f"but returned {shown(value, 100)} ({hints.show(type(value))})"
        )
    found = {}
    for (name, part), hint in zip(parts.items(), returns.hints, strict=True):
        place = f"output {name!r} of step {call.name!r}"
        if returns.shape == "batches":
            kept = shelf.save_batches(part, place=place)
        else:
            if not hints.accepts(hint, part, deep=False):
                raise Invalid(
                    f"{place} must be {hints.show(hint)}, but is {shown(part, 100)} "
                    f"({hints.show(type(part))}); nothing was stored"
                )
            kept = shelf.save(part, place=place)
        found[name] = kept.content, kept.metadata
    return found


def _expected(returns: hints.Returns) -> str:
    if returns.shape == "none":
        return "nothing"
    if returns.cls is not None:
        return f"a {returns.cls.__qualname__}"
    return f"a tuple of {len(returns.names)}"


def _publish(
    call: Call,
    context: StepContext,
    kept: Mapping[str, tuple[Content, dict[str, Any]]],
    timing: tuple[int, int],
    stack: OpenStack,
) -> Done:
    started_us, took_us = timing
    step_run_id = new_id()
    artifacts = {
        name: Artifact.made(
            name=artifact_name(call, name),
            digest=content.digest,
            size_bytes=content.size_bytes,
            serializer=content.serializer,
            type=content.type[:255],
            content=content.to_json(),
            metadata=metadata,
            run_id=call.run_id,
            step_run_id=step_run_id,
        )
        for name, (content, metadata) in kept.items()
    }
    step_run = StepRun.made(
        id=step_run_id,
        run_id=call.run_id,
        pipeline=call.pipeline,
        node=call.name,
        step=call.node.step,
        status=Status.COMPLETED,
        cache_key=call.key["id"] if call.keep else "",
        started_us=started_us,
        ended_us=started_us + took_us,
        key=call.key,
        outputs={
            name: Output(artifact=artifact.id, digest=artifact.digest)
            for name, artifact in artifacts.items()
        },
        attempts=(*call.attempts, Attempt(started_us=started_us, took_us=took_us)),
        metrics=context.metrics(),
        tags=tuple(call.node.options.get("tags", ())),
    )
    stack.metadata.put(*artifacts.values(), step_run)
    outputs = {
        name: Stored(content.digest, content, artifacts[name].id, f"{call.name}.{name}")
        for name, (content, _) in kept.items()
    }
    return Done(step_run, outputs)


def artifact_name(call: Call, output: str) -> str:
    """Return the name under which an output's versions are counted.

    An output that the user named has that name; the unnamed one is called after its step.
    """
    if output == "output":
        return call.node.id
    if output.startswith("output_") and output[7:].isdigit():
        return f"{call.node.id}.{output}"
    return output


# What did not complete.


def failed(call: Call, failure: Failure, timing: tuple[int, int]) -> Done:
    """Return the record of a call that failed for good."""
    started_us, took_us = timing
    attempt = Attempt(started_us=started_us, took_us=took_us, failure=failure)
    return _ended(call, Status.FAILED, started_us, took_us, failure, (*call.attempts, attempt))


def cancelled(call: Call, started_us: int) -> Done:
    """Return the record of a call that was stopped before it ended."""
    return _ended(call, Status.CANCELLED, started_us, now_us() - started_us, None, call.attempts)


def not_run(
    run_id: str, pipeline: str, node: Node, name: str, status: Status, reason: str
) -> StepRun:
    """Return the record of a node that was skipped or never started."""
    now = now_us()
    return StepRun(
        run_id=run_id,
        pipeline=pipeline,
        node=name,
        step=node.step,
        status=status,
        started_us=now,
        ended_us=now,
        key={"reason": reason},
    )


def _ended(
    call: Call,
    status: Status,
    started_us: int,
    took_us: int,
    failure: Failure | None,
    attempts: tuple[Attempt, ...],
) -> Done:
    return Done(
        StepRun(
            run_id=call.run_id,
            pipeline=call.pipeline,
            node=call.name,
            step=call.node.step,
            status=status,
            started_us=started_us,
            ended_us=started_us + max(took_us, 0),
            key=call.key,
            failure=failure,
            attempts=attempts,
            tags=tuple(call.node.options.get("tags", ())),
        )
    )


_PACKAGE = str(Path(__file__).parent)


def failure_of(error: BaseException) -> Failure:
    """Return an exception as a record, its traceback trimmed to the user's frames."""
    message = _message(error) or type(error).__name__
    trimmed = traceback.TracebackException.from_exception(error)
    frames = [frame for frame in trimmed.stack if not frame.filename.startswith(_PACKAGE)]
    short = "".join(traceback.StackSummary.from_list(frames).format())
    return Failure(
        type=hints.type_name(type(error)),
        message=message[:10_000],
        traceback=_printable(short[-20_000:]),
        full_traceback=_printable("".join(trimmed.format())[-100_000:]),
    )


def _message(error: BaseException) -> str:
    try:
        return _printable(str(error))
    except Exception as again:  # noqa: BLE001 - the user's own __str__ or __repr__
        return f"its message cannot be shown: __str__ raised {type(again).__name__}"


def _printable(text: str) -> str:
    """Return a text that can be stored: half a surrogate pair is no character."""
    return text.encode("utf-8", "backslashreplace").decode()


def user_traceback(error: BaseException) -> TracebackType | None:
    """Return the part of an exception's traceback that begins in the user's code."""
    found = error.__traceback__
    while found and found.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        found = found.tb_next
    return found

"""Executing one node: look up, load, call, save, publish. The only place where a step runs.

What is here is the same in every orchestrator and every process: an orchestrator decides where
and when `execute` is called, the metadata store holds what became of it.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from zenlib import hints, values
from zenlib.calling import run_function
from zenlib.errors import Invalid
from zenlib.execution import Call, Done, now_us
from zenlib.hashing import new_id
from zenlib.keys import Argument, Group, Literal, Stored
from zenlib.lookup import choose, earlier, hit, refusal
from zenlib.records import Artifact, Attempt, Output, Status, StepRun
from zenlib.serializers.base import Content
from zenlib.shelf import Shelf
from zenlib.stack import OpenStack
from zenlib.step_context import StepContext, _current
from zenlib.steps import Step
from zenlib.trace import Spec
from zenlib.wording import shown

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

"""The beginning and the end of a run: its record, its code, and the barrier that makes it durable."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zenlib import execution
from zenlib._version import __version__
from zenlib.fingerprint import Fingerprint, fingerprint
from zenlib.orchestrators.base import Fingerprinted, Job
from zenlib.plan import Plan
from zenlib.records import Code, Record, Run, Source, Status
from zenlib.scheduler import Scheduler
from zenlib.serializers.base import Content
from zenlib.shelf import Shelf
from zenlib.stack import OpenStack
from zenlib.steps import Step
from zenlib.stores.base import Durable


def identify(
    steps: Mapping[str, Step[Any, Any]], shelf: Shelf
) -> tuple[dict[str, Fingerprinted], dict[str, Fingerprint]]:
    """Return node id -> identity of its code, and digest -> fingerprint.

    One function used many times is read once.
    """
    seen: dict[Any, tuple[Fingerprinted, Fingerprint | None]] = {}
    code: dict[str, Fingerprinted] = {}
    prints: dict[str, Fingerprint] = {}
    for id, step in steps.items():
        if _same(step) not in seen:
            seen[_same(step)] = _identify(step, shelf)
        known, found = seen[_same(step)]
        code[id] = replace(known, never_kept=step.options.get("cache") is False)
        if found is not None:
            prints[found.digest] = found
    return code, prints


def _same(step: Step[Any, Any]) -> tuple[int, Any]:
    """Return what makes two steps have one identity: the function, and the options that count."""
    return (
        id(step.fn),
        (step.options.get("version"), tuple(map(id, step.options.get("depends_on", ())))),
    )


def _identify(step: Step[Any, Any], shelf: Shelf) -> tuple[Fingerprinted, Fingerprint | None]:
    version = step.options.get("version")
    if version is not None:
        return Fingerprinted(f"version:{version}"), None
    found = fingerprint(step.fn, extra=step.options.get("depends_on", ()), hash_value=shelf.digest)
    return Fingerprinted(found.digest, found.unknown), found


def code_records(prints: Mapping[str, Fingerprint], stack: OpenStack) -> list[Record]:
    """Return the records of those fingerprints and sources that the store does not have yet."""
    if not prints:
        return []
    known = _known(Code, [*prints], stack)
    records: list[Record] = []
    sources: dict[str, str] = {}
    for digest, found in prints.items():
        if digest not in known:
            records.append(Code(id=digest, parts=[part.to_json() for part in found.parts]))
            sources.update(found.sources())
    if sources:
        there = _known(Source, [*sources], stack)
        records += [Source(id=d, text=text) for d, text in sources.items() if d not in there]
    return records


def _known(kind: type[Record], ids: list[str], stack: OpenStack) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(ids), 10_000):
        part = ids[start : start + 10_000]
        found.update(r.id for r in stack.metadata.find(kind, {"id": part}, limit=len(part)).items)
    return found


def start(
    plan: Plan,
    objects: Mapping[str, Any],
    prints: Mapping[str, Fingerprint],
    stack: OpenStack,
    tags: tuple[str, ...],
) -> tuple[Run, dict[str, Content]]:
    """Store the record of a new run, with its code; return it, and the stored plan objects.

    Raises:
        NotSerializable: an argument of the pipeline can neither be written as JSON nor be kept.
    """
    contents = {
        key: stack.shelf.save(value, place=f"an argument of pipeline {plan.pipeline!r}").content
        for key, value in objects.items()
    }
    run = Run(
        pipeline=plan.pipeline,
        started_us=execution.now_us(),
        stack=stack.settings.name,
        params=plan.params,
        plan={**plan.to_dict(), "objects": {key: c.to_json() for key, c in contents.items()}}
        if contents
        else plan.to_dict(),
        tags=tags,
        environment=environment(),
    )
    stack.metadata.put(run, *code_records(prints, stack))
    return run, contents


def environment() -> dict[str, Any]:
    """Return the facts about this process that every run records."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "zenlib": __version__,
        "argv": [str(word)[:500] for word in sys.argv[:50]],
    }


def finish(job: Job, scheduler: Scheduler) -> Status:
    """Publish the end of a run; it is `completed` only once all it wrote is on the disk."""
    status, records = scheduler.close()
    metadata, shelf = job.stack.metadata, job.stack.shelf
    if status is Status.COMPLETED:
        shelf.blobs.sync(scheduler.used)
    first = scheduler.failures[0] if scheduler.failures else None
    failure = first[1] if first else None
    if failure is None and scheduler.fatal is not None:
        failure = execution.failure_of(scheduler.fatal)
    ended = job.run.next(
        status=status,
        ended_us=max(execution.now_us(), job.run.started_us),
        outputs=scheduler.outputs() if status is Status.COMPLETED else None,
        failure=failure,
    )
    metadata.put(*records, ended)
    if status is Status.COMPLETED and isinstance(metadata, Durable):
        metadata.sync()
    took_us = (ended.ended_us or ended.started_us) - ended.started_us
    for events in job.events:
        events.run_finished(status, took_us, scheduler.counts())
    return status

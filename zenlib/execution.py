"""One execution of one node as data: what it is given, and what became of it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from zenlib import hints
from zenlib.keys import Argument, Stored, stored_in
from zenlib.plan import Node
from zenlib.records import Attempt, Failure, Status, StepRun


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

"""What an orchestrator must do: decide where and when the nodes of a plan run."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from zenlib.plan import Plan
from zenlib.records import Run, Status, StepRun
from zenlib.serializers.base import Content
from zenlib.steps import Step


class Events(Protocol):
    """Who wants to see a run progress; the methods are called from several threads, one at a time."""

    def run_started(self, title: str, run_id: str, stack: str, nodes: list[str]) -> None:
        """Say that a run of these nodes begins."""

    def node_started(self, node: str, last_time_us: int | None = None) -> None:
        """Say that a node runs, and how long it took last time."""

    def node_finished(self, node: str, status: str, took_us: int, detail: str = "") -> None:
        """Say how a node ended."""

    def node_items(self, node: str, done: int, total: int) -> None:
        """Say how many items of a mapped node have ended."""

    def run_finished(
        self, status: str, took_us: int, counts: dict[str, int], next_hint: str = ""
    ) -> None:
        """Say how the run ended, and how many nodes ended in each status."""


class StepHook(Protocol):
    """Called after a step run ended, in the process that started the run."""

    def __call__(self, step_run: StepRun) -> object:
        """Take note of a step run."""


@dataclass(frozen=True)
class Fingerprinted:
    """The identity of one step's code.

    Attributes:
        code: the digest of its fingerprint, or `version:…` if the user gave one.
        unknown: what keeps it from being exact.
        never_kept: the step itself says `cache=False`: no later run may take its results.
    """

    code: str
    unknown: tuple[str, ...] = ()
    never_kept: bool = False


def write_out(stream: str, text: str) -> None:
    """Print what a step in another process printed, on the stream of the same name."""
    out = getattr(sys, stream)
    try:
        try:
            out.write(text)
        except UnicodeEncodeError:
            encoding = out.encoding or "ascii"
            out.write(text.encode(encoding, "backslashreplace").decode(encoding))
    except (AttributeError, OSError, ValueError):  # none, a closed one, or nobody reads it
        return


@dataclass(frozen=True)
class Job:
    """A run that is about to be executed.

    Attributes:
        run: its record, already stored.
        plan: what to execute.
        steps: node id -> the live step.
        code: node id -> the identity of the step's code.
        objects: key -> the stored content of each `plan.Object`.
        stack: the open stack (`zenlib.stack.OpenStack`).
        reuse: whether earlier results may be taken.
        fail: `fast` or `finish`.
        pdb: run in the calling process, one after another, and stop in the debugger on an error.
        alone: run in the calling process, one after another: the run was started by a step.
        background: the caller does not wait: drive the run from a thread.
        events: who wants to see it progress.
        step_hook: called after each step run.
        echo: prints what steps in other processes print.
    """

    run: Run
    plan: Plan
    steps: Mapping[str, Step[Any, Any]]
    code: Mapping[str, Fingerprinted]
    objects: Mapping[str, Content]
    stack: Any
    reuse: bool = True
    fail: str = "fast"
    pdb: bool = False
    alone: bool = False
    background: bool = False
    events: tuple[Events, ...] = ()
    step_hook: StepHook | None = None
    echo: Callable[[str, str], object] = write_out
    errors: dict[str, BaseException] = field(default_factory=dict)
    """Node -> the live exception of its failure, where it is known in this process."""


class Handle(ABC):
    """A run that has been handed to an orchestrator. What became of it is in the metadata store."""

    @abstractmethod
    def wait(self, timeout: float | None = None) -> Status:
        """Return the final status, waiting up to `timeout` seconds (for ever if None).

        Raises:
            TimeoutError: the run has not ended by then.
        """

    @abstractmethod
    def status(self) -> Status:
        """Return the status as it is now."""

    @abstractmethod
    def cancel(self) -> None:
        """Ask the run to stop; what has completed is kept."""


class Orchestrator(ABC):
    """Decides where and when nodes run; how one runs is `zenlib.engine`'s business."""

    @abstractmethod
    def submit(self, job: Job) -> Handle:
        """Take over a job and return at once."""

    def close(self) -> None:  # noqa: B027 - most keep nothing running
        """Stop what the orchestrator keeps running between runs."""

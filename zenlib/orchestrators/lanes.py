"""A lane to a worker process: sends calls, waits for answers, and ends what must be ended."""

from __future__ import annotations

import contextlib
import pickle
import sys
import threading
import time
from typing import Any, Protocol

import cloudpickle

from zenlib import execution, lookup
from zenlib.errors import StepTimeout, WorkerDied
from zenlib.execution import Call, Done
from zenlib.orchestrators.base import Job
from zenlib.orchestrators.pool import POOL, Worker
from zenlib.records import Failure, StepRun
from zenlib.scheduler import Scheduler
from zenlib.steps import Step

GRACE_S = 3.0
"""How long a step may take to stop after Ctrl-C before its process is killed."""


class Drive(Protocol):
    """The run that a lane works for.

    Attributes:
        job: what is executed.
        cancelling: set once running steps are asked to stop.
        aborting: set once they are no longer asked.
        took_s: how long each call took, in seconds.
    """

    job: Job
    cancelling: threading.Event
    aborting: threading.Event
    took_s: list[float]

    def in_use(self) -> Scheduler:
        """Return the scheduler of the run."""
        ...

    def started(self, call: Call) -> None:
        """Take note that a call runs."""
        ...

    def cancel(self) -> None:
        """Stop the run."""
        ...

    def failed(
        self, call: Call, error: BaseException | None, failure: Failure, timing: tuple[int, int]
    ) -> None:
        """Take note that a try of a call failed."""
        ...


class ProcessLane:
    """Feeds calls to one worker process.

    Attributes:
        worker: the process.
        usable: False once it has died.
    """

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self.worker: Worker = POOL.acquire()
        self.usable = True

    def run(self, call: Call) -> None:
        """Execute a call in the worker and report what became of it."""
        drive, scheduler = self.drive, self.drive.in_use()
        drive.started(call)
        started_us, clock = execution.now_us(), time.perf_counter()
        try:
            answer = self._converse(call)
        except (EOFError, OSError) as error:
            self.usable = False
            self.worker.kill()
            self._after_death(call, error, (started_us, int((time.perf_counter() - clock) * 1e6)))
            return
        drive.took_s.append(time.perf_counter() - clock)
        match answer:
            case ("done", done):
                scheduler.done(call, done)
            case ("cancelled", _):
                drive.cancel()  # also when it was the step itself that raised KeyboardInterrupt
                scheduler.interrupted(call, started_us)
            case ("error", data, failure, timing):
                raised = pickle.loads(data) if data is not None else None  # noqa: S301 - our worker
                drive.failed(call, raised, failure, timing)

    def _converse(self, call: Call) -> Any:
        """Send a call and return the worker's answer.

        Raises:
            EOFError, OSError: the worker ended, or was killed because it had to.
        """
        job, worker = self.drive.job, self.worker
        step = job.steps[call.node.id]
        if worker.run_id != job.run.id:
            worker.send(("run", job.stack.settings))
            worker.run_id, worker.steps = job.run.id, set()
        number = id(step)
        if number not in worker.steps:
            worker.send(("step", number, _dump(step)))
            worker.steps.add(number)
        worker.send(("call", number, call))
        limit: float | None = call.node.options.get("timeout")
        end: float | None = None
        told = 0.0
        while True:
            if worker.connect().poll(0.05 if told or limit else 0.2):
                message = worker.connect().recv()
                if message[0] == "print":
                    job.echo(message[1], message[2])
                elif message[0] == "running":
                    end = None if limit is None else time.monotonic() + limit
                elif message[0] == "by_value":
                    worker.send(("step", number, _dump(step, by_value=True)))
                    worker.send(("call", number, call))
                else:
                    return message
            if limit is not None and end is not None and time.monotonic() > end:
                self.worker.kill()
                raise _TimedOut(limit)
            if self.drive.cancelling.is_set():
                if not told:
                    worker.send(("cancel",))
                    told = time.monotonic()
                elif self.drive.aborting.is_set() or time.monotonic() > told + GRACE_S:
                    self.worker.kill()
                    raise EOFError

    def _after_death(self, call: Call, error: BaseException, timing: tuple[int, int]) -> None:
        """Decide what became of a call whose worker is gone."""
        drive, scheduler = self.drive, self.drive.in_use()
        published = drive.job.stack.metadata.find(
            StepRun, {"run_id": call.run_id, "node": call.name}, limit=1
        ).items
        if published:  # it died after the result was safe, before it could say so
            stored = lookup.outputs_of(drive.job.stack, published[0])
            scheduler.done(call, Done(published[0], stored))
            return
        if drive.cancelling.is_set():
            scheduler.interrupted(call, timing[0])
            return
        reason: Exception
        if isinstance(error, _TimedOut):
            reason = StepTimeout(
                f"step {call.name!r} ran longer than its timeout of {error.limit:g} s and was stopped"
            )
        else:
            reason = WorkerDied(
                f"the process of step {call.name!r} ended without an answer: "
                f"{self.worker.how_it_ended()}"
            )
        drive.failed(call, reason, execution.failure_of(reason), timing)


class _TimedOut(OSError):
    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit


def _dump(step: Step[Any, Any], *, by_value: bool = False) -> bytes:
    """Return a step as bytes; by value if its module cannot be imported elsewhere.

    With a step of `__main__` go the classes defined there: its inputs may be instances of them.
    """
    module = sys.modules.get(step.fn.__module__)
    if by_value and module is not None:
        cloudpickle.register_pickle_by_value(module)
        try:
            return cloudpickle.dumps((step, {}))  # type: ignore[no-any-return]
        finally:
            cloudpickle.unregister_pickle_by_value(module)
    classes = _main_classes() if step.fn.__module__ == "__main__" else {}
    return cloudpickle.dumps((step, classes))  # type: ignore[no-any-return]


def _main_classes() -> dict[str, type]:
    """Return the classes of `__main__` that can travel."""
    found = {}
    for name, value in vars(sys.modules["__main__"]).items():
        if isinstance(value, type) and value.__module__ == "__main__":
            with contextlib.suppress(Exception):  # it holds a lock, a file, … : leave it here
                cloudpickle.dumps(value)
                found[name] = value
    return found

"""The local orchestrator: chains in the calling process, side by side in warm worker processes.

The calling thread takes steps itself. When others are ready meanwhile, and their work is worth
it, lanes are opened: threads that each feed one worker process (or, on request, run steps
themselves). A step that may need to be killed (`timeout`, `isolated`) always has a process.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import Literal

from zenlib import engine, execution, lifecycle
from zenlib.errors import Invalid, SettingsInvalid
from zenlib.execution import Call
from zenlib.orchestrators.base import Handle, Job, Orchestrator
from zenlib.orchestrators.interrupts import Interrupts
from zenlib.orchestrators.lanes import GRACE_S, ProcessLane
from zenlib.orchestrators.pool import POOL
from zenlib.records import Failure, Status
from zenlib.scheduler import Scheduler, needs_process

OPEN_AFTER_S = 0.03
"""How long steps wait for the calling thread before further lanes are considered."""

WORTH_S = 0.3
"""How much work must be waiting, in seconds, to be worth the start of a worker process."""


class LocalOrchestrator(Orchestrator):
    """Runs everything on this machine.

    Args:
        workers: how many steps run side by side, at most; the number of CPUs if not given. With
            1, all run in the calling process, one after another.
        executor: `processes`, or `threads` for steps that wait more than they compute.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        executor: Literal["processes", "threads"] = "processes",
    ) -> None:
        self.workers = workers if workers is not None else _cpus()
        self.executor = executor
        if isinstance(self.workers, bool) or not isinstance(self.workers, int) or self.workers < 1:
            raise SettingsInvalid(f"orchestrator.workers must be 1 or more, not {workers!r}")
        if executor not in ("processes", "threads"):
            raise SettingsInvalid(
                f"orchestrator.executor must be 'processes' or 'threads', not {executor!r}"
            )

    def submit(self, job: Job) -> LocalHandle:
        """Take over a job; in the foreground it is driven by `wait`."""
        return LocalHandle(job, self.workers, self.executor)


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


class LocalHandle(Handle):
    """A run on this machine."""

    def __init__(self, job: Job, workers: int, executor: str) -> None:
        self._job = job
        self._drive = _Drive(job, workers, executor)
        self._thread: threading.Thread | None = None
        self._status: Status | None = None
        self._error: BaseException | None = None
        if job.background:
            self._thread = threading.Thread(target=self._in_background, name="zenlib-run")
            self._thread.start()

    def _in_background(self) -> None:
        try:
            self._status = self._drive.run()
        except BaseException as error:  # noqa: BLE001 - raised by `wait`
            self._error = error

    def wait(self, timeout: float | None = None) -> Status:
        """Drive the run in this thread, or wait for the thread that drives it."""
        if self._thread is None:
            if self._status is None:
                self._status = self._drive.run()
            return self._status
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"run {self._job.run.id} is still running after {timeout} s")
        if self._error is not None:
            raise self._error
        assert self._status is not None
        return self._status

    def status(self) -> Status:
        """Return the status as it is now."""
        return self._status or (Status.FAILED if self._error else Status.RUNNING)

    def cancel(self) -> None:
        """Stop the run: steps in worker processes are interrupted, one in this process ends."""
        self._drive.cancel()


class _Drive:
    """One run, from its first step to its last record."""

    def __init__(self, job: Job, workers: int, executor: str) -> None:
        self.job = job
        self.workers = 1 if job.pdb or job.alone else workers
        self.threads = executor == "threads" or not job.stack.shareable
        self.scheduler: Scheduler | None = None
        self.cancelling = threading.Event()
        self.aborting = threading.Event()
        self.lanes: list[threading.Thread] = []
        self.took_s: list[float] = []
        self._busy = False
        self._lock = threading.Lock()

    def run(self) -> Status:
        with Interrupts() as interrupts:
            try:
                self.scheduler = scheduler = Scheduler(self.job)
                scheduler.cpus = self.workers
                self._own_lane(scheduler, interrupts)
            except KeyboardInterrupt:
                self.cancel()
            except BaseException as error:
                if self.scheduler is None:
                    raise
                self.scheduler.abort(error)  # the end of the run is recorded, if that is possible
            self._close_lanes(interrupts)
        return self._finish()

    def cancel(self) -> None:
        """Stop the run as soon as its running steps let it."""
        self.cancelling.set()
        if self.scheduler is not None:
            self.scheduler.stop(cancelled=True)

    # The lane of the calling thread.

    def _own_lane(self, scheduler: Scheduler, interrupts: Interrupts) -> None:
        watching: threading.Thread | None = None
        while True:
            if interrupts.count:
                raise KeyboardInterrupt
            if scheduler.crowded and (watching is None or not watching.is_alive()):
                watching = threading.Thread(target=self._watch, args=(scheduler,), daemon=True)
                watching.start()
            call = scheduler.take(0.1, isolated=None if self.job.pdb else False)
            if call is None:
                if scheduler.over:
                    return
                continue
            self.run_here(call, interrupts)

    def run_here(self, call: Call, interrupts: Interrupts | None = None) -> None:
        """Execute a call in this thread."""
        scheduler = self.in_use()
        self.started(call)
        started_us, clock = execution.now_us(), time.perf_counter()
        guard = interrupts.guard if interrupts else contextlib.nullcontext
        step = self.job.steps[call.node.id]
        own = interrupts is not None
        self._busy = self._busy or own
        try:
            done = engine.execute(call, step, self.job.stack, guard)
        except KeyboardInterrupt:
            scheduler.stop(cancelled=True)
            scheduler.interrupted(call, started_us)
            raise
        except BaseException as error:  # noqa: BLE001 - sys.exit in a step is a failure too
            self._busy = self._busy and not own
            timing = (started_us, int((time.perf_counter() - clock) * 1e6))
            self.failed(call, error, execution.failure_of(error), timing)
        else:
            self._busy = (
                self._busy and not own
            )  # before what follows becomes ready: it is for this thread
            scheduler.done(call, done)
        self.took_s.append(time.perf_counter() - clock)

    def started(self, call: Call) -> None:
        last = self.in_use().last_time_us(call.name)
        with self._lock:
            for events in self.job.events:
                events.node_started(call.node.id, last)

    def failed(
        self, call: Call, error: BaseException | None, failure: Failure, timing: tuple[int, int]
    ) -> None:
        if self.job.pdb and error is not None:
            self._debug(call, error)
        self.in_use().retry_or_fail(call, error, failure, timing)

    def _debug(self, call: Call, error: BaseException) -> None:
        """Open the debugger in the frame that raised; the step's inputs are its arguments."""
        import pdb

        print(f"step {call.name} raised {error!r}", file=sys.stderr)
        pdb.post_mortem(execution.user_traceback(error) or error.__traceback__)

    # Further lanes.

    def _watch(self, scheduler: Scheduler) -> None:
        """Open further lanes once that is worth it."""
        while scheduler.backlog and not scheduler.stopped:
            if self._worth(scheduler):
                self._open_lanes(scheduler)
                return
            time.sleep(OPEN_AFTER_S if self.took_s else OPEN_AFTER_S / 3)

    def _worth(self, scheduler: Scheduler) -> bool:
        if scheduler.backlog_needs_process():
            return True
        if self.workers == 1 or not self._busy:
            return False  # the calling thread is about to take what is ready
        if self.threads or POOL.idle():
            return True
        if not self.took_s:  # the first step is still running: it is a long one
            time.sleep(OPEN_AFTER_S)
            return not self.took_s
        mean = sum(self.took_s) / len(self.took_s)
        return mean * scheduler.backlog > WORTH_S

    def _leave(self) -> int:
        """Return how many ready calls other lanes leave for the calling thread."""
        return 0 if self._busy else 1

    def _open_lanes(self, scheduler: Scheduler) -> None:
        with self._lock:
            self.lanes = [lane for lane in self.lanes if lane.is_alive()]
            wanted = max(self.workers - 1, int(scheduler.backlog_needs_process()))
            wanted = min(wanted, scheduler.backlog)
            for _ in range(wanted - len(self.lanes)):
                target = self._thread_lane if self.threads else self._process_lane
                lane = threading.Thread(target=target, name="zenlib-lane", daemon=True)
                self.lanes.append(lane)
                lane.start()

    def _thread_lane(self) -> None:
        scheduler = self.in_use()
        while (call := scheduler.take(leave=self._leave)) is not None:
            try:
                if needs_process(call.node):
                    raise Invalid(
                        f"step {call.name!r} needs a process of its own (timeout or isolated), but "
                        "this stack's stores or its executor allow threads only"
                    )
                self.run_here(call)
            except KeyboardInterrupt:
                return
            except BaseException as error:  # noqa: BLE001 - ends the run, and is raised by it
                if isinstance(error, Invalid):
                    self.failed(call, error, execution.failure_of(error), (execution.now_us(), 0))
                    continue
                scheduler.give_up(call)
                scheduler.abort(error)
                return

    def _process_lane(self) -> None:
        scheduler = self.in_use()
        lane: ProcessLane | None = None
        try:
            while not scheduler.over:
                # Connected before a call is taken: a call must not wait for a process to start.
                lane = lane or ProcessLane(self)
                call = scheduler.take(
                    isolated=True if self.workers == 1 else None, leave=self._leave
                )
                if call is None:
                    break
                try:
                    lane.run(call)
                except BaseException:
                    scheduler.give_up(call)
                    raise
                if not lane.usable:
                    lane = None
        except BaseException as error:  # noqa: BLE001 - ends the run, and is raised by it
            scheduler.abort(error)
        finally:
            if lane is not None:
                POOL.release(lane.worker)

    def _close_lanes(self, interrupts: Interrupts) -> None:
        """Wait for the lanes; after a cancellation, not for ever."""
        end = time.monotonic() + GRACE_S
        while any(lane.is_alive() for lane in self.lanes):
            try:
                if interrupts.count and not self.cancelling.is_set():
                    self.cancel()
                    end = time.monotonic() + GRACE_S
                if interrupts.count > 1 or (self.cancelling.is_set() and time.monotonic() > end):
                    self.aborting.set()
                for lane in self.lanes:
                    lane.join(0.02)
            except KeyboardInterrupt:
                self.cancel()
                self.aborting.set()

    def _finish(self) -> Status:
        scheduler = self.scheduler
        if scheduler is None:
            raise KeyboardInterrupt
        try:
            status = lifecycle.finish(self.job, scheduler)
        except Exception:
            if scheduler.fatal is not None:  # what came first says more
                raise scheduler.fatal from None
            raise
        if scheduler.fatal is not None:
            raise scheduler.fatal
        return status

    def in_use(self) -> Scheduler:
        """Return the scheduler of the run."""
        assert self.scheduler is not None
        return self.scheduler

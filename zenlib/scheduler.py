"""Driving a plan: which calls are ready, what each is given, what follows when one ends.

Any number of lanes (threads) take calls with `take` and give back what became of them; where a
lane runs a call is the orchestrator's business. All state is behind one lock.
"""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from zenlib import execution, hints, lookup
from zenlib.errors import CorruptArtifact, Invalid, ZenlibError
from zenlib.execution import Call, Done
from zenlib.hashing import Digest
from zenlib.healing import Hits, is_corruption
from zenlib.keys import Stored
from zenlib.memory import Memory
from zenlib.orchestrators.base import Job
from zenlib.plan import Node
from zenlib.records import Attempt, Failure, Record, Status, StepRun
from zenlib.serializers.base import Content
from zenlib.wiring import NodeState, Wiring

BATCH = 2_000
"""How many hits are published in one transaction, at most."""


class Scheduler:
    """The state of one run while it is executed."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._lock = threading.Condition()
        objects = {
            key: Stored(content.digest, content, source="the call of the pipeline")
            for key, content in job.objects.items()
        }
        self._wiring = Wiring(job.plan, objects, job.stack)
        self._nodes = self._wiring.states
        self._waiting = {id: set(node.needs()) for id, node in job.plan.nodes.items()}
        self._followers: dict[str, list[str]] = {id: [] for id in job.plan.nodes}
        for id, node in job.plan.nodes.items():
            for needed in node.needs():
                self._followers[needed].append(id)
        self._able = deque(id for id, needs in self._waiting.items() if not needs)
        self._ready: deque[tuple[Call, int]] = deque()
        self._delayed: list[tuple[float, int, Call, int]] = []
        self._places: dict[str, int] = {}
        self._running: dict[str, Call] = {}
        self._hits: list[Record] = []
        self._records: list[StepRun] = []
        self._memory = Memory(job.plan.pipeline, job.run.id, job.stack.metadata)
        if job.events:  # somebody wants to see how long each step took last time
            self._memory.wake()
        self._taken = Hits(job.stack.shelf)
        self._again: dict[str, dict[int, Call]] = {}
        self._asked = False
        self.failures: list[tuple[str, Failure]] = []
        self.used: set[Digest] = set()
        """The digests of all files that the run's outputs are made of. A hit's are among them: it
        may be the work of a run that died before it was forced to the disk."""
        self.stopped = False
        self.cancelled = False
        self.fatal: BaseException | None = None
        with self._lock:
            self._advance()

    # What lanes call.

    def take(
        self,
        wait_s: float | None = None,
        *,
        isolated: bool | None = None,
        leave: Callable[[], int] | None = None,
    ) -> Call | None:
        """Return the next call, waiting up to `wait_s` seconds for one; None if there is none.

        Args:
            isolated: True: only calls that need a process of their own; False: only others.
            leave: how many of the others are not for this lane; asked each time.
        """
        deadline = None if wait_s is None else time.monotonic() + wait_s
        with self._lock:
            while True:
                call = self._next(isolated, leave() if leave else 0)
                if call is not None:
                    self._running[call.name] = call
                    return call
                left = self._pause(deadline)
                if self.over or (left is not None and left <= 0):
                    return None
                self._lock.wait(left)

    def _next(self, isolated: bool | None, leave: int) -> Call | None:
        if self.stopped:
            return None
        now = time.monotonic()
        while self._delayed and self._delayed[0][0] <= now:
            _, _, call, place = heapq.heappop(self._delayed)
            self._ready.append((call, place))
        for position, (call, place) in enumerate(self._ready):
            own_process = needs_process(call.node)
            if isolated is None or isolated == own_process:
                left = leave and not own_process and self._plain() <= leave
                if left or not self._room(call):
                    continue
                del self._ready[position]
                self._places[call.name] = place
                return call
        return None

    def _plain(self) -> int:
        """Return how many ready calls can run anywhere."""
        return sum(not needs_process(call.node) for call, _ in self._ready)

    def _room(self, call: Call) -> bool:
        """Whether the CPUs that the call asks for are free; one that runs alone always has room."""
        wanted = _cpus(call.node)
        busy = sum(_cpus(running.node) for running in self._running.values())
        return not self._running or busy + wanted <= max(self.cpus, 1)

    cpus: float = 1e9

    def _pause(self, deadline: float | None) -> float | None:
        """Return the seconds to wait for something new, None for as long as it takes."""
        moments = [] if deadline is None else [deadline]
        if self._delayed and not self.stopped:
            moments.append(self._delayed[0][0])
        if not moments:
            return None
        return max(min(moments) - time.monotonic(), 0.0 if deadline in moments[:1] else 0.001)

    @property
    def over(self) -> bool:
        """Whether nothing is running and nothing more will."""
        idle = not self._running
        return idle and (self.stopped or not (self._ready or self._delayed))

    @property
    def backlog(self) -> int:
        """How many calls are ready and wait for a lane."""
        return len(self._ready)

    @property
    def crowded(self) -> bool:
        """Whether more calls are ready than the calling thread can take itself."""
        ready = self._ready
        return len(ready) > 1 or any(needs_process(call.node) for call, _ in [*ready])

    def backlog_needs_process(self) -> bool:
        """Whether some ready call can only run in a process of its own."""
        with self._lock:
            return any(needs_process(call.node) for call, _ in self._ready)

    def last_time_us(self, name: str) -> int | None:
        """Return how long a node took in the last run, if it is known."""
        return self._memory.took_us.get(name)

    def done(self, call: Call, done: Done) -> None:
        """Take note that a call has ended; its record is already published, or will be with others."""
        with self._lock:
            self._running.pop(call.name, None)
            self._note(call, done)
            if done.step_run.status is Status.CACHED:
                self._memory.follow(done.step_run)
            try:
                self._advance()
            except BaseException as error:
                self._abort(error)
                raise
            finally:
                self._lock.notify_all()

    def retry_or_fail(
        self, call: Call, error: BaseException | None, failure: Failure, timing: tuple[int, int]
    ) -> None:
        """Decide what follows a failed try: another one later, or the failure of the node."""
        if is_corruption(failure) and self._heal(call):
            return
        wait = self._retry_wait(call, error, failure)
        if wait is not None and not self.stopped:
            started_us, took_us = timing
            attempt = Attempt(started_us=started_us, took_us=took_us, failure=failure)
            again = replace(call, attempts=(*call.attempts, attempt))
            with self._lock:
                self._running.pop(call.name, None)
                place = self._places[call.name]
                due = time.monotonic() + wait
                heapq.heappush(self._delayed, (due, id(again), again, place))
                self._lock.notify_all()
            return
        if error is not None:
            self.job.errors[call.name] = error
        done = execution.failed(call, failure, timing)
        self.job.stack.metadata.put(done.step_run)
        self.done(call, done)

    def _retry_wait(
        self, call: Call, error: BaseException | None, failure: Failure
    ) -> float | None:
        retry = self.job.steps[call.node.id].options.get("retries")
        tried = len(call.attempts) + 1
        if retry is None or tried > retry.times:
            return None
        if error is not None:
            matches = isinstance(error, retry.on)
        else:  # an exception of another process that could not be sent here, by its name
            names = {hints.type_name(kind) for kind in retry.on}
            matches = failure.type in names or Exception in retry.on
        return retry.wait_s(tried, random.random()) if matches else None  # noqa: S311 - jitter

    def _heal(self, call: Call) -> bool:
        """Let damaged inputs be computed again, and then the call; False if that cannot help."""
        with self._lock:
            if self.stopped or not self._withdraw(call.node, call.name, call.stored()):
                return False
            self._running.pop(call.name, None)
            self._again.setdefault(call.node.id, {})[self._places[call.name]] = call
            self._advance()
            self._lock.notify_all()
            return True

    def interrupted(self, call: Call, started_us: int) -> None:
        """Take note that a running call was stopped by a cancellation."""
        done = execution.cancelled(call, started_us)
        with self._lock:
            self._records.append(done.step_run)
        self.done(call, done)

    def stop(self, *, cancelled: bool) -> None:
        """Start nothing more; lanes come to an end after what they are running."""
        with self._lock:
            self.stopped = True
            self.cancelled = self.cancelled or cancelled
            self._lock.notify_all()

    def _abort(self, error: BaseException) -> None:
        self.fatal = self.fatal or error
        self.stopped = True

    def abort(self, error: BaseException) -> None:
        """Stop because of an error that is not a step's: a store that is away, a bug."""
        with self._lock:
            self._abort(error)
            self._lock.notify_all()

    def give_up(self, call: Call) -> None:
        """Forget a call whose lane ended with a fatal error."""
        with self._lock:
            self._running.pop(call.name, None)
            self._lock.notify_all()

    # Inside, all under the lock.

    def _advance(self) -> None:
        """Expand every node that can be, take the hits, and queue the rest."""
        while self._able and not self.stopped:
            calls: list[tuple[Call, int]] = []
            while self._able:
                self._expand(self._able.popleft(), calls)
            self._sort_out(calls)
        if self._hits and (len(self._hits) >= BATCH or not self._able):
            hits, self._hits = self._hits, []
            self.job.stack.metadata.put(*hits)

    def _expand(self, id: str, calls: list[tuple[Call, int]]) -> None:
        node, progress = self.job.plan.nodes[id], self._nodes[id]
        reason = self._wiring.reason_to_skip(node)
        if reason:
            if id not in self._again:  # else its other items may be running: the end closes it
                self._skip(node, progress, reason)
            return
        try:
            found = self._wiring.calls(
                node, self.job.run.id, self.job.code[id], reuse=self.job.reuse
            )
            if id in self._again and len(found) != progress.calls:
                raise Invalid(
                    f"what step {id!r} is mapped over was damaged and has been computed again, and "
                    f"now has {len(found)} elements instead of {progress.calls}: run it again"
                )
        except ZenlibError as error:
            if isinstance(error, CorruptArtifact) and self._withdraw(
                node, id, self._wiring.inputs(node)
            ):
                return
            # Only known now: lists of different lengths, a list that is none, a lost artifact.
            self._fail_node(node, progress, error)
            return
        progress.calls = len(found)
        progress.status = Status.RUNNING
        if not found:
            self._end_node(node, progress)
            return
        again = self._again.pop(id, {})
        for place, call in found:
            if not again:
                calls.append((call, place))
            elif place in again:
                calls.append((again[place].with_inputs(call), place))

    def _withdraw(self, node: Node, name: str, inputs: Sequence[Stored]) -> bool:
        """Take back the hits that gave damaged inputs; False if there are none, or again."""
        damaged = self._taken.examine(inputs)
        if not damaged or not self._taken.first_try(name):
            return False
        for call, done in self._taken.withdraw(damaged):
            progress = self._nodes[call.node.id]
            place = self._places[call.name]
            if done.step_run in self._hits:
                self._hits.remove(done.step_run)
            else:
                self.job.stack.metadata.delete(StepRun, [done.step_run.id])
            del progress.outputs[place]
            progress.ended -= 1
            progress.cached -= 1
            progress.status = Status.RUNNING
            key = {**call.key, "reason": f"the files of its result were damaged; {name} needs them"}
            self._ready.append((replace(call, reuse=False, key=key), place))
            for follower in self._followers[call.node.id]:
                if self._nodes[follower].status is Status.PENDING:
                    self._waiting[follower].add(call.node.id)
        self._able = deque(id for id in self._able if not self._waiting[id])
        self._waiting[node.id] = {
            id for id in node.needs() if self._nodes[id].status is Status.RUNNING
        }
        if not self._waiting[node.id]:
            self._able.append(node.id)
        return True

    def _skip(self, node: Node, progress: NodeState, reason: str) -> None:
        self._records.append(
            execution.not_run(
                self.job.run.id, self.job.plan.pipeline, node, node.id, Status.SKIPPED, reason
            )
        )
        progress.bad = Status.SKIPPED
        progress.calls = 0
        self._end_node(node, progress, reason)

    def _fail_node(self, node: Node, progress: NodeState, error: Exception) -> None:
        progress.calls = 1
        call = Call(self.job.run.id, self.job.plan.pipeline, node.id, node, {}, {})
        self.job.errors[node.id] = error
        done = execution.failed(call, execution.failure_of(error), (execution.now_us(), 0))
        self._records.append(done.step_run)
        self._places[node.id] = 0
        self._note(call, done)

    def _sort_out(self, calls: list[tuple[Call, int]]) -> None:
        """Take the calls whose result is known already; queue the others."""
        hits: dict[str, tuple[StepRun, dict[str, Stored]]] = {}
        asking = [call for call, _ in calls if call.reuse]
        if asking:
            hits = self._remembered(asking)
            rest = [call for call in asking if call.name not in hits]
            # One call alone looks up for itself, under its claim: no second question.
            if len(rest) > 1 or (rest and not self._asked):
                self._asked = True
                found = lookup.earlier(self.job.stack, [call.key["id"] for call in rest])
                hits.update(lookup.choose(self.job.stack, rest, found) if found else {})
                for earlier_run, _ in hits.values():
                    self._memory.follow(earlier_run)
        for call, place in calls:
            if call.name in hits:
                self._places[call.name] = place
                done = lookup.hit(call, *hits[call.name])
                self._hits.append(done.step_run)
                self._note(call, done)
            else:
                self._ready.append((call, place))

    def _remembered(self, calls: Sequence[Call]) -> dict[str, tuple[StepRun, dict[str, Stored]]]:
        """Return the hits among what the last run of this pipeline used."""
        now = execution.now_us()
        found: dict[str, tuple[StepRun, dict[str, Stored]]] = {}
        wanted: list[Content] = []
        for call in calls:
            run = self._memory.runs.get(call.key["id"])
            if run is None or lookup.expired(run, call, now):
                continue
            contents = {n: self._memory.content(o.artifact) for n, o in run.outputs.items()}
            if any(content is None for content in contents.values()):
                continue
            found[call.name] = (
                run,
                {
                    name: Stored(
                        output.digest, contents[name], output.artifact, f"{run.node}.{name}"
                    )
                    for name, output in run.outputs.items()
                },
            )
            wanted.extend(content for content in contents.values() if content is not None)
        missing = self.job.stack.shelf.missing(wanted) if wanted else ()
        if missing:
            found = {
                name: (run, outputs)
                for name, (run, outputs) in found.items()
                if not any(lookup.lacks(stored.content, missing) for stored in outputs.values())
            }
        return found

    def _note(self, call: Call, done: Done) -> None:
        """Enter the end of a call into the state of its node."""
        node, step_run = call.node, done.step_run
        progress = self._nodes[node.id]
        progress.ended += 1
        progress.took_us += step_run.ended_us - step_run.started_us
        if step_run.status in (Status.COMPLETED, Status.CACHED):
            progress.outputs[self._places.get(call.name, 0)] = done.outputs
            if step_run.status is Status.CACHED:
                progress.cached += 1
                self._taken.add(call, done)
                self._memory.wake()
            for stored in done.outputs.values():
                if stored.content is not None and stored.content.size_bytes:
                    self.used.update(file.digest for file in stored.content.blobs())
        else:
            progress.bad = step_run.status
            if step_run.failure:
                self.failures.append((call.name, step_run.failure))
            if step_run.status is Status.FAILED and self.job.fail == "fast":
                self.stopped = True
        if self.job.step_hook is not None:
            self.job.step_hook(step_run)
        total = progress.calls or 0
        if node.map:
            for events in self.job.events:
                events.node_items(node.id, progress.ended, total)
        if progress.ended >= total:
            self._end_node(node, progress, self._detail(step_run))

    def _detail(self, step_run: StepRun) -> str:
        if step_run.status is Status.CACHED:
            return f"from run {step_run.key['from_run']}"
        if step_run.failure is not None:
            return f"{step_run.failure.type}: {step_run.failure.message}"
        return ""

    def _end_node(self, node: Node, progress: NodeState, detail: str = "") -> None:
        if progress.bad is not None:
            progress.status = progress.bad
        elif progress.calls and progress.cached == progress.calls:
            progress.status = Status.CACHED
        else:
            progress.status = Status.COMPLETED
        for events in self.job.events:
            events.node_finished(node.id, progress.status, progress.took_us, detail)
        for follower in self._followers[node.id]:
            needs = self._waiting[follower]
            if node.id in needs:
                needs.discard(node.id)
                if not needs:
                    self._able.append(follower)

    # At the end.

    def close(self) -> tuple[Status, list[StepRun]]:
        """Return the status of the run, and the records that are still to be published."""
        with self._lock:
            failed = any(progress.status is Status.FAILED for progress in self._nodes.values())
            status = Status.COMPLETED
            if self.fatal is not None or failed:
                status = Status.FAILED
            if self.cancelled:
                status = Status.CANCELLED
            for id, progress in self._nodes.items():
                if progress.status in (Status.PENDING, Status.RUNNING):
                    self._close_node(self.job.plan.nodes[id], progress)
            return status, [*self._records]

    def _close_node(self, node: Node, progress: NodeState) -> None:
        """Mark what was never started: skipped below a failure, else cancelled."""
        lost = next((n for n in node.needs() if self._nodes[n].status in _LOST), None)
        status = Status.SKIPPED if lost else Status.CANCELLED
        reason = f"{lost} {self._nodes[lost].word}" if lost else "the run was stopped"
        progress.status = progress.bad or status
        if not progress.ended:
            self._records.append(
                execution.not_run(
                    self.job.run.id, self.job.plan.pipeline, node, node.id, progress.status, reason
                )
            )
        for events in self.job.events:
            events.node_finished(node.id, progress.status, progress.took_us, reason)

    def outputs(self) -> Any:
        """Return what the pipeline returns, as data with `{"artifact": id}` leaves."""
        with self._lock:
            return self._wiring.outputs()

    def counts(self) -> dict[str, int]:
        """Return how many nodes ended in each status."""
        found: dict[str, int] = {}
        for progress in self._nodes.values():
            found[progress.status] = found.get(progress.status, 0) + 1
        return found


_LOST = (Status.FAILED, Status.SKIPPED)


def _cpus(node: Node) -> float:
    return float(node.options.get("resources", {}).get("cpu", 1))


def needs_process(node: Node) -> bool:
    """Whether a node may only run in a process of its own, which can be stopped or can crash."""
    return bool(node.options.get("timeout") or node.options.get("isolated"))

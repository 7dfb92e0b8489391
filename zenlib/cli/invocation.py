"""One `zenlib run`: find the pipeline, run it, show it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from zenlib.cli import failures, lines, loading, params
from zenlib.cli.output import Output
from zenlib.cli.watching import Watching, printing_to_stderr
from zenlib.client import Client, Run
from zenlib.display import Progress
from zenlib.errors import RunCancelled, StepFailed
from zenlib.foresight import PlanExplanation
from zenlib.live import terminal_of
from zenlib.pipelines import Pipeline
from zenlib.records import Status
from zenlib.running import RunnablePlan
from zenlib.settings import Component, Stack, load_stack
from zenlib.stack import open_stack
from zenlib.words import duration

INTERRUPTED = 130


@dataclass
class Invocation:
    """What the user asked for; the options of `zenlib run` by their names."""

    out: Output
    target: str
    params: tuple[str, ...]
    stack: str | None
    no_cache: bool
    dry_run: bool
    fail: str | None
    workers: int | None
    tags: tuple[str, ...]
    pdb: bool
    quiet: bool

    def run(self) -> int:
        """Do it, and return the exit code.

        Raises:
            Invalid: the file, the pipeline or a parameter is wrong; nothing ran.
        """
        with self._streams() as progress:
            pipeline = loading.find(self.target)
            stack = self._stack(pipeline)
            plan = self._plan(pipeline, stack)
            if not self.dry_run:
                watching = self._watching(stack, progress)
                code = self._execute(plan, watching)
        if self.dry_run:
            explanation = plan.explain()
            data = {**explanation.to_json(), "stack": stack.name}
            if self.out.json:
                self.out.object(data)
            else:
                show_explanation(self.out, explanation)
            return 0
        if watching.run_id and self.out.json:
            self.out.object(run_json(Client(stack).run(watching.run_id)))
        return code

    @contextmanager
    def _streams(self) -> Iterator[Progress]:
        if self.pdb or sys.stderr is None:  # the debugger talks on the real streams
            terminal = None if self.quiet or sys.stderr is None else terminal_of(sys.stderr)
            stream = None if terminal is None else sys.stderr
            color = terminal is not None and terminal.color
            with Progress(stream, color=color, unicode=bool(terminal and terminal.unicode)) as made:
                yield made
            return
        terminal = terminal_of(sys.stderr)
        live = terminal.live and not self.quiet and not self.dry_run
        progress = Progress(
            None if self.quiet else sys.stderr,
            color=terminal.color,
            unicode=terminal.unicode,
            live=live,
        )
        with progress, printing_to_stderr(progress, live=live):
            yield progress

    def _stack(self, pipeline: Pipeline[..., Any]) -> Stack:
        """Return the stack that is asked for: by an option, by the pipeline, or the active one."""
        said = self.stack or pipeline.options.get("stack")
        stack = said if isinstance(said, Stack) else load_stack(said)
        changes: dict[str, Any] = {}
        if self.no_cache:
            changes["cache"] = False
        if self.workers is not None:
            given = stack.orchestrator
            options = {**given.options, "workers": self.workers}
            changes["orchestrator"] = Component(type=given.type, url=given.url, options=options)
        return stack.model_copy(update=changes) if changes else stack

    def _plan(self, pipeline: Pipeline[..., Any], stack: Stack) -> RunnablePlan:
        given = params.arguments(pipeline, self.params)
        tags = (*pipeline.options.get("tags", ()), *self.tags)
        changes: dict[str, Any] = {"stack": stack, "tags": tuple(dict.fromkeys(tags))}
        if self.fail is not None:
            changes["fail"] = self.fail
        if self.pdb:
            changes["pdb"] = True
        prepared = pipeline.with_options(**changes)
        with loading.told(f"pipeline {pipeline.name!r} raised while its steps were wired"):
            return prepared.plan(*given.args, **given.kwargs)

    def _watching(self, stack: Stack, progress: Progress) -> Watching:
        option = "" if load_stack().name == stack.name else f" --stack {shlex.quote(stack.name)}"
        hints = []
        if not self.pdb:
            again = "" if self.no_cache else "retry from here: the same command again      "
            hints = [f"{again}in a debugger: {self._command('--pdb')}"]
        return Watching(
            progress,
            open_stack(stack).metadata,
            stack_option=option,
            hints=tuple(hints),
            full=self.out.full,
        )

    def _command(self, *more: str) -> str:
        """Return this command as it can be pasted into a shell, with more options."""
        words = ["zenlib", "run", self.target]
        words += [word for param in self.params for word in ("--param", param)]
        words += ["--stack", self.stack] if self.stack else []
        words += more
        return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)

    def _execute(self, plan: RunnablePlan, watching: Watching) -> int:
        assert plan.source is not None
        plan.source.options["progress"] = watching
        try:
            plan.run()
        except StepFailed as error:
            if self.quiet:
                self._tell(watching, error)
            return 1
        except (KeyboardInterrupt, RunCancelled):
            if not watching.run_id:
                raise
            if self.quiet:
                self.out.error(f"run {watching.run_id} was cancelled; what had completed is kept", "cancelled")
            return INTERRUPTED
        return 0

    def _tell(self, watching: Watching, error: StepFailed) -> None:
        """Tell how a step failed where no progress is shown."""
        rows = watching.failure(error.node)
        self.out.note("\n".join([f"step {error.node} failed", *(f"    {row}" for row in rows)]))


def run_json(run: Run) -> dict[str, Any]:
    """Return a run and its steps as JSON data: their records, and `took_us` of each."""
    steps = [
        {**record.model_dump(mode="json"), "took_us": record.ended_us - record.started_us}
        for record in run.step_runs
    ]
    return {**run.record.model_dump(mode="json"), "took_us": run.took_us, "steps": steps}


def show_explanation(out: Output, explanation: PlanExplanation) -> None:
    """Print what a plan would do, a line for each step."""
    lines.say(out, f"{explanation.pipeline} would do:", None)

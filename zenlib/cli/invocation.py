"""One `zenlib run`: find the pipeline, run it, show it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from zenlib.cli import lines, loading, params
from zenlib.cli.output import Output
from zenlib.cli.showing import run_json
from zenlib.cli.watching import Watching, printing_to_stderr
from zenlib.client import Client
from zenlib.display import Progress
from zenlib.errors import RunCancelled, StepFailed
from zenlib.foresight import PlanExplanation
from zenlib.live import terminal_of
from zenlib.pipelines import Pipeline
from zenlib.running import RunnablePlan
from zenlib.settings import Component, Stack, load_stack
from zenlib.stack import open_stack
from zenlib.words import duration


@dataclass
class Invocation:
    """What the user asked for; the options of `zenlib run` by their names."""

    out: Output
    target: str
    given: tuple[str, ...]
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
            watching = self._watching(stack, progress)
            plan = self._plan(pipeline, stack, watching)
            if not self.dry_run:
                code, error = self._execute(plan, watching)
        if self.dry_run:
            show_plan(self.out, plan.explain(), stack.name)
            return 0
        if self.out.json:
            self.out.object(run_json(Client(stack).run(watching.run_id)))
        if error and self.quiet:
            self.out.error(error, "step-failed" if code == 1 else "cancelled")
        return code

    @contextmanager
    def _streams(self) -> Iterator[Progress]:
        """Choose how progress is shown and where prints go; the debugger has the real streams."""
        if sys.stderr is None:
            yield Progress(None)
            return
        terminal = terminal_of(sys.stderr)
        live = terminal.live and not (self.quiet or self.dry_run or self.pdb)
        progress = Progress(
            None if self.quiet else sys.stderr,
            color=terminal.color,
            unicode=terminal.unicode,
            live=live,
        )
        with progress, nullcontext() if self.pdb else printing_to_stderr(progress, live=live):
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

    def _watching(self, stack: Stack, progress: Progress) -> Watching:
        elsewhere = load_stack().name != stack.name
        again = "" if self.no_cache else "retry from here: the same command again      "
        hint = f"{again}in a debugger: {self._command('--pdb')}"
        return Watching(
            progress,
            open_stack(stack).metadata,
            stack_option=f" --stack {shlex.quote(stack.name)}" if elsewhere else "",
            hints=() if self.pdb else (hint,),
            full=self.out.full,
            hidden=self.quiet,
        )

    def _command(self, *more: str) -> str:
        """Return this command as it can be pasted into a shell, with more options."""
        words = ["zenlib", "run", self.target]
        words += [word for param in self.given for word in ("--param", param)]
        words += ["--stack", self.stack] if self.stack else []
        words += more
        return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)

    def _plan(self, pipeline: Pipeline[..., Any], stack: Stack, watching: Watching) -> RunnablePlan:
        given = params.arguments(pipeline, self.given)
        tags = dict.fromkeys((*pipeline.options.get("tags", ()), *self.tags))
        changes: dict[str, Any] = {"stack": stack, "tags": tuple(tags), "progress": watching}
        if self.fail is not None:
            changes["fail"] = self.fail
        if self.pdb:
            changes["pdb"] = True
        prepared = pipeline.with_options(**changes)
        with loading.told(f"pipeline {pipeline.name!r} raised while its steps were wired"):
            return prepared.plan(*given.args, **given.kwargs)

    def _execute(self, plan: RunnablePlan, watching: Watching) -> tuple[int, str]:
        """Run the plan; return the exit code, and in words what went wrong."""
        try:
            plan.run()
        except StepFailed as error:
            lines = [f"step {error.node!r} of run {error.run_id} failed"]
            return error.exit_code, "\n".join([*lines, *watching.failure(error.node)])
        except (KeyboardInterrupt, RunCancelled):
            if not watching.run_id:
                raise
            words = f"run {watching.run_id} was cancelled; what had completed is kept"
            return RunCancelled.exit_code, words
        return 0, ""


def show_plan(out: Output, explanation: PlanExplanation, stack: str) -> None:
    """Print what a plan would do, a line for each step."""
    if out.json:
        out.object({**explanation.to_json(), "stack": stack})
        return
    rows = []
    for step in explanation.steps:
        last = f" (last time {duration(step.last_us)})" if step.last_us is not None else ""
        rows.append((step.why.node, step.why.verdict, "; ".join(step.why.reasons) + last))
    colours = {"cached": "cyan", "would be skipped": "bright_black"}
    lines.columns(out, rows, [colours.get(verdict) for _, verdict, _ in rows])

"""Showing a run while `zenlib run` drives it: the progress, and what the steps print."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TextIO

from zenlib import execution, lookup
from zenlib.cli import failures
from zenlib.cli.facts import outputs
from zenlib.display import Progress
from zenlib.errors import ZenlibError
from zenlib.hashing import id_time_us
from zenlib.live import write_safely
from zenlib.records import Status, StepRun
from zenlib.stores.base import MetadataStore
from zenlib.words import ago, short_id

_FROM_RUN = re.compile(r"from run (\S+)")
_COMMAND_HINTS = {
    "completed": "results: zenlib runs show {run}{stack}",
    "failed": "details: zenlib runs show {run}{stack}",
    "cancelled": "what had completed is kept: run it again to go on",
}


class Watching:
    """What `zenlib run` gives a run to report to (`zenlib.orchestrators.base.Events`).

    Adds to `Progress` what is read from the records: what a step gave, and how one failed.

    Args:
        progress: where it is shown.
        metadata: where the records are.
        stack_option: ` --stack NAME` where the commands in hints need it, else nothing.
        hints: lines below a failure: what can be done.
        full: whether failures show all frames.
        hidden: nobody sees the progress, so nothing is read for it.

    Attributes:
        run_id: of the run; empty before it has begun.
    """

    def __init__(
        self,
        progress: Progress,
        metadata: MetadataStore,
        *,
        stack_option: str = "",
        hints: tuple[str, ...] = (),
        full: bool = False,
        hidden: bool = False,
    ) -> None:
        self.run_id = ""
        self._progress = progress
        self._metadata = metadata
        self._stack_option = stack_option
        self._hints = hints
        self._full = full
        self._hidden = hidden
        self._pipeline = ""
        self._items: dict[str, int] = {}

    def run_started(self, title: str, run_id: str, stack: str, nodes: list[str]) -> None:
        """Write the headline."""
        self.run_id, self._pipeline = run_id, title
        self._progress.run_started(title, short_id(run_id), stack, nodes)

    def node_started(self, node: str, last_time_us: int | None = None) -> None:
        """Show a step as running."""
        self._progress.node_started(node, last_time_us)

    def node_items(self, node: str, done: int, total: int) -> None:
        """Show how far a mapped step is."""
        self._items[node] = total
        self._progress.node_items(node, done, total)

    def node_finished(self, node: str, status: str, took_us: int, detail: str = "") -> None:
        """Write a step's line; below a failed one, how it failed."""
        if not self._hidden:
            with contextlib.suppress(ZenlibError):  # a store that is away must not fail the run
                detail = self._detail(node, status, detail)
        self._progress.node_finished(node, status, took_us, detail)

    def run_finished(
        self, status: str, took_us: int, counts: dict[str, int], next_hint: str = ""
    ) -> None:
        """Write the closing line."""
        hint = _COMMAND_HINTS.get(status, next_hint)
        hint = hint.format(run=short_id(self.run_id), stack=self._stack_option)
        self._progress.run_finished(status, took_us, counts, hint)

    def echo(self, _stream: str, text: str) -> None:
        """Show what a step in another process printed."""
        self._progress.write_through(text)

    def _detail(self, node: str, status: str, detail: str) -> str:
        if status == Status.FAILED:
            return "\n".join(self.failure(node, detail))
        count = self._items.get(node)
        if count is not None:
            return f"{count} item{'s' * (count != 1)}"
        if status == Status.CACHED:
            return _FROM_RUN.sub(lambda found: _from_run(found[1]), detail)
        if status == Status.COMPLETED:
            return self._outputs(node)
        return detail

    def _outputs(self, node: str) -> str:
        step_run = self._step_run(node)
        if step_run is None:
            return ""
        ids = {name: output.artifact for name, output in step_run.outputs.items()}
        found = lookup.artifacts_of(self._metadata, ids.values())
        return outputs({name: found[id] for name, id in ids.items() if id in found})

    def _step_run(self, node: str) -> StepRun | None:
        """Return the record of a step of this run, which is the newest of its node."""
        where = {"pipeline": self._pipeline, "node": node}
        found = self._metadata.find(StepRun, where, order="-id", limit=1).items
        return found[0] if found and found[0].run_id == self.run_id else None

    def failure(self, node: str, detail: str = "") -> list[str]:
        """Return the lines that tell how a step of this run failed, or `detail` if it is unknown."""
        step_run = self._step_run(node) or self._failed_item(node)
        if step_run is None or step_run.failure is None:
            return [*filter(None, [detail]), *self._hints]
        item = [] if step_run.node == node else [f"item {step_run.node}:"]
        told = failures.block(step_run.failure, step_run, full=self._full)
        return [*item, *told, *self._hints]

    def _failed_item(self, node: str) -> StepRun | None:
        """Return the first failed item of a mapped step."""
        items = [f"{node}[{place}]" for place in range(min(self._items.get(node, 0), 10_000))]
        where = {"run_id": self.run_id, "node": items}
        page = self._metadata.find(StepRun, where, limit=10_000) if items else None
        found = page.items if page else []
        return next((each for each in found if each.status is Status.FAILED), None)


def _from_run(id: str) -> str:
    try:
        return f"from run {short_id(id)}, {ago(id_time_us(id), execution.now_us())}"
    except ValueError:  # an id that another program made
        return f"from run {id}"


# What the steps print.


class _Printed(io.RawIOBase):
    """The bytes below a text stream: decoded and handed on."""

    def __init__(self, target: Callable[[str], object], below: TextIO) -> None:
        super().__init__()
        self._target = target
        self._below = below
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._target(self._decode(bytes(data)))
        return len(data)

    def isatty(self) -> bool:
        return self._below.isatty()

    def fileno(self) -> int:
        """Return the real stream: what native code and child processes print goes there."""
        return self._below.fileno()


@contextlib.contextmanager
def printing_to_stderr(progress: Progress, *, live: bool) -> Iterator[None]:
    """Send what Python code and child processes print on stdout to stderr, where messages go.

    Stdout is for data: it stays clean whatever the steps do. While a live area is on the
    terminal, both streams are written above it. That nobody reads them stops no step.
    """
    before = sys.stdout, sys.stderr
    target = progress.write_through if live else partial(write_safely, before[1])
    raw: Any = _Printed(target, before[1])
    sys.stdout = sys.stderr = io.TextIOWrapper(
        raw, "utf-8", "backslashreplace", newline="", write_through=True
    )
    try:
        with _descriptor_moved(before[0]):
            yield
    finally:
        sys.stdout, sys.stderr = before


@contextlib.contextmanager
def _descriptor_moved(stdout: TextIO | None) -> Iterator[None]:
    """Make descriptor 1 lead where 2 does, for what does not print through Python."""
    try:
        assert stdout is not None
        stdout.flush()
        kept = os.dup(1) if stdout.fileno() == 1 else None
        if kept is not None:
            os.dup2(2, 1)
    except (OSError, ValueError, AssertionError):  # closed, or no real stream
        kept = None
    try:
        yield
    finally:
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)

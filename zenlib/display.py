"""What a person reads in the terminal while a run happens, and the words it is told in."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TextIO

from zenlib.diagram.cells import (
    STATUSES,
    clip,
    glyph_of,
    look_of,
    pad,
    paint,
    printable,
    short,
    width_of,
)
from zenlib.live import FRAME_S, LiveArea, Terminal, size_of, terminal_of, write_safely
from zenlib.words import ago, duration, short_id, size, status

__all__ = [
    "Progress",
    "Terminal",
    "ago",
    "duration",
    "short_id",
    "size",
    "status",
    "terminal_of",
]

NAME_CELLS, BAR_CELLS = 32, 17
SHOWN = 10
"""At most so many running and pending steps are painted, in however tall a terminal."""


@dataclass
class _Node:
    """What is known of one step."""

    status: str = "pending"
    started: float = 0.0
    last_us: int | None = None
    items: tuple[int, int | None] | None = None


class Progress:
    """Shows a run while it happens. Every method may be called from any thread.

    Live: finished steps scroll up and stay; below them the running steps (with a bar against
    their last time) and the next ones are painted again, at most ten times a second. Not live:
    one line per finished step, no control codes. `stream=None`: nothing, at no cost. A stream
    that breaks is left alone: showing a run never fails it.

    Args:
        stream: where to write; None to hide.
        total: how many steps there will be, where `node_names` does not say.
        color: use colours; signs and words say the same.
        unicode: False writes ASCII only.
        live: the stream is a terminal (`zenlib.live.terminal_of`).
        clock: seconds, never going back.
        size: columns and rows of the terminal.
        ticking: paint from a thread of its own; False leaves that to calls of `tick`.
    """

    def __init__(
        self,
        stream: TextIO | None,
        *,
        total: int | None = None,
        color: bool = False,
        unicode: bool = True,
        live: bool = False,
        clock: Callable[[], float] = time.monotonic,
        size: Callable[[], tuple[int, int]] | None = None,
        ticking: bool = True,
    ) -> None:
        self._stream = stream
        self._total = total
        self._color = color
        self._unicode = unicode
        self._clock = clock
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._nodes: dict[str, _Node] = {}
        self._stop = threading.Event()
        self._ticking = ticking
        self._thread: threading.Thread | None = None
        self._area: LiveArea | None = None
        if stream is not None and live:
            self._area = LiveArea(stream, clock=clock, size=size or (lambda: size_of(stream)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run_started(
        self, title: str, run_id: str, stack: str = "", node_names: Sequence[str] = ()
    ) -> None:
        """Write the headline; `run_id` as it shall be read."""
        if self._stream is None:
            return
        parts = [
            short(title, 80, self._unicode),
            f"run {run_id}",
            f"stack {stack}" if stack else "",
        ]
        head = printable(" · ".join(part for part in parts if part), self._unicode)
        with self._lock:
            self._nodes = {name: _Node() for name in node_names}
            self._emit(head)
            if self._area and self._ticking and self._thread is None:
                self._thread = threading.Thread(target=self._tick_on, daemon=True)
                self._thread.start()

    def node_started(self, node: str, last_time_us: int | None = None) -> None:
        """Show a step as running; `last_time_us`: how long it took in an earlier run."""
        if self._stream is None:
            return
        with self._lock:
            self._nodes[node] = _Node("running", self._clock(), last_time_us)
            self._repaint()

    def node_items(self, node: str, done: int, total: int | None) -> None:
        """Show how many items of a mapped step are done."""
        if self._stream is None:
            return
        with self._lock:
            self._nodes.setdefault(node, _Node("running", self._clock())).items = (done, total)
            self._repaint()

    def node_finished(self, node: str, status: str, took_us: int, detail: str = "") -> None:
        """Write a step's line; what follows the first line of `detail` stands below it.

        Of a failed step the whole detail stands below.
        """
        if self._stream is None:
            return
        with self._lock:
            self._nodes.setdefault(node, _Node()).status = status
            rows = detail.expandtabs().splitlines()
            first = "" if status == "failed" or not rows else rows.pop(0)
            words = {"completed": duration(took_us), "cached": "cached", "skipped": "skipped"}
            word = words.get(status, f"{status} after {duration(took_us)}")
            head = self._step(node, status, word, first)
            self._emit(head, *(f"    {printable(row, self._unicode)}".rstrip() for row in rows))

    def message(self, text: str) -> None:
        """Write a remark among the steps."""
        if self._stream is None:
            return
        with self._lock:
            rows = text.expandtabs().splitlines()
            self._emit(*(f"  {printable(row, self._unicode)}".rstrip() for row in rows))

    def run_finished(
        self, status: str, took_us: int, counts: Mapping[str, int], next_hint: str = ""
    ) -> None:
        """Write the closing line and stop; `next_hint`: where to look, such as a command."""
        if self._stream is None:
            return
        words = [
            f"{counts[name]} {'ran' if name == 'completed' else name}"
            for name in (*STATUSES, *(name for name in counts if name not in STATUSES))
            if counts.get(name)
        ]
        word = "done in" if status == "completed" else f"{status} after"
        parts = [f"{word} {duration(took_us)}", ", ".join(words), next_hint]
        row = printable(" · ".join(part for part in parts if part), self._unicode)
        cut = len(parts[0])
        sgr = look_of(status).sgr
        with self._lock:
            self._nodes = {}
            self._emit(f"  {paint(row[:cut], sgr, self._color)}{row[cut:]}")
        self.close()

    def write_through(self, text: str) -> None:
        """Write what the user's code printed, above the live rows.

        In a live terminal it may wait for the next frame, so that a step that prints a million
        lines is not slowed down; `close` writes the rest.
        """
        if self._stream is None:
            return
        if self._area is None or os.getpid() != self._pid:  # a forked child paints nothing
            self._write(text)
            return
        with self._lock:
            self._area.above(text)
            self._repaint()

    def tick(self) -> None:
        """Paint the next frame if it is due."""
        with self._lock:
            self._repaint()

    def close(self) -> None:
        """Take the live rows away; may be called twice, and after an error."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=1)
        with self._lock:
            if self._area is not None and os.getpid() == self._pid:
                self._area.close()
            self._area = None

    def _tick_on(self) -> None:
        while not self._stop.wait(FRAME_S):
            self.tick()

    def _write(self, text: str) -> None:
        if self._stream is not None and not write_safely(self._stream, text):
            self._stream = None
            self._area = None

    def _emit(self, *rows: str) -> None:
        """Write rows that stay."""
        if self._area is None:
            self._write("".join(f"{row}\n" for row in rows))
        else:
            self._area.scroll(rows)
            self._repaint()

    def _repaint(self) -> None:
        if self._area is not None and self._area.due and os.getpid() == self._pid:
            columns, lines = self._area.size()
            self._area.paint(self._rows(columns, lines))
            if not self._area.alive:
                self._stream = self._area = None

    def _rows(self, columns: int, lines: int) -> list[str]:
        """Return the live rows: running steps, the next ones, and a count of all others."""
        names = {
            kind: [n for n, node in self._nodes.items() if node.status == kind]
            for kind in ("running", "pending")
        }
        room = max(0, min(lines - 2, SHOWN))
        every = names["running"] + names["pending"]
        if len(every) <= room:
            return [self._live(name, columns) for name in every]
        shown = every[: max(0, room - 1)]
        hidden = {kind: len(set(found) - set(shown)) for kind, found in names.items()}
        left = ", ".join(f"{count} more {kind}" for kind, count in hidden.items() if count)
        done = len(self._nodes) - len(every)
        text = f"  {left} · {done} of {max(self._total or 0, len(self._nodes))} finished"
        last = clip(printable(text, self._unicode), max(1, columns - 1), self._unicode)
        return [*(self._live(name, columns) for name in shown), paint(last, "2", self._color)]

    def _live(self, name: str, columns: int) -> str:
        node = self._nodes[name]
        if node.status == "pending":
            return self._step(name, "pending", "", "")
        took_us = max(0, int((self._clock() - node.started) * 1_000_000))
        parts = []
        share = took_us / node.last_us if node.last_us else None
        if node.items is not None:
            done, total = node.items
            parts.append(f"{done} of {total}" if total else f"{done} done")
            share = done / total if total else share
        if node.last_us is not None:
            parts.append(f"(last time {duration(node.last_us)})")
        row = self._segments(name, "running", duration(took_us), "  ".join(parts))
        room = columns - 3 - sum(width_of(text) for text, _ in row)
        if share is not None and room >= 8:
            row += [("  ", ""), *self._bar(min(share, 1.0), min(room, BAR_CELLS))]
        return self._join(row)

    def _bar(self, share: float, cells: int) -> list[tuple[str, str]]:
        full = int(share * cells)
        blue = look_of("running").sgr
        if full >= cells:
            return [(("━" if self._unicode else "#") * cells, blue)]
        if self._unicode:
            return [("━" * full, blue), ("╺" + "━" * (cells - full - 1), "2")]
        return [("#" * full, blue), ("." * (cells - full), "2")]

    def _step(self, node: str, status: str, word: str, detail: str) -> str:
        return self._join(self._segments(node, status, word, detail))

    def _segments(self, node: str, status: str, word: str, detail: str) -> list[tuple[str, str]]:
        """Return the pieces of a step's row and their colours."""
        sgr = look_of(status).sgr
        widest = NAME_CELLS
        if self._area is not None:
            widest = max(6, min(widest, self._area.size()[0] // 3))
        longest = max((width_of(name) for name in self._nodes if len(name) <= widest), default=0)
        name = short(node, widest, self._unicode) or "?"
        column = min(widest, max(10, longest))
        detail = printable(detail, self._unicode)
        return [
            ("  ", ""),
            (glyph_of(status, self._unicode), sgr),
            (" " + pad(name, column) + "  ", ""),
            (pad(word, 6), sgr if status in ("failed", "cancelled", "interrupted") else ""),
            (f"  {detail}" if detail else "", "2"),
        ]

    def _join(self, segments: list[tuple[str, str]]) -> str:
        """Put the pieces together: in a live terminal as much as one row holds."""
        room = None if self._area is None else max(1, self._area.size()[0] - 1)
        while segments and not segments[-1][0].strip():
            segments = segments[:-1]
        found = []
        for i, (text, sgr) in enumerate(segments):
            if i == len(segments) - 1:
                text = text.rstrip()
            if room is not None:
                text = clip(text, room, self._unicode)
                room -= width_of(text)
            found.append(paint(text, sgr, self._color))
        return "".join(found)

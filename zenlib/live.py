"""A few rows at the bottom of a terminal that are painted again and again, text scrolling above."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from zenlib.diagram.cells import clip, printable, width_of

FRAME_S = 0.1
"""The least time between two frames: never more than ten a second."""

_ENOUGH = 1 << 16
"""Characters that may wait for the next frame; a step that prints a lot is shown in large bites."""

_MOVES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-ln-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_=>78c])|[\x0b\x0c\x80-\x9f]"
)
_SGR = re.compile(r"\x1b\[[0-9;:]*m")


@dataclass(frozen=True)
class Terminal:
    """What a stream can show.

    Attributes:
        color: the reader wants colours.
        unicode: its encoding knows our signs.
        live: rows can be painted again.
    """

    color: bool
    unicode: bool
    live: bool


def terminal_of(stream: TextIO, environ: Mapping[str, str] = os.environ) -> Terminal:
    """Say what a stream can show.

    `NO_COLOR` and `FORCE_COLOR` (no-color.org, force-color.org) are heeded when they are not
    empty; `TERM=dumb` gets plain lines.
    """
    try:
        tty = stream.isatty() and environ.get("TERM") != "dumb" and _understands(stream)
    except (OSError, ValueError):
        tty = False
    forced = bool(environ.get("FORCE_COLOR"))
    try:
        "✓≡◐✗◌━╺╭►…×".encode(getattr(stream, "encoding", None) or "ascii")
        unicode = True
    except (UnicodeEncodeError, LookupError):
        unicode = False
    return Terminal((tty or forced) and not environ.get("NO_COLOR"), unicode, tty)


def _understands(stream: TextIO) -> bool:
    """Switch control sequences on where the console has to be asked for them."""
    if sys.platform == "win32":
        import ctypes
        import msvcrt

        kernel = ctypes.windll.kernel32
        handle = msvcrt.get_osfhandle(stream.fileno())
        mode = ctypes.c_uint32()
        # 4 = ENABLE_VIRTUAL_TERMINAL_PROCESSING
        return bool(
            kernel.GetConsoleMode(ctypes.c_void_p(handle), ctypes.byref(mode))
            and kernel.SetConsoleMode(ctypes.c_void_p(handle), mode.value | 4)
        )
    return True


def size_of(stream: TextIO) -> tuple[int, int]:
    """Return columns and rows of a stream's terminal; 80 and 24 where nobody knows."""
    try:
        found = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return 80, 24
    return found.columns or 80, found.lines or 24


def write_safely(stream: TextIO, text: str) -> bool:
    """Write and flush; return False once the stream is closed or its reader has gone."""
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            encoding = getattr(stream, "encoding", None) or "ascii"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except (OSError, ValueError):
        return False
    return True


class LiveArea:
    """The rows. Not safe to share between threads; its owner holds a lock.

    The cursor rests at the start of the row below, so that a stray print starts on a row of its
    own. It is hidden only within a frame, and a frame is one write: killing the process at any
    moment leaves a terminal that can be used. After the terminal was made narrower, rows are
    counted as it wraps them.
    """

    def __init__(
        self, stream: TextIO, *, clock: Callable[[], float], size: Callable[[], tuple[int, int]]
    ) -> None:
        self.stream = stream
        self.size = size
        self.alive = True
        self._clock = clock
        self._painted_at = -FRAME_S
        self._rows: list[str] = []
        self._widths: list[int] = []
        self._above: list[str] = []
        self._waiting = 0
        self._partial = ""

    @property
    def due(self) -> bool:
        """Whether the next frame may be painted, or must be because much text waits."""
        return self._waiting > _ENOUGH or self._clock() - self._painted_at >= FRAME_S

    def above(self, text: str) -> None:
        """Keep text that shall scroll by above the rows; an unfinished row is shown as the first.

        Sequences that move the cursor are taken out and `\\r` starts its row anew; colours stay.
        """
        *whole, self._partial = (self._partial + text).split("\n")
        for row in whole:
            row = _MOVES.sub("", row.rstrip("\r").rpartition("\r")[2])
            self._above.append(row + "\x1b[0m\n" if "\x1b" in row else row + "\n")
        self._waiting += len(text)
        if len(self._partial) > _ENOUGH:
            _, mark, latest = self._partial.rpartition("\r")
            self._partial = latest[:_ENOUGH] if mark else ""
            if not mark:
                self._above.append(_MOVES.sub("", latest) + "\x1b[0m\n")

    def scroll(self, rows: Sequence[str]) -> None:
        """Keep whole rows of our own that shall scroll by; an unfinished row stays below them."""
        self._above += [f"{row}\n" for row in rows]
        self._waiting += sum(map(len, rows))

    def paint(self, rows: list[str]) -> None:
        """Show the text that waits and these rows, each cut to the terminal's width."""
        columns, lines = self.size()
        shown = _MOVES.sub("", self._partial.rpartition("\r")[2])
        if shown:
            rows = [clip(printable(_SGR.sub("", shown)), max(1, columns - 1)), *rows]
        rows = rows[: max(lines - 1, 0)]  # what scrolled off the top could not be erased
        self._painted_at = self._clock()
        if rows == self._rows and not self._above:
            return
        up = sum(max(1, -(-width // columns)) for width in self._widths)
        parts = ["\x1b[?25l\r", f"\x1b[{up}A" if up else ""]
        if self._above:
            # erasing to the end of the row after each text would eat a character at the margin
            parts += ["\x1b[J", *self._above]
        parts += [f"{row}\x1b[K\n" for row in rows]
        parts.append("\x1b[J\x1b[?25h")
        self._rows, self._above, self._waiting = rows, [], 0
        self._widths = [width_of(_SGR.sub("", row)) for row in rows]
        self.alive = write_safely(self.stream, "".join(parts))

    def close(self) -> None:
        """Take the rows away and leave the cursor where the next text belongs."""
        if self._partial:
            self.above("\n")
        self.paint([])

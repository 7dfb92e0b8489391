"""How an error of the user's code is shown: the user's own lines, the error, the step's inputs."""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from zenlib import explain
from zenlib.records import Failure, StepRun

_ZENLIB = str(Path(__file__).parent.parent)
_PYTHON = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})
_INSTALLED = ("site-packages", "dist-packages")
_FRAME = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+), in (?P<function>.*)')
_SHOWN_LINES = 20
_SHOWN_SOURCE = 160
_SHOWN_VALUE = 60


class Frame(NamedTuple):
    """One line of a traceback."""

    file: str
    line: int
    function: str
    source: str = ""

    def __str__(self) -> str:
        place = f"{nearby(self.file)}:{self.line} in {self.function}"
        text = self.source[:_SHOWN_SOURCE]
        text += "…" if len(self.source) > _SHOWN_SOURCE else ""
        return f"{place}\n    {text}" if text else place


def nearby(file: str) -> str:
    """Return a path as it is written from the current folder, when it lies below it."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return file


def _mine(frame: Frame) -> bool:
    """Whether a frame is neither zenlib's, nor Python's, nor an installed package's."""
    if frame.file.startswith(("<frozen ", _ZENLIB)):
        return False
    installed = not set(_INSTALLED).isdisjoint(Path(frame.file).parts)
    return not installed and not frame.file.startswith(_PYTHON)


def of_error(error: BaseException) -> list[Frame]:
    """Return the user's frames of an exception, and for a syntax error its place."""
    found = [
        Frame(each.filename, each.lineno or 0, each.name, each.line or "")
        for each in traceback.extract_tb(error.__traceback__)
    ]
    if isinstance(error, SyntaxError) and error.filename:
        text = (error.text or "").strip()
        found.append(Frame(error.filename, error.lineno or 0, "this line", text))
    return [frame for frame in found if _mine(frame)]


def of_text(text: str) -> list[Frame]:
    """Return the user's frames of a recorded traceback; all of them if none is the user's."""
    found: list[Frame] = []
    for row in text.splitlines():
        match = _FRAME.fullmatch(row)
        if match:
            found.append(Frame(match["file"], int(match["line"]), match["function"]))
        elif found and not found[-1].source and row.startswith("    "):
            found[-1] = found[-1]._replace(source=row.strip())
    return [frame for frame in found if _mine(frame)] or found


def rows(frames: Iterable[Frame]) -> list[str]:
    """Return frames as lines of text."""
    return [row for frame in frames for row in str(frame).split("\n")]


def words(kind: str, message: str) -> str:
    """Return an exception's type and message; a long message is cut.

    >>> words("ValueError", "no"), words("KeyboardInterrupt", "")
    ('ValueError: no', 'KeyboardInterrupt')
    """
    lines = message.strip().splitlines()
    if len(lines) > _SHOWN_LINES:
        lines = [*lines[:_SHOWN_LINES], f"… {len(lines) - _SHOWN_LINES} more lines"]
    text = "\n".join(lines)
    return f"{kind}: {text}" if text and text != kind else kind


def inputs(step_run: StepRun) -> str:
    """Return what a step was given: `data = split.train (b3:9f2c…), lr = 0.2`."""
    return ", ".join(_inputs(step_run))


def _inputs(step_run: StepRun) -> Iterator[str]:
    for name, (digest, source) in step_run.key.get("inputs", {}).items():
        short = f"{digest[:7]}…"
        yield f"{name} = {source} ({short})" if source else f"{name} = {short}"
    for name, param in step_run.key.get("params", {}).items():
        text = explain.show_param(param)
        yield (
            f"{name} = {text[: _SHOWN_VALUE - 1]}…"
            if len(text) > _SHOWN_VALUE
            else (f"{name} = {text}")
        )


def block(failure: Failure, step_run: StepRun | None = None, *, full: bool = False) -> list[str]:
    """Return the lines that tell how a step failed.

    Args:
        failure: what became of it.
        step_run: the step, for its inputs.
        full: all frames, not only the user's.
    """
    if full and failure.full_traceback:
        found = failure.full_traceback.rstrip().splitlines()
    else:
        found = rows(of_text(failure.traceback))
        found += words(failure.type, failure.message).splitlines()
    given = inputs(step_run) if step_run is not None else ""
    return [*found, f"inputs: {given}"] if given else found

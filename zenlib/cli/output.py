"""How commands speak: data on stdout, messages on stderr, JSON when asked, plain where it must be."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import click

from zenlib.cli.tables import Column, fit_table, safe
from zenlib.errors import Unavailable

STATUSES: dict[str, tuple[str, str]] = {
    "pending": ("·", "bright_black"),
    "running": ("◐", "blue"),
    "completed": ("✓", "green"),
    "cached": ("≡", "cyan"),
    "failed": ("✗", "red"),
    "skipped": ("–", "bright_black"),
    "cancelled": ("◌", "yellow"),
    "interrupted": ("!", "yellow"),
}
"""Status -> glyph and colour."""

_GLYPHS = "·◐✓≡✗–◌→…━"


def printable(text: str, stream: Any) -> str:
    """Return the text with the letters that the stream's encoding lacks written as escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _can_print(stream: Any, text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _wants_colour(stream: Any) -> bool:
    """Follow no-color.org and the order of Python itself: NO_COLOR, FORCE_COLOR, TERM, terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    if os.environ.get("TERM") == "dumb":
        return False
    try:
        return bool(stream is not None and stream.isatty())
    except ValueError:  # closed
        return False


def _width(stream: Any) -> int | None:
    """Return the columns that lines must fit in; None for a pipe or a file, which takes any."""
    if os.environ.get("COLUMNS", "").isdecimal():
        return max(20, int(os.environ["COLUMNS"]))
    try:
        terminal = stream is not None and stream.isatty()
    except ValueError:
        terminal = False
    return max(20, shutil.get_terminal_size().columns) if terminal else None


@dataclass
class Output:
    """What one invocation of the command line prints, and how.

    Attributes:
        json: one JSON text on stdout instead of words for people.
        colour: whether stdout takes colours.
        glyphs: whether stdout can show more than ASCII.
        width: columns of the terminal; None when lines may be as long as they like.
        full: whether errors show all frames (`--full-traceback`).
    """

    json: bool = False
    colour: bool = False
    glyphs: bool = True
    width: int | None = None
    full: bool = False
    _answered: bool = False

    @classmethod
    def detect(cls, *, json: bool) -> Output:
        """Return the output that fits the terminal and the environment, looked at now."""
        return cls(
            json=json,
            colour=_wants_colour(sys.stdout) and not json,
            glyphs=_can_print(sys.stdout, _GLYPHS),
            width=_width(sys.stdout),
        )

    def object(self, data: Any, text: str | Callable[[], str] | None = None) -> None:
        """Print one object: as JSON, or as `text`, or one `name: value` line a field."""
        if self.json:
            self._json(data)
        elif text is not None:
            self.line(text() if callable(text) else text)
        else:
            fields = plain(data)
            pad = max((len(name) for name in fields), default=0)
            for name, value in fields.items():
                self.line(f"{name.ljust(pad)}  {safe(_words(value))}".rstrip())

    def table(
        self,
        rows: Iterable[Any],
        columns: Sequence[Column],
        *,
        empty: str = "",
    ) -> None:
        """Print a listing: a JSON array of the whole rows, or a table of the columns.

        Args:
            rows: records or mappings.
            empty: a message, on stderr, for people who see no rows.
        """
        data = [plain(row) for row in rows]
        if self.json:
            self._json(data)
            return
        if not data:
            self.note(empty)
            return
        for line in fit_table(data, columns, width=self.width, glyphs=self.glyphs, out=self):
            self.line(line)

    def line(self, text: str = "") -> None:
        """Print a line of data for people; nothing when JSON is asked for."""
        if not self.json:
            self._write(text)

    def note(self, text: str) -> None:
        """Say something on stderr."""
        if text:
            with contextlib.suppress(OSError, ValueError):
                text = printable(text, sys.stderr)
                click.echo(text, err=True, color=_wants_colour(sys.stderr))

    def warning(self, text: str) -> None:
        """Warn on stderr."""
        self.note(f"{self._label('warning', 'yellow')} {safe(text)}")

    def error(self, text: str, code: str) -> None:
        """Say on stderr what went wrong and, when JSON is asked for, on stdout as well."""
        head, *rest = text.splitlines() or [""]
        lines = [f"{self._label('error', 'red')} {safe(head)}", *(f"  {safe(r)}" for r in rest)]
        self.note("\n".join(lines))
        if self.json and not self._answered:
            self._json({"error": {"code": code, "message": text}})

    def _label(self, word: str, colour: str) -> str:
        return (
            click.style(f"{word}:", fg=colour, bold=True)
            if _wants_colour(sys.stderr)
            else f"{word}:"
        )

    def style(self, text: str, colour: str | None = None, **more: Any) -> str:
        """Return the text with a colour, where stdout takes colours."""
        return click.style(text, fg=colour, **more) if self.colour else text

    def status(self, status: str) -> str:
        """Return a status as glyph and word, coloured; the word alone where glyphs fail.

        >>> Output().status("completed")
        '✓ completed'
        """
        return status_text(status, glyphs=self.glyphs, colour=self.colour)

    def _json(self, data: Any) -> None:
        self._answered = True
        self._write(to_json(data))

    def _write(self, text: str) -> None:
        try:
            click.echo(printable(text, sys.stdout), color=self.colour)
        except OSError as error:
            _stdout_failed(error)
        except ValueError:  # closed
            pass


def status_text(status: str, *, glyphs: bool = True, colour: bool = False) -> str:
    """Return a status as glyph and word.

    >>> status_text("cached"), status_text("cached", glyphs=False)
    ('≡ cached', 'cached')
    """
    glyph, tint = STATUSES.get(str(status), ("?", "white"))
    text = f"{glyph} {status}" if glyphs else str(status)
    return click.style(text, fg=tint) if colour else text


def _stdout_failed(error: OSError) -> None:
    """Go on in silence when nobody reads any more (`| head`); complain when the disk is full."""
    closed = isinstance(error, BrokenPipeError) or (os.name == "nt" and error.errno == errno.EINVAL)
    silence(sys.stdout)
    if not closed:
        raise Unavailable(f"cannot write to standard output: {error.strerror}") from error


def silence(stream: IO[str]) -> None:
    """Send what is still written to a broken stream nowhere, so that the exit is quiet."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def flush() -> None:
    """Write out what stdout still holds.

    Raises:
        Unavailable: it cannot be written (a full disk).
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        _stdout_failed(error)
    except ValueError:  # closed
        pass


def plain(data: Any) -> dict[str, Any]:
    """Return a record (pydantic model, named tuple, mapping) as a mapping of its fields."""
    if hasattr(data, "model_dump"):
        found: dict[str, Any] = data.model_dump(mode="json")
        return found
    if hasattr(data, "_asdict"):
        return dict(data._asdict())
    return dict(data)


def to_json(data: Any) -> str:
    """Return JSON that every parser reads: ASCII, and null where a number is not finite.

    >>> to_json({"loss": float("nan"), "name": "é"})
    '{"loss": null, "name": "\\\\u00e9"}'
    """
    try:
        return json.dumps(data, default=_jsonable, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(json.loads(json.dumps(data, default=_jsonable))))


def _jsonable(value: Any) -> Any:
    if hasattr(value, "model_dump") or hasattr(value, "_asdict"):
        return plain(value)
    return str(value)


def _finite(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_finite(value) for value in data]
    if isinstance(data, float) and data - data != 0:
        return None
    return data


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    return (
        value
        if isinstance(value, str)
        else to_json(value)
        if isinstance(value, dict | list)
        else str(value)
    )

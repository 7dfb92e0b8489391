"""Lines without a heading: columns that line up, the last one folded where the terminal ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from zenlib.cli.output import Output
from zenlib.cli.tables import safe
from zenlib.diagram.cells import clip, printable, width_of

INDENT = 2
_LEAST = 24
"""Columns that the last cell needs to stand beside the others."""


def say(out: Output, text: str, colour: str | None = None, *, indent: int = 0) -> None:
    """Print one line of data, whatever letters are in it, folded to the terminal's width."""
    room = None if out.width is None else max(1, out.width - indent)
    for row in fold(printable(text, out.glyphs), room):
        out.line(" " * indent + out.style(row, colour))


def columns(out: Output, rows: Sequence[Sequence[str]], colours: Sequence[str | None] = ()) -> None:
    """Print rows of cells.

    Args:
        out: where to.
        rows: all of one length; the last cell is folded, the others are cut.
        colours: for each row, the colour of its cell before the last one.
    """
    shown = [[printable(cell, out.glyphs) for cell in row] for row in rows]
    widths = [max(map(width_of, cells)) for cells in zip(*shown, strict=True)][:-1]
    if out.width is not None:
        widths = [min(width, max(6, out.width // 3)) for width in widths]
    for place, row in enumerate(shown):
        colour = colours[place] if colours else None
        _row(out, row, widths, colour)


def _row(out: Output, row: Sequence[str], widths: Sequence[int], colour: str | None) -> None:
    head = " " * INDENT
    for place, (cell, width) in enumerate(zip(row[:-1], widths, strict=True)):
        text = clip(cell, width, out.glyphs)
        painted = out.style(text, colour) if place == len(widths) - 1 else text
        head += painted + " " * (width - width_of(text)) + " " * INDENT
    at = INDENT + sum(widths) + INDENT * len(widths)
    if out.width is None or not row[-1]:
        out.line((head + row[-1]).rstrip())
        return
    if out.width - at < _LEAST:
        at, shown = 2 * INDENT, [head.rstrip()]
        shown += [" " * at + part for part in fold(row[-1], out.width - at)]
    else:
        first, *rest = fold(row[-1], out.width - at)
        shown = [head + first, *(" " * at + part for part in rest)]
    for line in shown:
        out.line(line.rstrip())


def fold(text: str, room: int | None) -> list[str]:
    """Return a line as several of at most `room` cells, broken at spaces where there are any.

    >>> fold("parameter lr: 0.1", 13)
    ['parameter lr:', '0.1']
    """
    if room is None or width_of(text) <= room:
        return [text]
    return [*_folded(text, room)]


def _folded(text: str, room: int) -> Iterator[str]:
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if width_of(joined) <= room:
            line = joined
            continue
        if line:
            yield line
        line = word
        while width_of(line) > room:
            part = _beginning(line, room)
            yield part
            line = line[len(part) :]
    yield line


def _beginning(text: str, room: int) -> str:
    """Return as many letters as fit, at least one."""
    used = 0
    for place, letter in enumerate(text):
        used += width_of(letter)
        if used > room and place:
            return text[:place]
    return text


def diff(out: Output, text: str) -> None:
    """Print a unified diff."""
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for row in text.splitlines():
        head = row.startswith(("+++", "---"))
        out.line(out.style(safe(row.expandtabs(4)), None if head else colours.get(row[:1])))

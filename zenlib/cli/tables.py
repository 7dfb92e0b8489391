"""Tables that fit the terminal, whatever the texts in them contain."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

_MIN_CELL = 5


class Styler(Protocol):
    """What colours the cells of a table."""

    def style(self, text: str, colour: str | None = None) -> str:
        """Return the text with a colour, or as it is."""
        ...


class Column(NamedTuple):
    """One column of a table.

    Attributes:
        title: its heading.
        value: the field's name, or a function of the row.
        colour: the cell's colour, as a function of the row.
        right: whether its texts are set to the right, as numbers are.
    """

    title: str
    value: str | Callable[[Mapping[str, Any]], object]
    colour: Callable[[Mapping[str, Any]], str | None] | None = None
    right: bool = False


def safe(text: str) -> str:
    """Return the text with what could steer a terminal, or turn its lines round, made visible.

    >>> safe("a" + chr(27) + "[2Jb")
    'a\\\\x1b[2Jb'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_safe_letter(letter) for letter in text)


def _safe_letter(letter: str) -> str:
    kind = unicodedata.category(letter)
    bidi = letter in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
    if kind in ("Cc", "Cs", "Zl", "Zp") or bidi:
        return letter.encode("unicode_escape").decode("ascii")
    return letter


def width_of(text: str) -> int:
    """Return how many columns a text takes: two for wide letters, none for accents that combine.

    >>> width_of("abc"), width_of("日本"), width_of("e" + chr(0x301))
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(_letter_width(letter) for letter in text)


def _letter_width(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def clip(text: str, width: int, *, glyphs: bool = True) -> str:
    """Return the text, cut with an ellipsis when it is wider than `width` columns.

    >>> clip("training", 6)
    'train…'
    """
    if width_of(text) <= width:
        return text
    dots = "…" if glyphs else "..."[: max(width - 1, 0)]
    room = width - len(dots)
    kept = []
    for letter in text:
        room -= _letter_width(letter)
        if room < 0:
            break
        kept.append(letter)
    return "".join(kept) + dots


def fit_table(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[Column],
    *,
    width: int | None,
    glyphs: bool,
    out: Styler,
) -> Iterator[str]:
    """Yield the lines of a table; of one block for each row where the terminal is too narrow."""
    cells = [[_cell(row, column) for column in columns] for row in rows]
    widths = [
        max(width_of(column.title), *(width_of(line[at]) for line in cells))
        for at, column in enumerate(columns)
    ]
    if width is not None and not _shrink(widths, width - 2 * (len(columns) - 1)):
        yield from _blocks(cells, columns, width, glyphs)
        return
    yield _line([c.title for c in columns], columns, widths, glyphs, lambda _, text: text)
    for row, line in zip(rows, cells, strict=True):

        def paint(at: int, text: str, row: Mapping[str, Any] = row) -> str:
            colour = columns[at].colour
            return text if colour is None else out.style(text, colour(row))

        yield _line(line, columns, widths, glyphs, paint)


def _cell(row: Mapping[str, Any], column: Column) -> str:
    value = row.get(column.value) if isinstance(column.value, str) else column.value(row)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else safe(str(value))


def _shrink(widths: list[int], room: int) -> bool:
    """Take columns from the widest cells until all fit; return whether they could be made to."""
    if sum(min(size, _MIN_CELL) for size in widths) > room:
        return False
    widths[:] = [min(size, room) for size in widths]
    while sum(widths) > room:
        widths[widths.index(max(widths))] -= 1
    return True


def _line(
    texts: Sequence[str],
    columns: Sequence[Column],
    widths: Sequence[int],
    glyphs: bool,
    paint: Callable[[int, str], str],
) -> str:
    parts = []
    for at, (text, column, size) in enumerate(zip(texts, columns, widths, strict=True)):
        text = clip(text, size, glyphs=glyphs)
        pad = " " * (size - width_of(text))
        last = at == len(columns) - 1
        painted = paint(at, text)
        parts.append(pad + painted if column.right else painted if last else painted + pad)
    return "  ".join(parts).rstrip()


def _blocks(
    cells: Sequence[Sequence[str]], columns: Sequence[Column], width: int, glyphs: bool
) -> Iterator[str]:
    for number, line in enumerate(cells):
        if number:
            yield ""
        for text, column in zip(line, columns, strict=True):
            if text:
                title = f"{column.title.lower()}: " if column.title else ""
                yield clip(title + text, width, glyphs=glyphs)

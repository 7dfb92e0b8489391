"""Characters and colours: the look of each status, and text measured in terminal cells."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """How a status is shown: never by colour alone.

    Attributes:
        glyph: one cell wide.
        plain: the glyph where only ASCII can be shown.
        sgr: the terminal's own colour, so that its theme keeps the contrast.
        light: colour on light ground, at least 4.5 : 1 for text where it is used as such.
        dark: colour on dark ground.
    """

    glyph: str
    plain: str
    sgr: str
    light: str
    dark: str


STATUSES: dict[str, Look] = {
    "pending": Look("·", ".", "2", "#8a8f98", "#7d8590"),
    "running": Look("◐", "~", "34", "#1f6feb", "#58a6ff"),
    "completed": Look("✓", "*", "32", "#1a7f37", "#3fb950"),
    "cached": Look("≡", "=", "36", "#0f766e", "#2dd4bf"),
    "failed": Look("✗", "x", "31", "#cf222e", "#ff7b72"),
    "skipped": Look("–", "-", "2", "#8a8f98", "#7d8590"),
    "cancelled": Look("◌", "o", "33", "#9a6700", "#d29922"),
    "interrupted": Look("!", "!", "33", "#9a6700", "#d29922"),
}
_UNKNOWN = Look("?", "?", "2", "#8a8f98", "#7d8590")

_ASCII = str.maketrans(
    {"×": "x", "→": "->", "←": "<-", "·": "-", "…": "...", "–": "-", "—": "-", "µ": "u"}
    | dict.fromkeys("‘’", "'")
    | dict.fromkeys("“”", '"')
)


def look_of(status: str) -> Look:
    """Return how a status looks; one that this version does not know gets a question mark."""
    return STATUSES.get(status, _UNKNOWN)


def glyph_of(status: str, unicode: bool = True) -> str:
    """Return the one-cell sign of a status."""
    look = look_of(status)
    return look.glyph if unicode else look.plain


def paint(text: str, sgr: str, color: bool) -> str:
    """Return the text in a terminal colour, or as it is."""
    return f"\x1b[{sgr}m{text}\x1b[0m" if color and sgr and text else text


def _safe(char: str) -> str:
    kind = unicodedata.category(char)
    if kind[0] == "Z" or char in "\t\n\r\v\f\x85":
        return " "
    if kind in ("Cc", "Cs", "Co", "Cn"):
        return "\ufffd"
    return "" if kind == "Cf" else char  # Cf: marks that reorder or hide what follows


def printable(text: str, unicode: bool = True) -> str:
    """Return one line that moves no cursor: no control codes, no reordering marks, no newlines.

    >>> printable("a\\x1b[31m\\nb")
    'a\ufffd[31m b'
    >>> printable("3 × ü", unicode=False)
    '3 x \\\\xfc'
    """
    if not (text.isascii() and text.isprintable()):
        text = "".join(map(_safe, text))
        if not unicode:
            text = text.translate(_ASCII).replace("\ufffd", "?")
            text = text.encode("ascii", "backslashreplace").decode("ascii")
    return text


def _cells(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def width_of(text: str) -> int:
    """Return how many terminal cells a printable line takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def clip(text: str, width: int, unicode: bool = True) -> str:
    """Return the text, or its beginning and an ellipsis, in at most `width` cells.

    >>> clip("evaluate", 5)
    'eval…'
    >>> clip("evaluate", 5, unicode=False)
    'eva..'
    """
    if len(text) <= width and width_of(text) <= width:
        return text
    dots = "…" if unicode else ".."
    if width <= len(dots):
        return dots[: max(width, 0)]
    used, kept = 0, []
    for char in text:
        used += _cells(char)
        if used > width - len(dots):
            break
        kept.append(char)
    return "".join(kept).rstrip() + dots


def pad(text: str, width: int) -> str:
    """Return the text filled with spaces to `width` cells."""
    return text + " " * (width - width_of(text))


def short(text: str, width: int, unicode: bool = True) -> str:
    """Return `text` as one safe line of at most `width` cells, however long it was."""
    return clip(printable(text[: 4 * width + 4], unicode).strip(), width, unicode)


def words_of(status: str, note: str, group: str = "") -> str:
    """Return the line below a step's name: its status in words, what took how long, its group.

    >>> words_of("cached", "cached"), words_of("failed", "0.4 s"), words_of("pending", "")
    ('cached', 'failed · 0.4 s', 'pending')
    """
    parts = [note] if status.lower() in note.lower() else [status, note]
    return " · ".join(part for part in (*parts, group) if part)


def brief_of(status: str, note: str, group: str = "", unicode: bool = True) -> str:
    """Return `words_of` without the words that the sign beside it says well enough.

    >>> brief_of("completed", "1.2 s"), brief_of("pending", ""), brief_of("failed", "1.2 s")
    ('1.2 s', '', 'failed · 1.2 s')
    """
    told = status == "pending" or (unicode and note and status in ("completed", "running"))
    words = note if told else words_of(status, note)
    return " · ".join(part for part in (words, group) if part)

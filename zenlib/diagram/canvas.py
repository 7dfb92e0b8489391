"""A sheet of terminal cells on which lines join, branch and pass over each other."""

from __future__ import annotations

from zenlib.diagram.cells import paint, width_of

NORTH, EAST, SOUTH, WEST = 1, 2, 4, 8
LEVEL, UPRIGHT = EAST | WEST, NORTH | SOUTH

_SIGNS = dict(zip(range(16), " ╵╶╰╷│╭├╴╯─┴╮┤┬┼", strict=True))
_DASHED = {LEVEL: "╌", UPRIGHT: "┊"}
_ARROW = "►"


def sign_of(bits: int, unicode: bool, dashed: bool = False) -> str:
    """Return the character that joins the given sides of a cell."""
    if not unicode:
        plain = {0: " ", NORTH: "|", SOUTH: "|", UPRIGHT: "|", EAST: "-", WEST: "-", LEVEL: "-"}
        return plain.get(bits, "+")
    return _DASHED.get(bits, _SIGNS[bits]) if dashed else _SIGNS[bits]


class Canvas:
    """Cells are written in any order; text lies above lines, upright lines above level ones.

    Attributes:
        clash: two nets shared a cell other than by crossing at a right angle.
    """

    def __init__(self, *, unicode: bool, color: bool) -> None:
        self.unicode = unicode
        self.color = color
        self.clash = False
        self._text: dict[int, dict[int, tuple[str, str]]] = {}
        self._lines: dict[tuple[int, int], dict[int, int]] = {}
        self._look: dict[int, tuple[bool, str]] = {}

    def look(self, net: int, *, dashed: bool, sgr: str) -> None:
        """Say how the lines of a net are drawn."""
        self._look[net] = dashed, sgr

    def put(self, x: int, y: int, text: str, sgr: str = "") -> None:
        """Write printable text from a cell to the right."""
        row = self._text.setdefault(y, {})
        for char in text:
            width = width_of(char)
            if width == 0:
                before = next((x - i for i in (1, 2) if row.get(x - i, ("",))[0]), None)
                if before is not None:
                    row[before] = (row[before][0] + char, row[before][1])
                continue
            row[x] = (char, sgr)
            if width == 2:
                row[x + 1] = ("", sgr)
            x += width

    def level(self, net: int, y: int, x0: int, x1: int) -> None:
        """Draw a line from left to right, both cells included."""
        for x in range(x0, x1 + 1):
            self._join(net, x, y, (EAST if x < x1 else 0) | (WEST if x > x0 else 0))

    def upright(self, net: int, x: int, y0: int, y1: int) -> None:
        """Draw a line from top to bottom, both cells included."""
        for y in range(y0, y1 + 1):
            self._join(net, x, y, (SOUTH if y < y1 else 0) | (NORTH if y > y0 else 0))

    def arrow(self, x: int, y: int) -> None:
        """Write the head of a line that runs to the right."""
        self.put(x, y, _ARROW if self.unicode else ">")

    def _join(self, net: int, x: int, y: int, bits: int) -> None:
        here = self._lines.setdefault((x, y), {})
        here[net] = here.get(net, 0) | bits

    def render(self) -> list[str]:
        """Return the rows, without spaces at their ends."""
        cells = {y: dict(row) for y, row in self._text.items()}
        for (x, y), nets in self._lines.items():
            if len(nets) > 1 and sorted(nets.values()) != sorted((LEVEL, UPRIGHT)):
                self.clash = True
            net, bits = max(nets.items(), key=lambda item: item[1] == UPRIGHT)
            dashed, sgr = self._look.get(net, (False, ""))
            cells.setdefault(y, {}).setdefault(x, (sign_of(bits, self.unicode, dashed), sgr))
        return [self._row(cells.get(y, {})) for y in range(max(cells, default=-1) + 1)]

    def _row(self, row: dict[int, tuple[str, str]]) -> str:
        parts: list[tuple[str, str]] = []
        for x in range(max(row, default=-1) + 1):
            char, sgr = row.get(x, (" ", ""))
            if parts and parts[-1][1] == sgr:
                parts[-1] = (parts[-1][0] + char, sgr)
            else:
                parts.append((char, sgr))
        return "".join(paint(text, sgr, self.color) for text, sgr in parts).rstrip()

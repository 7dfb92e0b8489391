"""A graph in the terminal: boxes from left to right where they fit, else lanes from top to bottom."""

from __future__ import annotations

from zenlib.diagram import Graph
from zenlib.diagram.boxes import boxes
from zenlib.diagram.cells import paint, short
from zenlib.diagram.lanes import lanes


def text(graph: Graph, width: int | None = None, unicode: bool = True, color: bool = False) -> str:
    """Return the drawing of a graph, without a newline at its end.

    Args:
        graph: what to draw.
        width: of the terminal in cells; 80 where nobody knows. No row is wider, from 12 on.
        unicode: False draws with ASCII characters only.
        color: use the terminal's own colours; signs and words say the same without them.

    Raises:
        Invalid: the lines form a cycle.

    >>> from zenlib.diagram import Box, Line
    >>> fit = Graph((Box("a", "load", "cached"), Box("b", "fit")), (Line("a", "b", "data"),))
    >>> print(text(fit))
    ╭──────────╮         ╭───────╮
    │ ≡ load   ├─ data ─►│ · fit │
    │   cached │         │       │
    ╰──────────╯         ╰───────╯
    """
    width = max(12, width or 80)
    rows = boxes(graph, width, unicode=unicode, color=color)
    if rows is None:
        rows = lanes(graph, width, unicode=unicode, color=color)
    if graph.title:
        rows.insert(0, paint(short(graph.title, width, unicode), "1", color))
    return "\n".join(rows)

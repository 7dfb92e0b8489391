"""A pipeline or a run as plain data, ready to be drawn.

The pictures are pure functions over `Graph`: `zenlib.diagram.text.text` for terminals,
`zenlib.diagram.svg.svg` for notebooks and pages, `zenlib.diagram.mermaid.mermaid` for Markdown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from zenlib.errors import Invalid

__all__ = ["Box", "Graph", "Kind", "Line"]

Kind = Literal["data", "order", "condition"]


@dataclass(frozen=True)
class Box:
    """One step.

    Attributes:
        id: what lines refer to; unique in its graph, never shown.
        title: the step's name.
        status: one of the words of `zenlib.diagram.cells.STATUSES`.
        note: a few words below the name, such as `1.2 s`.
        count: for a mapped step, how many items were folded into this box.
        group: the pipeline or section that the step belongs to; empty for none.
    """

    id: str
    title: str
    status: str = "pending"
    note: str = ""
    count: int | None = None
    group: str = ""


@dataclass(frozen=True)
class Line:
    """One dependency: `target` needs `source`.

    Attributes:
        source: id of a box.
        target: id of another box.
        label: the output that is handed on; lines with equal source, label and kind are drawn
            as one line that branches.
        kind: `data` is drawn solid, `order` and `condition` dashed.
    """

    source: str
    target: str
    label: str = ""
    kind: Kind = "data"


@dataclass(frozen=True)
class Graph:
    """Steps and what they need of each other; must have no cycle to be drawn in layers.

    Raises:
        Invalid: two boxes share an id, or a line ends at no box.

    >>> Graph((Box("a", "load"), Box("b", "fit")), (Line("a", "b", "data"),)).boxes[0].title
    'load'
    """

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...] = ()
    title: str = ""

    def __post_init__(self) -> None:
        known = {box.id for box in self.boxes}
        if len(known) < len(self.boxes):
            ids = [box.id for box in self.boxes]
            twice = next(id for id in ids if ids.count(id) > 1)
            raise Invalid(f"two boxes have the id {twice[:80]!r}; give each its own")
        for line in self.lines:
            for end in (line.source, line.target):
                if end not in known:
                    raise Invalid(f"a line ends at {end[:80]!r}, which is no box of the graph")

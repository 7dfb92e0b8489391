"""A graph as Mermaid text, for Markdown files and code hosts that draw it."""

from __future__ import annotations

import json

from zenlib.diagram import Box, Graph, Line
from zenlib.diagram.cells import STATUSES, glyph_of, look_of, short, words_of

TITLE_CELLS, NOTE_CELLS, LABEL_CELLS = 60, 60, 40
_HARMLESS = frozenset(" _-.,/+=*%@!?~·×")


def mermaid(graph: Graph) -> str:
    """Return a `flowchart LR`; any text is safe, because all but letters and digits is encoded.

    >>> from zenlib.diagram import Box, Line
    >>> print(mermaid(Graph((Box("a", "load"), Box("b", "end")), (Line("a", "b", "x[0]"),))))
    flowchart LR
        n0["· load<br/>pending"]
        n1["· end<br/>pending"]
        n0 -->|"x#91;0#93;"| n1
        classDef pending stroke:#8a8f98
        class n0,n1 pending
    <BLANKLINE>
    """
    rows = ["flowchart LR"]
    if graph.title:
        title = short(graph.title, TITLE_CELLS)
        rows[:0] = ["---", f"title: {json.dumps(title, ensure_ascii=False)}", "---"]
    names = {box.id: f"n{i}" for i, box in enumerate(graph.boxes)}
    groups = dict.fromkeys(box.group for box in graph.boxes)
    for number, group in enumerate(groups):
        inside = [_box(names[box.id], box) for box in graph.boxes if box.group == group]
        if group:
            rows.append(f'    subgraph g{number}["{_escape(group, TITLE_CELLS)}"]')
            rows += [f"    {row}" for row in inside]
            rows.append("    end")
        else:
            rows += inside
    rows += [_line(names, line) for line in graph.lines]
    return "\n".join(rows + _classes(graph, names)) + "\n"


def _escape(text: str, cells: int) -> str:
    return "".join(
        char if char.isalnum() or char in _HARMLESS or ord(char) > 0x2FF else f"#{ord(char)};"
        for char in short(text, cells)
    )


def _box(name: str, box: Box) -> str:
    title = _escape(box.title, TITLE_CELLS) or "?"
    times = "" if box.count is None else f" ×{box.count}"
    note = _escape(words_of(box.status, box.note), NOTE_CELLS)
    opening, closing = ("[", "]") if box.count is None else ("[[", "]]")
    sign = _escape(glyph_of(box.status), 1)
    return f'    {name}{opening}"{sign} {title}{times}<br/>{note}"{closing}'


def _line(names: dict[str, str], line: Line) -> str:
    label = _escape(line.label, LABEL_CELLS)
    arrow = "-->" if line.kind == "data" else "-.->"
    middle = f'{arrow}|"{label}"|' if label else arrow
    return f"    {names[line.source]} {middle} {names[line.target]}"


def _classes(graph: Graph, names: dict[str, str]) -> list[str]:
    rows = []
    for status in STATUSES:
        found = [names[box.id] for box in graph.boxes if box.status == status]
        if found:
            width = ",stroke-width:3px" if status == "failed" else ""
            rows.append(f"    classDef {status} stroke:{look_of(status).light}{width}")
            rows.append(f"    class {','.join(found)} {status}")
    return rows

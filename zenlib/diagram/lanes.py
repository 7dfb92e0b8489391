"""The drawing in lanes: one row per step, as version control draws its history.

Every lane belongs to one step and runs until the last step that needs it; a branch leaves a gap
where it passes under another step's lane. Where the lanes would take half the width, the steps
are listed without them.
"""

from __future__ import annotations

from zenlib.diagram import Graph
from zenlib.diagram.canvas import EAST, NORTH, SOUTH, UPRIGHT, WEST, Canvas, sign_of
from zenlib.diagram.cells import brief_of, clip, glyph_of, look_of, short, width_of
from zenlib.diagram.order import neighbours, topological

NAME_CELLS, NOTE_CELLS = 32, 28


def lanes(graph: Graph, width: int, *, unicode: bool, color: bool) -> list[str]:
    """Return the rows of the drawing, at most `width` cells each.

    Raises:
        Invalid: the lines form a cycle.
    """
    order = _sequence(graph)
    canvas = Canvas(unicode=unicode, color=color)
    tracks = _Tracks(graph, canvas)
    places, indent = tracks.places, 2
    most = min(max(8, width // 2), width - 8)
    for box in order:
        tracks.add(box)
        indent = 2 * len(tracks.lanes)
        if indent > most:
            break
    if indent > most:
        canvas, indent = Canvas(unicode=unicode, color=color), 2
        places = {box: (0, y) for y, box in enumerate(order)}
    for box, (x, y) in places.items():
        status = graph.boxes[box].status
        canvas.put(x, y, glyph_of(status, unicode), look_of(status).sgr)
    _write(graph, canvas, places, indent, width)
    return canvas.render()


def _sequence(graph: Graph) -> list[int]:
    """Return the steps in an order that closes lanes early and goes on with the latest step."""
    after, before = neighbours(graph)
    waiting, missing = [len(found) for found in after], [len(found) for found in before]
    at = [-1] * len(after)
    ready = [box for box in topological(graph) if not missing[box]]

    def cost(box: int) -> tuple[int, int, int]:
        closed = sum(waiting[i] == 1 for i in before[box])
        latest = max((at[i] for i in before[box]), default=-1)
        return bool(after[box]) - closed, -latest, box

    found: list[int] = []
    while ready:
        box = min(ready, key=cost)
        ready.remove(box)
        at[box] = len(found)
        found.append(box)
        for i in before[box]:
            waiting[i] -= 1
        for i in after[box]:
            missing[i] -= 1
            if not missing[i]:
                ready.append(i)
    return found


class _Tracks:
    """Draws the lanes step by step; every second column is a lane."""

    def __init__(self, graph: Graph, canvas: Canvas) -> None:
        self.graph = graph
        self.canvas = canvas
        self.after, self.before = neighbours(graph)
        self.waiting = [len(found) for found in self.after]
        self.lanes: list[int | None] = []
        self.places: dict[int, tuple[int, int]] = {}
        self.y = 0
        ids = {box.id: i for i, box in enumerate(graph.boxes)}
        self.solid = {ids[line.source] for line in graph.lines if line.kind == "data"}
        self.under = -1  # the lane in which a step without followers stands just above

    def add(self, box: int) -> None:
        """Draw a step: first the branches that lead to it, then its own row."""
        sources = set(self.before[box])
        for i in sources:
            self.waiting[i] -= 1
        joined = {lane for lane, i in enumerate(self.lanes) if i in sources}
        ending = {lane for lane in joined if not self.waiting[self.lanes[lane] or 0]}
        column = min(ending) if ending else self._free(min(joined, default=-1))
        if joined - {column} or (not joined and column == self.under):
            self._branch(column, joined, ending)
        for lane in ending:
            self.lanes[lane] = None
        for lane, owner in enumerate(self.lanes):
            if owner is not None:
                self._sign(2 * lane, UPRIGHT, owner)
        self.places[box] = 2 * column, self.y
        self.lanes[column] = box if self.after[box] else None
        self.under = -1 if self.after[box] else column
        self.y += 1

    def _free(self, right_of: int) -> int:
        free = [lane for lane, i in enumerate(self.lanes) if i is None]
        beyond = [lane for lane in free if lane > right_of]
        if not beyond:
            self.lanes.append(None)
            beyond = [len(self.lanes) - 1]
        return beyond[0]

    def _branch(self, column: int, joined: set[int], ending: set[int]) -> None:
        """Draw one row in which the lanes of a step's inputs come together above it."""
        low, high = min(joined | {column}), max(joined | {column})
        for x in range(2 * len(self.lanes)):
            lane, odd = divmod(x, 2)
            owner = None if odd else self.lanes[lane]
            bits = 0 if owner is None else NORTH if lane in ending else UPRIGHT
            if joined and not odd and lane == column:
                bits |= SOUTH
            if odd or owner is None or lane in joined or lane == column:
                bits |= EAST if 2 * low <= x < 2 * high else 0
                bits |= WEST if 2 * low < x <= 2 * high else 0
            if bits:
                self._sign(x, bits, owner)
        self.y += 1

    def _sign(self, x: int, bits: int, owner: int | None) -> None:
        dashed = owner is not None and owner not in self.solid
        failed = owner is not None and self.graph.boxes[owner].status == "failed"
        sign = sign_of(bits, self.canvas.unicode, dashed)
        self.canvas.put(x, self.y, sign, look_of("failed").sgr if failed else "2")


def _write(
    graph: Graph, canvas: Canvas, places: dict[int, tuple[int, int]], left: int, width: int
) -> None:
    """Write name, note and, where there is room, the labels of the inputs beside each step."""
    unicode = canvas.unicode
    names, notes = [], []
    for box in graph.boxes:
        times = "" if box.count is None else f" {'×' if unicode else 'x'}{box.count}"
        name = short(box.title, NAME_CELLS, unicode) or "?"
        names.append(clip(name, max(1, width - left - len(times)), unicode) + times)
        note = brief_of(box.status, box.note, box.group, unicode)
        notes.append(short(note, NOTE_CELLS, unicode))
    second = left + max(map(width_of, names), default=0) + 2
    third = second + max(map(width_of, notes), default=0) + 2
    inputs = _inputs(graph)
    for i, (_, y) in places.items():
        status = graph.boxes[i].status
        canvas.put(left, y, names[i], "1")
        sgr = look_of(status).sgr if status == "failed" else "2"
        canvas.put(second, y, clip(notes[i], width - second, unicode), sgr)
        if width - third >= 6 and inputs[i]:
            arrow = "←" if unicode else "<-"
            text = short(f"{arrow} {', '.join(inputs[i])}", width - third, unicode)
            canvas.put(third, y, text, "2")


def _inputs(graph: Graph) -> list[list[str]]:
    ids = {box.id: i for i, box in enumerate(graph.boxes)}
    found: list[dict[str, None]] = [{} for _ in graph.boxes]
    for line in graph.lines:
        if line.label:
            found[ids[line.target]][line.label] = None
    return [list(labels) for labels in found]

"""The drawing in boxes: steps from left to right, joined by lines on a grid of characters.

Between two layers lines are routed as in a printed circuit's channel: each net has one upright
track, tracks are ordered so that no two nets share a stretch (Hashimoto and Stevens 1971), and
nets never join: whoever follows a line arrives where it goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from zenlib.diagram import Box, Graph
from zenlib.diagram.canvas import Canvas
from zenlib.diagram.cells import brief_of, glyph_of, look_of, short, width_of
from zenlib.diagram.order import Order, arrange, inlets_of, outlets_of
from zenlib.diagram.place import Shape, place

TITLE_CELLS, NOTE_CELLS, LABEL_CELLS = 22, 22, 14
TALLEST = 44
"""Drawings with more rows are better read as lanes."""

_FRAMES = {True: "╭─╮│╰╯", False: "+-+|++"}
_HEAVY = {True: "┏━┓┃┗┛", False: "#=####"}


def boxes(graph: Graph, width: int, *, unicode: bool, color: bool) -> list[str] | None:
    """Return the rows of the drawing, or None where it does not fit or lines would be unclear."""
    if not graph.boxes or len(graph.boxes) > 60:
        return None
    order = arrange(graph)
    if order.far:
        return None
    sheet = _Sheet(graph, order, unicode)
    if sheet.tracks is None or sheet.width > width or sheet.height > TALLEST:
        return None
    return sheet.draw(color)


@dataclass(frozen=True)
class _Channel:
    """The nets between two layers: `net -> (first row, rows where it arrives)`."""

    nets: dict[int, tuple[int, list[int]]]

    def tracks(self) -> dict[int, int] | None:
        """Return the track of each net that bends, or None if two nets block each other."""
        bent = {n: (row, ends) for n, (row, ends) in self.nets.items() if ends != [row]}
        starts = {row: net for net, (row, _) in self.nets.items()}
        first: dict[int, set[int]] = {net: set() for net in bent}
        for net, (_, ends) in bent.items():
            first[net] |= {starts[end] for end in ends if end in starts} - {net}
        found: dict[int, int] = {}
        spans: list[list[tuple[int, int]]] = []
        while len(found) < len(bent):
            ready = [n for n in bent if n not in found and first[n] <= found.keys()]
            if not ready:
                return None
            net = min(ready, key=lambda n: _turn(*bent[n]))
            row, ends = bent[net]
            low, high = min(row, *ends), max(row, *ends)
            track = max((found[n] + 1 for n in first[net]), default=0)
            while track < len(spans) and any(low <= b and a <= high for a, b in spans[track]):
                track += 1
            while track >= len(spans):
                spans.append([])
            spans[track].append((low, high))
            found[net] = track
        return found


def _turn(row: int, ends: Iterable[int]) -> tuple[int, int]:
    """Lines that go down turn off from the lowest, lines that go up from the highest."""
    down = max(ends) > row
    return int(down), -row if down else row


class _Sheet:
    """Sizes and places of one drawing, all in cells."""

    def __init__(self, graph: Graph, order: Order, unicode: bool) -> None:
        self.graph, self.order, self.unicode = graph, order, unicode
        self.texts = [self._texts(box) for box in graph.boxes]
        self.inlets, self.outlets = inlets_of(order), outlets_of(order)
        self.inner = [
            max(
                2 if any(note for _, note in self.texts) else 1,
                len(self.inlets.get(i, ())),
                len(self.outlets.get(i, ())),
            )
            for i in range(order.boxes)
        ]
        bends = sum(map(len, order.layers)) - order.boxes
        self.heights = [rows + 2 for rows in self.inner] + [1] * bends
        shape = Shape(
            self.heights,
            [self._port(self.outlets, u, net) for net, u, _ in order.hops],
            [self._port(self.inlets, v, net) for net, _, v in order.hops],
            lambda _u, _v: 0,
        )
        self.tops = place(order, shape, straight=True)
        self.height = max(top + rows for top, rows in zip(self.tops, self.heights, strict=True))

    def _texts(self, box: Box) -> tuple[str, str]:
        name = short(box.title, TITLE_CELLS, self.unicode) or "?"
        times = "" if box.count is None else f" {'×' if self.unicode else 'x'}{box.count}"
        note = brief_of(box.status, box.note, box.group, self.unicode)
        return (
            f"{glyph_of(box.status, self.unicode)} {name}{times}",
            short(note, NOTE_CELLS, self.unicode),
        )

    def _port(self, ports: dict[int, list[int]], vertex: int, net: int) -> int:
        return 0 if vertex >= self.order.boxes else 1 + ports[vertex].index(net)

    @cached_property
    def channels(self) -> list[_Channel]:
        """The lines between each layer and the next."""
        layer_of = {v: i for i, layer in enumerate(self.order.layers) for v in layer}
        found: list[dict[int, tuple[int, list[int]]]] = [{} for _ in self.order.layers]
        for net, u, v in self.order.hops:
            start = self.tops[u] + self._port(self.outlets, u, net)
            ends = found[layer_of[u]].setdefault(net, (start, []))[1]
            ends.append(self.tops[v] + self._port(self.inlets, v, net))
        return [_Channel(nets) for nets in found]

    @cached_property
    def tracks(self) -> list[dict[int, int]] | None:
        """The track of each bent net in each channel; None where no drawing is clear."""
        found = []
        for channel in self.channels:
            tracks = channel.tracks()
            if tracks is None:
                return None
            found.append(tracks)
        return found

    def label(self, net: int) -> str:
        return short(self.order.nets[net].label, LABEL_CELLS, self.unicode)

    @cached_property
    def columns(self) -> list[tuple[int, int, int]]:
        """For each layer its first and last column and how many columns its labels take."""
        found, x = [], 0
        for layer, tracks in zip(self.order.layers, self.tracks or (), strict=True):
            here = [i for i in layer if i < self.order.boxes]
            wide = max(max(width_of(a), width_of(b) + 2) for a, b in (self.texts[i] for i in here))
            labels = [width_of(self.label(n)) for i in here for n in self.outlets.get(i, ())]
            lead = 1 + (max(labels) + 2 + bool(tracks) if any(labels) else 0)
            found.append((x, x + wide + 3, lead))
            x += wide + 4 + lead + 2 * len(set(tracks.values())) + 2
        return found

    @property
    def width(self) -> int:
        return self.columns[-1][1] + 1

    def draw(self, color: bool) -> list[str] | None:
        canvas = Canvas(unicode=self.unicode, color=color)
        for number, net in enumerate(self.order.nets):
            failed = self.graph.boxes[net.source].status == "failed"
            sgr = look_of("failed").sgr if failed else "2"
            canvas.look(number, dashed=net.kind != "data", sgr=sgr)
        for layer, _ in enumerate(self.order.layers):
            self._lines(canvas, layer)
        for i, box in enumerate(self.graph.boxes):
            self._box(canvas, i, box)
        rows = canvas.render()
        return None if canvas.clash else rows

    def _lines(self, canvas: Canvas, layer: int) -> None:
        begin, side, lead = self.columns[layer]
        assert self.tracks is not None
        through = {v for v in self.order.layers[layer] if v >= self.order.boxes}
        for net, (row, ends) in self.channels[layer].nets.items():
            passing = any(self.tops[v] == row for v in through)
            right = self.columns[layer + 1][0] - 1
            if net in self.tracks[layer]:
                x = side + lead + 1 + 2 * self.tracks[layer][net]
                canvas.upright(net, x, min(row, *ends), max(row, *ends))
            else:
                x = right
            canvas.level(net, row, begin if passing else side, x)
            for end in ends:
                canvas.level(net, end, x, right + 1)

    def _box(self, canvas: Canvas, i: int, box: Box) -> None:
        layer = next(n for n, found in enumerate(self.order.layers) if i in found)
        x, side, _ = self.columns[layer]
        y, rows = self.tops[i], self.inner[i]
        failed = box.status == "failed"
        frame = (_HEAVY if failed else _FRAMES)[self.unicode]
        sgr = look_of(box.status).sgr
        bar = frame[1] * (side - x - 1)
        canvas.put(x, y, frame[0] + bar + frame[2], sgr)
        for row in range(y + 1, y + rows + 1):
            canvas.put(x, row, frame[3] + " " * (side - x - 1) + frame[3], sgr)
        canvas.put(x, y + rows + 1, frame[4] + bar + frame[5], sgr)
        title, note = self.texts[i]
        canvas.put(x + 2, y + 1, title[0], sgr)
        canvas.put(x + 4, y + 1, title[2:], "1")
        if note:
            canvas.put(x + 4, y + 2, note, sgr if failed else "2")
        knot = "+" if not self.unicode else "┠" if failed else "├"
        for port, _ in enumerate(self.inlets.get(i, ())):
            canvas.arrow(x - 1, y + 1 + port)
        for port, net in enumerate(self.outlets.get(i, ())):
            canvas.put(side, y + 1 + port, knot, sgr)
            if label := self.label(net):
                canvas.put(side + 2, y + 1 + port, f" {label} ", "2")

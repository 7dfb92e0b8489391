"""Where everything stands in a picture measured in pixels: layers from left to right.

`order` chooses layers and order, `place` the heights; this module knows the sizes of boxes and
labels, and threads each line through its bends.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from zenlib.diagram import Box, Graph, Line
from zenlib.diagram.cells import short, width_of, words_of
from zenlib.diagram.order import Order, arrange, outlets_of
from zenlib.diagram.place import Shape, place

TITLE_CELLS, NOTE_CELLS, LABEL_CELLS = 30, 34, 22
"""Longer texts are shortened; the whole text stays in the box's tooltip."""

CELL, SMALL_CELL = 8.2, 6.6
"""Generous widths in pixels of one character at 13 and 11 px in any sans-serif face."""

BOX_HEIGHT, PORT = 48, 18
GAP, BEND_GAP = 20, 14
CHANNEL = 44
MARGIN = 8


@dataclass(frozen=True)
class Placed:
    """A box and the rectangle it stands in; `title` and `note` are shortened to fit."""

    box: Box
    title: str
    note: str
    layer: int
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Path:
    """A line: pairs of points, each pair the ends of a straight level stretch.

    Attributes:
        line: what is drawn.
        points: `(x, y)` from the source's right side to the target's left side.
        label: the label, shortened; empty where another line with the same trunk shows it.
    """

    line: Line
    points: tuple[tuple[int, int], ...]
    label: str


@dataclass(frozen=True)
class Layout:
    """The whole picture: boxes in the order of the graph, lines likewise."""

    boxes: tuple[Placed, ...]
    paths: tuple[Path, ...]
    width: int
    height: int
    sweeps: int


def layout(graph: Graph) -> Layout:
    """Return where each box and line of a graph stands; equal graphs give equal pictures.

    Raises:
        Invalid: the lines form a cycle.

    >>> two = Graph((Box("a", "load"), Box("b", "fit")), (Line("a", "b"),))
    >>> [(placed.title, placed.layer) for placed in layout(two).boxes]
    [('load', 0), ('fit', 1)]
    """
    order = arrange(graph)
    outlets = outlets_of(order)
    heights = _heights(order, outlets)
    shape = Shape(
        heights,
        [_port(outlets, heights, net, u) for net, u, _ in order.hops],
        [heights[v] // 2 for _, _, v in order.hops],
        lambda u, v: GAP if max(u, v) < order.boxes else BEND_GAP,
    )
    tops = [top + MARGIN for top in place(order, shape, straight=False)]
    starts, widths, stubs, width = _columns(graph, order)
    layer_of = {v: i for i, layer in enumerate(order.layers) for v in layer}
    bottom = max((tops[v] + heights[v] for v in layer_of), default=0) + (GAP if order.far else 0)
    placed = []
    for i, box in enumerate(graph.boxes):
        at = layer_of[i]
        title, note = texts(box)
        placed.append(Placed(box, title, note, at, starts[at], tops[i], widths[at], heights[i]))
    threads = _Threads(order, shape, tops, layer_of, starts, widths, stubs)
    points = threads.points()
    for net, target in order.far:
        leave = _port(outlets, heights, net, order.nets[net].source)
        points[net, target] = threads.outside(net, target, leave, bottom)
    return Layout(
        tuple(placed), tuple(_paths(graph, order, points)), width, bottom + MARGIN, order.sweeps
    )


def texts(box: Box) -> tuple[str, str]:
    """Return the two lines of a box, shortened."""
    title = short(box.title, TITLE_CELLS) or "?"
    return title, short(words_of(box.status, box.note, box.group), NOTE_CELLS)


def _heights(order: Order, outlets: dict[int, list[int]]) -> list[int]:
    heights = [0] * sum(map(len, order.layers))
    for i in range(order.boxes):
        heights[i] = max(BOX_HEIGHT, PORT * len(outlets.get(i, ())))
    return heights


def _port(outlets: dict[int, list[int]], heights: list[int], net: int, u: int) -> int:
    """Return how far down a line leaves: several outputs share the right side evenly."""
    nets = outlets.get(u)
    if nets is None:
        return 0
    return heights[u] // 2 + PORT * (2 * nets.index(net) + 1 - len(nets)) // 2


def _columns(graph: Graph, order: Order) -> tuple[list[int], list[int], list[int], int]:
    """Return each layer's left side and width, and how long its lines run level for labels."""
    starts, widths, stubs, x = [], [], [], MARGIN
    labels = [width_of(short(net.label, LABEL_CELLS)) for net in order.nets]
    longest = Counter[int]()
    for number, net in enumerate(order.nets):
        longest[net.source] = max(longest[net.source], labels[number])
    for layer in order.layers:
        boxes = [i for i in layer if i < order.boxes]
        width = 0.0
        for i in boxes:
            title, note = texts(graph.boxes[i])
            count = graph.boxes[i].count
            cells = width_of(title) + (0 if count is None else width_of(f"  ×{count}"))
            width = max(width, cells * CELL + 48, width_of(note) * SMALL_CELL + 48)
        label = max((longest[i] for i in boxes), default=0)
        starts.append(x)
        widths.append(max(96, int(width)))
        stubs.append(int(label * SMALL_CELL) + 14 if label else 0)
        x += widths[-1] + stubs[-1] + CHANNEL
    end = starts[-1] + widths[-1] if starts else 0
    return starts, widths, stubs, end + MARGIN


@dataclass(frozen=True)
class _Threads:
    """Follows each net from its box through its bends to each target."""

    order: Order
    shape: Shape
    tops: list[int]
    layer_of: dict[int, int]
    starts: list[int]
    widths: list[int]
    stubs: list[int]

    def points(self) -> dict[tuple[int, int], tuple[tuple[int, int], ...]]:
        """Return the points of each `(net, target)`."""
        trail: dict[int, tuple[tuple[int, int], ...]] = {}  # how a net came to its latest bend
        found = {}
        for i, (net, u, v) in enumerate(self.order.hops):
            layer = self.layer_of[u]
            side = self.starts[layer] + self.widths[layer]
            height = self.tops[u] + self.shape.leave[i]
            path = trail.get(u, ((side, height),))
            path = (*path, (side + self.stubs[layer], height))
            path = (*path, (self.starts[layer + 1], self.tops[v] + self.shape.enter[i]))
            if v < self.order.boxes:
                found[net, v] = path
            else:
                trail[v] = path
        return found

    def outside(
        self, net: int, target: int, leave: int, bottom: int
    ) -> tuple[tuple[int, int], ...]:
        """Return the points of a line that runs below everything."""
        source = self.order.nets[net].source
        first, last = self.layer_of[source], self.layer_of[target]
        side = self.starts[first] + self.widths[first]
        height = self.tops[source] + leave
        before = self.starts[last - 1] + self.widths[last - 1] + self.stubs[last - 1]
        return (
            (side, height),
            (side + self.stubs[first], height),
            (self.starts[first + 1], bottom),
            (before, bottom),
            (self.starts[last], self.tops[target] + self.shape.heights[target] // 2),
        )


def _paths(
    graph: Graph, order: Order, points: dict[tuple[int, int], tuple[tuple[int, int], ...]]
) -> list[Path]:
    number = {box.id: i for i, box in enumerate(graph.boxes)}
    nets = {(net.source, net.label, net.kind): i for i, net in enumerate(order.nets)}
    shown: set[int] = set()
    found = []
    for line in graph.lines:
        net = nets[number[line.source], line.label, line.kind]
        label = "" if net in shown else short(line.label, LABEL_CELLS)
        shown.add(net)
        found.append(Path(line, points[net, number[line.target]], label))
    return found

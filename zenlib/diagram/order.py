"""Which layer a step stands in and in which order: the first two phases of Sugiyama's method.

Layers: longest path, then tightened. Order: barycentre sweeps that keep the best order seen
(Sugiyama, Tagawa, Toda 1981; crossings counted as in Barth, Jünger, Mutzel 2002, with a sorted
list in place of the tree). Everything is deterministic, and the number of sweeps is bounded.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from zenlib.diagram import Graph
from zenlib.errors import Invalid

SWEEPS = 12
"""At most so many passes over all layers."""
BENDS = 2_000
"""At most so many bends, or four per box: the longest lines of a larger tangle run outside."""
_WORK = 40_000
"""Large graphs get fewer passes: about so many edge visits in all, but at least two passes."""


@dataclass(frozen=True)
class Net:
    """What leaves one box under one label: a line that may branch to several boxes."""

    source: int
    label: str
    kind: str
    targets: tuple[int, ...]


@dataclass(frozen=True)
class Order:
    """Boxes and bends in layers.

    Attributes:
        layers: vertices from left to right, top to bottom; numbers below `boxes` are boxes, the
            others are bends where a net passes a layer.
        nets: the lines, bundled.
        hops: `(net, from, to)`, always from one layer to the next.
        far: `(net, target)` of the lines that are not threaded through the layers.
        sweeps: how many passes the ordering took.
    """

    boxes: int
    layers: tuple[tuple[int, ...], ...]
    nets: tuple[Net, ...]
    hops: tuple[tuple[int, int, int], ...]
    far: tuple[tuple[int, int], ...]
    sweeps: int

    def positions(self) -> list[int]:
        """Return each vertex's place within its layer."""
        return _positions(self.layers)


def neighbours(graph: Graph) -> tuple[list[list[int]], list[list[int]]]:
    """Return what follows and what precedes each box, by its number, each other box once."""
    number = {box.id: i for i, box in enumerate(graph.boxes)}
    after: list[list[int]] = [[] for _ in graph.boxes]
    before: list[list[int]] = [[] for _ in graph.boxes]
    pairs = dict.fromkeys((number[line.source], number[line.target]) for line in graph.lines)
    for source, target in pairs:
        after[source].append(target)
        before[target].append(source)
    return after, before


def topological(graph: Graph) -> list[int]:
    """Return the numbers of the boxes, each after all that it needs.

    Raises:
        Invalid: the lines form a cycle; the message shows it.
    """
    after, before = neighbours(graph)
    missing = [len(found) for found in before]
    ready = deque(i for i, count in enumerate(missing) if not count)
    done: list[int] = []
    while ready:
        box = ready.popleft()
        done.append(box)
        for target in after[box]:
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    if len(done) < len(missing):
        raise Invalid(_cycle(graph, before, missing))
    return done


def _cycle(graph: Graph, before: list[list[int]], missing: list[int]) -> str:
    box = next(i for i, count in enumerate(missing) if count)
    seen: list[int] = []
    while box not in seen:
        seen.append(box)
        box = next(i for i in before[box] if missing[i])
    loop = [*seen[seen.index(box) :], box][::-1]
    names = [graph.boxes[i].title[:40] for i in loop]
    if len(names) > 6:
        names[3:-2] = ["…"]
    return f"the steps need each other in a circle: {' → '.join(names)}; take one line out"


def ranks(graph: Graph) -> list[int]:
    """Return the layer of each box: as far left as it can be, then moved where lines get shorter."""
    after, before = neighbours(graph)
    order = topological(graph)
    rank = [0] * len(order)
    for box in order:
        rank[box] = max((rank[i] + 1 for i in before[box]), default=0)
    for _ in range(3):
        for box in reversed(order):
            if len(after[box]) > len(before[box]):
                rank[box] = min(rank[i] for i in after[box]) - 1
        for box in order:
            if len(before[box]) > len(after[box]):
                rank[box] = max(rank[i] for i in before[box]) + 1
    least = min(rank, default=0)
    return [value - least for value in rank]


def arrange(graph: Graph) -> Order:
    """Return the boxes in layers, ordered so that few lines cross.

    Raises:
        Invalid: the lines form a cycle.
    """
    rank, nets = ranks(graph), _nets(graph)
    depth = max(rank, default=-1) + 1
    layers: list[list[int]] = [[] for _ in range(depth)]
    for box in _depth_first(graph):
        layers[rank[box]].append(box)
    hops: list[tuple[int, int, int]] = []
    far, bend = _far(rank, nets), len(rank)
    for number, net in enumerate(nets):
        near = [rank[i] for i in net.targets if (number, i) not in far]
        here, last = net.source, max(near, default=0)
        for layer in range(rank[net.source] + 1, last + 1):
            hops += [(number, here, i) for i in net.targets if rank[i] == layer]
            if layer < last:
                layers[layer].append(bend)
                hops.append((number, here, bend))
                here, bend = bend, bend + 1
    best, sweeps = _untangle(layers, hops, bend)
    return Order(len(rank), best, tuple(nets), tuple(hops), tuple(far), sweeps)


def _far(rank: list[int], nets: list[Net]) -> dict[tuple[int, int], None]:
    """Return the lines to leave out so that the number of bends stays small: the longest."""
    spans = [max(rank[i] for i in net.targets) - rank[net.source] - 1 for net in nets]
    excess = sum(spans) - max(BENDS, 4 * len(rank))
    far: dict[tuple[int, int], None] = {}
    for number in sorted(range(len(nets)), key=lambda n: -spans[n]):
        if excess <= 0:
            break
        excess -= spans[number]
        start = rank[nets[number].source] + 1
        far |= {(number, i): None for i in nets[number].targets if rank[i] > start}
    return far


def outlets_of(order: Order) -> dict[int, list[int]]:
    """Return the nets that leave each box, sorted by where they go, so that they do not cross."""
    position = order.positions()
    towards: dict[tuple[int, int], list[int]] = {}
    for net, u, v in order.hops:
        if u < order.boxes:
            towards.setdefault((u, net), []).append(position[v])
    for net, _ in order.far:
        towards.setdefault((order.nets[net].source, net), [len(position)])
    found: dict[int, list[int]] = {}
    mean = {key: sum(places) / len(places) for key, places in towards.items()}
    for u, net in sorted(mean, key=mean.__getitem__):
        found.setdefault(u, []).append(net)
    return found


def inlets_of(order: Order) -> dict[int, list[int]]:
    """Return the nets that reach each box, sorted by where they come from."""
    position, outlets = order.positions(), outlets_of(order)
    found: dict[int, list[int]] = {}

    def source(hop: tuple[int, int, int]) -> tuple[int, int]:
        net, u, _ = hop
        return position[u], outlets.get(u, [net]).index(net)

    for net, _, v in sorted(order.hops, key=source):
        if v < order.boxes:
            found.setdefault(v, []).append(net)
    return found


def _nets(graph: Graph) -> list[Net]:
    number = {box.id: i for i, box in enumerate(graph.boxes)}
    found: dict[tuple[int, str, str], dict[int, None]] = {}
    for line in graph.lines:
        key = (number[line.source], line.label, line.kind)
        found.setdefault(key, {})[number[line.target]] = None
    return [Net(*key, tuple(targets)) for key, targets in found.items()]


def _depth_first(graph: Graph) -> list[int]:
    """Return the boxes in an order that keeps each connected part together."""
    after, before = neighbours(graph)
    seen: dict[int, None] = {}
    for start in range(len(after)):
        stack = [start] if not before[start] else []
        while stack:
            box = stack.pop()
            if box not in seen:
                seen[box] = None
                stack += [i for i in reversed(before[box] + after[box]) if i not in seen]
    return list(seen)


_Layers = tuple[tuple[int, ...], ...]


def _positions(layers: Sequence[Sequence[int]]) -> list[int]:
    place = [0] * sum(map(len, layers))
    for layer in layers:
        for i, vertex in enumerate(layer):
            place[vertex] = i
    return place


def _untangle(
    layers: list[list[int]], hops: list[tuple[int, int, int]], count: int
) -> tuple[_Layers, int]:
    after: list[list[int]] = [[] for _ in range(count)]
    before: list[list[int]] = [[] for _ in range(count)]
    for _, source, target in hops:
        after[source].append(target)
        before[target].append(source)
    limit = max(2, min(SWEEPS, _WORK // (len(hops) + 1)))
    best: _Layers = tuple(map(tuple, layers))
    least, sweeps, stale = _crossings(best, after), 0, 0
    while least and sweeps < limit and stale < 4:
        down = sweeps % 2 == 0
        _sweep(layers, before if down else after, down)
        if count <= 200:
            _swap(layers, after, before)
        sweeps += 1
        now: _Layers = tuple(map(tuple, layers))
        crossings = _crossings(now, after)
        stale = 0 if crossings < least else stale + 1
        if crossings < least:
            least, best = crossings, now
    return best, sweeps


def _sweep(layers: list[list[int]], near: list[list[int]], down: bool) -> None:
    """Sort each layer by the mean place of its neighbours in the layer just left behind."""
    place = _positions(layers)
    for layer in layers if down else reversed(layers):
        keys = {}
        for i, vertex in enumerate(layer):
            found = near[vertex]
            keys[vertex] = sum(place[j] for j in found) / len(found) if found else i
        layer.sort(key=keys.__getitem__)
        for i, vertex in enumerate(layer):
            place[vertex] = i


def _swap(layers: list[list[int]], after: list[list[int]], before: list[list[int]]) -> None:
    """Exchange neighbours within a layer where that saves crossings on both sides."""
    place = _positions(layers)
    for layer in layers:
        for i in range(len(layer) - 1):
            u, v = layer[i], layer[i + 1]
            gain = 0
            for near in (after, before):
                for a in near[u]:
                    for b in near[v]:
                        gain += (place[a] > place[b]) - (place[a] < place[b])
            if gain > 0:
                layer[i], layer[i + 1] = v, u
                place[u], place[v] = i + 1, i


def _crossings(layers: _Layers, after: list[list[int]]) -> int:
    place, total = _positions(layers), 0
    for layer, _ in pairwise(layers):
        seen: list[int] = []
        for vertex in layer:
            ends = sorted(place[i] for i in after[vertex])
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total

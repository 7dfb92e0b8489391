"""How far down each step stands within its layer, so that lines run straight.

Brandes and Köpf, "Fast and Simple Horizontal Coordinate Assignment" (2001), turned by a quarter
because our layers run from left to right. Blocks are compacted by longest paths over the graph of
blocks, which avoids the known fault of the paper's own compaction; ports follow Rüegg and others,
"Size- and Port-Aware Horizontal Node Coordinate Assignment" (2015).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor

from zenlib.diagram.order import Order

Near = list[list[tuple[int, int]]]
"""For each vertex its neighbours in one direction, and how far below each its own origin must be
for the line between them to be straight."""


@dataclass(frozen=True)
class Shape:
    """Sizes, in any unit: integers give integer places.

    Attributes:
        heights: of each vertex, from its origin down.
        leave: for each hop, where on its first vertex the line leaves.
        enter: for each hop, where on its second vertex the line arrives.
        gap: the least space between two neighbours of one layer.
    """

    heights: Sequence[int]
    leave: Sequence[int]
    enter: Sequence[int]
    gap: Callable[[int, int], int]


ROOMY = 1.7
"""Blocks of straight lines form stairs in large graphs: above so many times the height of the
fullest layer, lines may bend a little instead."""


def place(order: Order, shape: Shape, *, straight: bool) -> list[int]:
    """Return how far down each vertex begins; the topmost begins at 0.

    Args:
        order: the layers.
        shape: the sizes.
        straight: take the alignment with the fewest bends (characters cannot bend a little);
            otherwise the mean of four, which centres a step between its neighbours, or, where
            that gets tall, the least squares of the bends.
    """
    if not order.layers:
        return []
    down: Near = [[] for _ in shape.heights]
    up: Near = [[] for _ in shape.heights]
    for i, (_, u, v) in enumerate(order.hops):
        delta = shape.leave[i] - shape.enter[i]
        up[v].append((u, delta))
        down[u].append((v, -delta))
    blocked = _conflicts(order, up)
    found = [
        _candidate(order.layers, shape, near, blocked, backwards=backwards, mirrored=mirrored)
        for near, backwards in ((up, False), (down, True))
        for mirrored in (False, True)
    ]
    if straight:
        best = min(found, key=lambda at: (_bends(at, up), max(at) - min(at)))
    else:
        best = _balanced(found)
        tallest = max(sum(shape.heights[v] + shape.gap(v, v) for v in x) for x in order.layers)
        if max(best) - min(best) > ROOMY * tallest:
            best = _relaxed(order, shape, up, down)
    top = min(best)
    return [value - top for value in best]


def _bends(at: list[int], up: Near) -> int:
    return sum(at[v] != at[u] + delta for v, near in enumerate(up) for u, delta in near)


def _balanced(found: list[list[int]]) -> list[int]:
    """Return the mean of the two middle candidates; order and least distances survive that."""
    narrow = min(found, key=lambda at: max(at) - min(at))
    low, high = min(narrow), max(narrow)
    for i, at in enumerate(found):
        move = high - max(at) if i % 2 else low - min(at)
        found[i] = [value + move for value in at]
    return [sum(sorted(values)[1:3]) // 2 for values in zip(*found, strict=True)]


def _conflicts(order: Order, up: Near) -> set[tuple[int, int]]:
    """Return the hops that cross a long line between two bends: the long line stays straight."""
    position, blocked = order.positions(), set()
    for upper, lower in pairwise(order.layers):
        left, start = 0, 0
        for i, vertex in enumerate(lower):
            inner = None
            if vertex >= order.boxes and up[vertex][0][0] >= order.boxes:
                inner = up[vertex][0][0]
            if inner is None and i < len(lower) - 1:
                continue
            right = len(upper) - 1 if inner is None else position[inner]
            for v in lower[start : i + 1]:
                for u, _ in up[v]:
                    if not left <= position[u] <= right:
                        blocked.add((u, v))
            start, left = i + 1, right
    return blocked


def _candidate(
    layers: tuple[tuple[int, ...], ...],
    shape: Shape,
    near: Near,
    blocked: set[tuple[int, int]],
    *,
    backwards: bool,
    mirrored: bool,
) -> list[int]:
    """Return one of the four extreme placements: from either side, pushed up or down."""
    sign = -1 if mirrored else 1
    turned = [layer[::sign] for layer in layers]
    root, shift = _align(turned[:: -1 if backwards else 1], near, blocked, backwards)

    def apart(u: int, v: int) -> int:
        first, second = (v, u) if mirrored else (u, v)
        distance = shape.heights[first] + shape.gap(first, second)
        return distance + sign * (shift[u] - shift[v])

    blocks = _compact(turned, root, apart)
    return [sign * blocks[root[v]] + shift[v] for v in range(len(root))]


def _align(
    layers: Sequence[tuple[int, ...]], near: Near, blocked: set[tuple[int, int]], backwards: bool
) -> tuple[list[int], list[int]]:
    """Chain each vertex to its median neighbour: the root of its block, and how far below it."""
    root = list(range(len(near)))
    shift = [0] * len(near)
    position = [0] * len(near)
    for layer in layers:
        reach = -1
        for i, v in enumerate(layer):
            position[v] = i
            found = near[v]
            if len(found) > 1:
                found = sorted(found, key=lambda pair: position[pair[0]])
            for middle in {(len(found) - 1) // 2: 0, len(found) // 2: 0} if found else ():
                u, delta = found[middle]
                hop = (v, u) if backwards else (u, v)
                if reach < position[u] and hop not in blocked:
                    root[v], shift[v], reach = root[u], shift[u] + delta, position[u]
                    break
    return root, shift


def _compact(
    layers: list[tuple[int, ...]], root: list[int], apart: Callable[[int, int], int]
) -> dict[int, int]:
    """Place the blocks as near to the start as they can be, then pull them to what follows."""
    after: dict[int, dict[int, int]] = {block: {} for block in root}
    missing = dict.fromkeys(root, 0)
    for layer in layers:
        for u, v in pairwise(layer):
            least, into = apart(u, v), after[root[u]]
            if root[v] not in into:
                missing[root[v]] += 1
                into[root[v]] = least
            elif least > into[root[v]]:
                into[root[v]] = least
    ready = [block for block, count in missing.items() if not count]
    at = dict.fromkeys(ready, 0)
    for block in ready:  # grows while it is walked
        for follower, least in after[block].items():
            at[follower] = max(at.get(follower, at[block] + least), at[block] + least)
            missing[follower] -= 1
            if not missing[follower]:
                ready.append(follower)
    for block in reversed(ready):
        if after[block]:
            end = min(at[follower] - least for follower, least in after[block].items())
            at[block] = max(at[block], end)
    return at


def _relaxed(order: Order, shape: Shape, up: Near, down: Near) -> list[int]:
    """Return a low picture: layer by layer, each vertex as near to its neighbours' mean as fits."""
    at = [0.0] * len(up)
    packed = []
    for layer in order.layers:
        below, offsets = 0, []
        for i, v in enumerate(layer):
            offsets.append(below)
            at[v] = below
            below += shape.heights[v] + (shape.gap(v, layer[i + 1]) if v != layer[-1] else 0)
        packed.append((layer, offsets))
    for sweep in range(8):
        for layer, offsets in packed if sweep % 2 == 0 else reversed(packed):
            wanted: list[tuple[float, float]] = []
            for v, offset in zip(layer, offsets, strict=True):
                near = (up if sweep % 2 == 0 else down)[v] or up[v] or down[v]
                if near:
                    mean = sum(at[u] + d for u, d in near) / len(near)
                    wanted.append((mean - offset, 1.0 if v < order.boxes else 4.0))
                else:  # a step on its own stays close to the one above it
                    wanted.append((wanted[-1][0] if wanted else at[v], 0.001))
            for v, offset, start in zip(layer, offsets, _rising(wanted), strict=True):
                at[v] = offset + start
    # floor(x + n) = floor(x) + n: rounding keeps the least distances, which are integers
    return [floor(value) for value in at]


def _rising(wanted: list[tuple[float, float]]) -> list[float]:
    """Return the rising sequence nearest to weighted wishes (pool adjacent violators)."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in wanted:
        size = 1
        while pools and pools[-1][0] >= value:
            before, heavier, count = pools.pop()
            value = (value * weight + before * heavier) / (weight + heavier)
            weight, size = weight + heavier, size + count
        pools.append((value, weight, size))
    return [value for value, _, size in pools for _ in range(size)]

"""Graphs for the tests of the pictures."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from zenlib.diagram import Box, Graph, Line
from zenlib.diagram.cells import STATUSES

TRICKY = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(list("\x1b\x00\n\t\r\"'<>&[](){}|#;`日本é\u0301👩\u200d🚀\u202e")),
    ),
    max_size=40,
)


@st.composite
def dags(draw, *, most=12, titles=None):
    """Draw a graph without cycles, with parts that do not hang together and doubled lines."""
    count = draw(st.integers(0, most))
    boxes = []
    for i in range(count):
        title = f"step{i}" if titles is None else draw(titles)
        status = draw(st.sampled_from([*STATUSES, "unheard-of"]))
        note = draw(st.sampled_from(["", "1.2 s", "from run 01jqwz"]))
        items = draw(st.sampled_from([None, None, 0, 5]))
        boxes.append(Box(f"b{i}", title, status, note, items))
    lines = []
    if count > 1:
        ends = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
        for one, two in draw(st.lists(ends.filter(lambda e: e[0] != e[1]), max_size=2 * count)):
            source, target = sorted((one, two))
            label = draw(st.sampled_from(["", "", "x", "model"]))
            kind = draw(st.sampled_from(["data", "data", "order", "condition"]))
            lines.append(Line(f"b{source}", f"b{target}", label, kind))
    order = draw(st.permutations(boxes))
    return Graph(tuple(order), tuple(lines))


def big(count, width, seed=1):
    """Return a layered graph of `count` steps, `width` to a layer, with some long lines."""
    chance = random.Random(seed)
    lines = []
    for i in range(width, count):
        first = (i // width - 1) * width
        for _ in range(chance.randint(1, 2)):
            low = 0 if chance.random() < 0.05 else first
            lines.append(Line(f"b{chance.randrange(low, first + width)}", f"b{i}"))
    return Graph(tuple(Box(f"b{i}", f"step_{i}") for i in range(count)), tuple(lines))


def chain(*names):
    """Return steps that follow each other."""
    boxes = tuple(Box(name, name) for name in names)
    return Graph(boxes, tuple(map(Line, names, names[1:])))

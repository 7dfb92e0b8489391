import re

import pytest
from dags import TRICKY, big, chain, dags
from hypothesis import given, settings
from hypothesis import strategies as st

from zenlib.diagram import Box, Graph, Line
from zenlib.diagram.boxes import boxes
from zenlib.diagram.cells import STATUSES, glyph_of, width_of
from zenlib.diagram.text import text
from zenlib.errors import Invalid

PIPELINE = Graph(
    (
        Box("load", "load", "completed", "1.2 s"),
        Box("split", "split", "cached"),
        Box("fit", "fit", "failed", "0.4 s", 5),
        Box("evaluate", "evaluate", "skipped"),
    ),
    (
        Line("load", "split", "data"),
        Line("split", "fit", "train"),
        Line("split", "evaluate", "test"),
        Line("fit", "evaluate", "model"),
    ),
    "training",
)

BOXES = """\
training
╭─────────╮         ╭──────────╮             ┏━━━━━━━━━━━━━━━━━━┓             ╭────────────╮
│ ✓ load  ├─ data ─►│ ≡ split  ├─ train ────►┃ ✗ fit ×5         ┠─ model ────►│ – evaluate │
│   1.2 s │         │   cached ├─ test ──╮   ┃   failed · 0.4 s ┃         ╭──►│   skipped  │
╰─────────╯         ╰──────────╯         │   ┗━━━━━━━━━━━━━━━━━━┛         │   ╰────────────╯
                                         ╰────────────────────────────────╯"""


def test_a_pipeline_that_fits_is_drawn_in_boxes():
    assert text(PIPELINE, 100) == BOXES


def test_a_narrow_terminal_gets_lanes():
    assert text(PIPELINE, 60).splitlines() == [
        "training",
        "✓   load      1.2 s",
        "≡   split     cached          ← data",
        "├─╮",
        "│ ✗ fit ×5    failed · 0.4 s  ← train",
        "├─╯",
        "–   evaluate  skipped         ← test, model",
    ]


def test_twenty_columns_are_enough():
    assert text(PIPELINE, 20).splitlines() == [
        "training",
        "✓   load      1.2 s",
        "≡   split     cached",
        "├─╮",
        "│ ✗ fit ×5    faile…",
        "├─╯",
        "–   evaluate  skipp…",
    ]


def test_ascii_says_the_same():
    assert text(PIPELINE, 60, unicode=False).splitlines() == [
        "training",
        "*   load      completed - 1.2 s",
        "=   split     cached             <- data",
        "+-+",
        "| x fit x5    failed - 0.4 s     <- train",
        "+-+",
        "-   evaluate  skipped            <- test, model",
    ]


def test_crossing_lines_leave_a_gap_and_never_join():
    graph = Graph(
        tuple(Box(n, n, "completed", "1 s") for n in "abcd"),
        tuple(Line(s, t) for s in "ab" for t in "cd"),
    )
    assert text(graph, 40).splitlines() == [
        "╭───────╮       ╭───────╮",
        "│ ✓ a   ├───┬──►│ ✓ c   │",
        "│   1 s │ ╭─│──►│   1 s │",
        "╰───────╯ │ │   ╰───────╯",
        "          │ │   ╭───────╮",
        "╭───────╮ │ ╰──►│ ✓ d   │",
        "│ ✓ b   ├─┴────►│   1 s │",
        "│   1 s │       ╰───────╯",
        "╰───────╯",
    ]


def test_order_and_conditions_are_dashed():
    graph = Graph(
        tuple(Box(n, n) for n in "abc"),
        (Line("a", "b", "", "order"), Line("a", "c", "if big", "condition")),
    )
    assert text(graph, 40).splitlines() == [
        "╭─────╮              ╭─────╮",
        "│ · a ├╌╌╌╌╌╌╌╌╌╌╌╌╌►│ · b │",
        "│     ├╌ if big ╌╮   ╰─────╯",
        "╰─────╯          ┊   ╭─────╮",
        "                 ╰╌╌►│ · c │",
        "                     ╰─────╯",
    ]


def test_lanes_of_strangers_do_not_touch():
    graph = Graph(tuple(Box(n, n) for n in "abcd"), (Line("a", "b"), Line("c", "d")))
    assert text(graph, 12).splitlines() == ["· a", "· b", "", "· c", "· d"]


def test_a_branch_passes_under_a_lane_it_does_not_join():
    boxes_ = tuple(Box(n, n * 30) for n in "abcde")
    lines = (Line("a", "b"), Line("a", "c"), Line("b", "d"), Line("c", "e"), Line("a", "e"))
    drawn = text(Graph(boxes_, lines), 40)
    heads = [row[:4].rstrip() for row in drawn.splitlines()]
    assert heads == ["·", "├─╮", "│ ·", "│ ·", "├─╮", "│ ·", "├─╯", "·"]


def test_nothing_to_draw_is_an_empty_text():
    assert text(Graph(())) == ""
    assert text(Graph((), (), "empty")) == "empty"


def test_a_single_step_is_a_box():
    assert text(Graph((Box("a", "load"),))).splitlines() == [
        "╭────────╮",
        "│ · load │",
        "╰────────╯",
    ]


def test_a_group_is_named_beside_its_steps():
    assert "1.2 s · features" in text(
        Graph((Box("a", "a", "completed", "1.2 s", None, "features"),))
    )


def test_colours_are_only_added():
    drawn = text(PIPELINE, 100, color=True)
    assert "\x1b[31m" in drawn
    assert re.sub(r"\x1b\[[0-9]+m", "", drawn) == BOXES
    assert drawn.count("\x1b[0m") == len(re.findall(r"\x1b\[[1-9][0-9]*m", drawn))


def test_wide_characters_keep_the_frame_straight():
    rows = text(Graph((Box("a", "日本語"), Box("b", "e\u0301té")), (Line("a", "b"),))).splitlines()
    assert len({width_of(row) for row in rows}) == 1
    assert "日本語" in rows[1]


def test_a_circle_is_refused_in_either_form():
    lines = (Line("a", "b"), Line("b", "a"))
    with pytest.raises(Invalid, match="circle"):
        text(Graph((Box("a", "a"), Box("b", "b")), lines))
    long = chain(*(f"s{i}" for i in range(80)))
    with pytest.raises(Invalid, match="circle"):
        text(Graph(long.boxes, (*long.lines, Line("s79", "s0"))))


@given(dags(most=20), st.sampled_from([None, 12, 20, 30, 80, 200]), st.booleans())
def test_every_step_is_drawn_once_and_no_row_is_too_wide(graph, width, unicode):
    drawn = text(graph, width, unicode=unicode)
    assert all(width_of(row) <= (width or 80) for row in drawn.splitlines())
    if width != 12:
        for box in graph.boxes:
            assert len(re.findall(rf"\b{box.title}\b", drawn)) == 1


@given(dags(titles=TRICKY), st.sampled_from([20, 80, 300]))
def test_ascii_drawings_are_ascii_and_move_no_cursor(graph, width):
    drawn = text(graph, width, unicode=False)
    assert drawn.isascii()
    assert all(row.isprintable() for row in drawn.split("\n"))


@given(dags(titles=TRICKY), st.sampled_from([20, 80, 300]))
def test_no_title_can_send_control_codes_or_new_rows(graph, width):
    for row in text(graph, width).split("\n"):
        assert all(char.isprintable() for char in row)
        row.encode("utf-8")


def test_five_hundred_steps_are_drawn_at_any_width():
    for graph in (big(500, 20), big(500, 1), big(500, 500)):
        for width in (20, 80, 10_000):
            drawn = text(graph, width)
            assert len(re.findall(r"step_\d", drawn)) == 500


def test_every_status_has_its_sign_and_needs_no_colour():
    graph = Graph(tuple(Box(s, "step", s, "1 s") for s in STATUSES))
    for row, status in zip(text(graph, 12).splitlines()[::2], STATUSES, strict=True):
        assert row.startswith(glyph_of(status))
    assert len({glyph_of(s) for s in STATUSES}) == len({glyph_of(s, False) for s in STATUSES}) == 8


SIDES = {
    "─": "EW", "│": "NS", "╌": "EW", "┊": "NS", "╭": "ES", "╮": "WS", "╰": "NE", "╯": "NW",
    "├": "NES", "┤": "NWS", "┬": "EWS", "┴": "NEW", "┼": "NESW",
}  # fmt: skip
STEP = {"N": (0, -1), "E": (1, 0), "S": (0, 1), "W": (-1, 0)}
BACK = {"N": "S", "S": "N", "E": "W", "W": "E"}


def walk(rows, x, y):
    """Follow a line from the cell right of a box to all arrow heads, as a reader would."""
    found, seen, todo = set(), set(), [(x, y, "E")]
    while todo:
        x, y, heading = todo.pop()
        if (x, y, heading) in seen:
            continue
        seen.add((x, y, heading))
        sign = rows[y][x]
        if sign == "►":
            found.add((x, y))
            continue
        assert sign in SIDES, (sign, x, y)
        if BACK[heading] not in SIDES[sign]:
            assert (sign, heading) in {("│", "E"), ("┊", "E")}, "only upright lines lie on top"
            ways = "E"
        else:
            ways = SIDES[sign].replace(BACK[heading], "")
        for way in ways:
            todo.append((x + STEP[way][0], y + STEP[way][1], way))
    return found


@settings(max_examples=200)
@given(dags(most=10))
def test_whoever_follows_a_line_arrives_exactly_where_it_goes(graph):
    plain = Graph(
        tuple(Box(b.id, b.title, "completed", "1 s") for b in graph.boxes),
        tuple(Line(line.source, line.target) for line in graph.lines),
    )
    rows = boxes(plain, 10_000, unicode=True, color=False)
    if rows is None:
        return
    rows = [row.ljust(max(map(len, rows))) for row in rows]
    corner = {}  # of each box, by its title
    for box in plain.boxes:
        y = next(y for y, row in enumerate(rows) if re.search(rf"✓ {box.title}\b", row))
        corner[box.id] = re.search(rf"✓ {box.title}\b", rows[y]).start() - 2, y

    def owner(x, y):
        """Whose left side is the frame at this cell?"""
        while rows[y][x] != "╭":
            y -= 1
        return next(id for id, place in corner.items() if place == (x, y + 1))

    found = set()
    for box in plain.boxes:
        left, y = corner[box.id]
        side = rows[y - 1].index("╮", left)
        row = y
        while rows[row][side] != "╯":
            if rows[row][side] == "├":
                ends = walk(rows, side + 1, row)
                found |= {(box.id, owner(x + 1, at)) for x, at in ends}
            row += 1
    assert found == {(line.source, line.target) for line in plain.lines}


def test_lines_that_block_each_other_are_drawn_as_lanes():
    drawn = 0
    for seed in range(40):
        graph = big(12, 4, seed)
        drawn += boxes(graph, 10_000, unicode=True, color=False) is not None
    assert drawn > 30

from itertools import combinations

import pytest
from dags import TRICKY, big, chain, dags
from hypothesis import given

from zenlib.diagram import Box, Graph, Line
from zenlib.diagram.layout import layout
from zenlib.diagram.order import BENDS, SWEEPS, arrange
from zenlib.diagram.text import text
from zenlib.errors import Invalid


def overlap(one, two):
    return (
        one.x < two.x + two.width
        and two.x < one.x + one.width
        and one.y < two.y + two.height
        and two.y < one.y + one.height
    )


@given(dags(most=20))
def test_boxes_stand_apart_and_within_the_picture(graph):
    found = layout(graph)
    assert [placed.box for placed in found.boxes] == list(graph.boxes)
    assert not any(overlap(one, two) for one, two in combinations(found.boxes, 2))
    for placed in found.boxes:
        assert placed.x >= 0
        assert placed.y >= 0
        assert placed.x + placed.width <= found.width
        assert placed.y + placed.height <= found.height


@given(dags(most=20))
def test_every_line_runs_forward_from_its_source_to_its_target(graph):
    found = layout(graph)
    placed = {p.box.id: p for p in found.boxes}
    assert [path.line for path in found.paths] == list(graph.lines)
    for path in found.paths:
        source, target = placed[path.line.source], placed[path.line.target]
        assert source.layer < target.layer
        across = [x for x, _ in path.points]
        assert across == sorted(across)
        assert path.points[0][0] == source.x + source.width
        assert path.points[-1][0] == target.x
        assert source.y < path.points[0][1] < source.y + source.height
        assert path.points[-1][1] == target.y + target.height // 2


@given(dags(most=20))
def test_no_line_runs_through_a_box(graph):
    found = layout(graph)
    for path in found.paths:
        for (x0, y0), (x1, y1) in zip(path.points, path.points[1:], strict=False):
            if y0 == y1 and x0 < x1:
                for box in found.boxes:
                    inside = box.y < y0 < box.y + box.height
                    assert not (inside and x0 < box.x + box.width and box.x < x1)


@given(dags(most=15))
def test_equal_graphs_give_equal_pictures(graph):
    assert layout(graph) == layout(Graph(graph.boxes, graph.lines, graph.title))


@given(dags(titles=TRICKY))
def test_any_title_is_one_short_line(graph):
    for placed in layout(graph).boxes:
        assert 0 < len(placed.title) <= 90
        assert placed.title.isprintable()


def test_a_chain_is_one_straight_line():
    found = layout(chain("load", "clean", "split", "fit"))
    assert len({y for path in found.paths for _, y in path.points}) == 1


def test_a_step_stands_in_the_middle_of_what_follows_it():
    lines = tuple(Line("load", name) for name in "abc")
    found = layout(Graph(tuple(Box(n, n) for n in ("load", "a", "b", "c")), lines))
    load, _, middle, _ = found.boxes
    assert load.y == middle.y


def test_lines_are_untangled():
    lines = (Line("a", "y"), Line("b", "x"), Line("c", "z"), Line("b", "z"), Line("c", "y"))
    found = layout(Graph(tuple(Box(n, n) for n in "abcxyz"), lines))
    starts = [(path.points[0][1], path.points[-1][1]) for path in found.paths]
    assert not any((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(starts, 2))


def test_a_step_that_is_needed_late_stands_beside_what_needs_it():
    graph = chain("a", "b", "c", "d")
    graph = Graph((*graph.boxes, Box("late", "late")), (*graph.lines, Line("late", "d")))
    assert layout(graph).boxes[-1].layer == 2


def test_outputs_leave_a_box_one_below_the_other_and_are_labelled_once():
    boxes = tuple(Box(n, n) for n in ("split", "fit", "score"))
    lines = (
        Line("split", "fit", "train"),
        Line("split", "score", "test"),
        Line("split", "score", "train"),
    )
    found = layout(Graph(boxes, lines))
    assert [path.label for path in found.paths] == ["train", "test", ""]
    assert found.paths[0].points[0] == found.paths[2].points[0] != found.paths[1].points[0]


def test_an_empty_graph_and_a_single_step_have_a_layout():
    assert layout(Graph(())).boxes == ()
    assert len(layout(Graph((Box("a", ""),))).boxes) == 1


def test_a_circle_is_refused_and_named():
    boxes = tuple(Box(n, n) for n in ("load", "fit", "tune"))
    lines = (Line("load", "fit"), Line("fit", "tune"), Line("tune", "fit"))
    with pytest.raises(Invalid, match=r"circle: (fit → tune → fit|tune → fit → tune)"):
        layout(Graph(boxes, lines))


def test_a_long_circle_is_named_in_a_few_words():
    names = [f"s{i}" for i in range(500)]
    graph = chain(*names)
    with pytest.raises(Invalid, match="…") as caught:
        layout(Graph(graph.boxes, (*graph.lines, Line("s499", "s0"))))
    assert len(str(caught.value)) < 150


def test_a_graph_with_twins_or_loose_ends_is_refused():
    with pytest.raises(Invalid, match="'a'"):
        Graph((Box("a", "x"), Box("a", "y")))
    with pytest.raises(Invalid, match="'b'"):
        Graph((Box("a", "x"),), (Line("a", "b"),))
    with pytest.raises(Invalid, match="circle"):
        layout(Graph((Box("a", "x"),), (Line("a", "a"),)))


def test_a_title_of_ten_thousand_characters_is_shortened():
    placed = layout(Graph((Box("a", "x" * 10_000),))).boxes[0]
    assert placed.title == "x" * 29 + "…"
    assert placed.width < 400


@pytest.mark.parametrize("width", [1, 5, 20, 100, 500])
def test_the_work_on_five_hundred_steps_is_bounded(width):
    graph = big(500, width)
    found = layout(graph)
    assert len(found.boxes) == 500
    assert found.sweeps <= SWEEPS
    assert sum(map(len, arrange(graph).layers)) <= 4 * 500


def test_bends_are_shared_by_lines_of_one_output():
    graph = chain(*"abcdefghij")
    far = tuple(Line("a", n, "data") for n in "cdefghij")
    order = arrange(Graph(graph.boxes, (*graph.lines, *far)))
    assert sum(map(len, order.layers)) == 10 + 8


def test_a_large_tangle_stays_low():
    graph = big(500, 20)
    assert layout(graph).height < 2 * max(map(len, arrange(graph).layers)) * 68


def test_the_longest_lines_of_a_tangle_run_below_it():
    names = [f"s{i}" for i in range(200)]
    steps = chain(*names)
    graph = Graph(steps.boxes, (*steps.lines, *(Line(n, "s199", "x") for n in names[:-1])))
    order, found = arrange(graph), layout(graph)
    assert sum(map(len, order.layers)) <= 200 + BENDS
    below = max(placed.y + placed.height for placed in found.boxes)
    outside = [path for path in found.paths if max(y for _, y in path.points) > below]
    assert len(outside) == len(order.far) > 50
    assert len(found.paths) == len(graph.lines)
    assert "s199" in text(graph)


def test_forty_thousand_lines_get_fewer_sweeps():
    boxes = tuple(Box(str(i), str(i)) for i in range(400))
    lines = tuple(Line(str(i), str(j)) for i in range(200) for j in range(200, 400))
    assert layout(Graph(boxes, lines)).sweeps <= 2

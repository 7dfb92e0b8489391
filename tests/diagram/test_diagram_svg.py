import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from dags import TRICKY, big, chain, dags
from hypothesis import given
from hypothesis import strategies as st

from zenlib.diagram import Box, Graph, Line
from zenlib.diagram.cells import STATUSES
from zenlib.diagram.svg import svg
from zenlib.errors import Invalid

SVG = "{http://www.w3.org/2000/svg}"
PAYLOADS = [
    "<script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</style></svg><img src=x onerror=alert(1)>",
    '"><a href="javascript:alert(1)">x</a>',
    "' onload='alert(1)",
    "]]><!--<foreignObject>",
    "&lt;script&gt; &#60;b&#62;",
    "\x00\x0b\ud800\x1b[31m",
]
TAGS = {"svg", "title", "desc", "style", "path", "text", "g", "rect", "circle"}
ATTRIBUTES = {
    "class",
    "role",
    "aria-label",
    "width",
    "height",
    "viewBox",
    "style",
    "d",
    "x",
    "y",
    "rx",
    "cx",
    "cy",
    "r",
    "transform",
    "fill",
    "text-anchor",
    "stroke-dasharray",
    "stroke-width",
}


def check(drawn):
    """Parse as XML; nothing but the tags and attributes that we draw with may be there."""
    root = ET.fromstring(drawn)
    for element in root.iter():
        assert element.tag.removeprefix(SVG) in TAGS
        assert set(element.attrib) <= ATTRIBUTES
    assert drawn.replace('xmlns="http://www.w3.org/2000/svg"', "").count("http") == 0
    assert "url(" not in drawn
    assert "@import" not in drawn
    return root


def texts(root):
    return ["".join(e.itertext()) for e in root.iter(f"{SVG}text")]


class Tags(HTMLParser):
    """What an HTML parser, which is less strict than XML, makes of a picture."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attrs):
        self.found.add(tag)
        assert not any(name.startswith("on") or name == "href" for name, _ in attrs)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_scripts_in_any_text_are_inert(payload):
    graph = Graph(
        (
            Box(payload, payload, "completed", payload, 3, payload),
            Box("b", "b", payload, payload),
        ),
        (Line(payload, "b", payload),),
        payload,
    )
    drawn = svg(graph, title=payload)
    check(drawn)
    parser = Tags()
    parser.feed(f"<p>{drawn}</p>")
    assert parser.found <= TAGS | {"p"}


@given(dags(titles=TRICKY), TRICKY)
def test_any_graph_is_well_formed_and_harmless(graph, title):
    check(svg(graph, title=title))


@given(dags(most=15))
def test_every_box_and_line_is_drawn_once(graph):
    root = check(svg(graph))
    shown = texts(root)
    for box in graph.boxes:
        assert shown.count(box.title) == 1
    lines = [e for e in root.iter(f"{SVG}path") if e.get("class", "").split()[:1] == ["e"]]
    assert len(lines) == len(graph.lines)


def test_sign_word_and_time_say_the_status_without_colour():
    graph = Graph(tuple(Box(s, f"step_{s}", s, "1.2 s") for s in STATUSES))
    root = check(svg(graph))
    for status in STATUSES:
        assert f"{status} · 1.2 s" in texts(root)
    signs = [ET.tostring(group.find(f"{SVG}g")) for group in root.findall(f"{SVG}g")]
    bare = {re.sub(rb'transform="[^"]*"', b"", sign) for sign in signs}
    assert len(bare) == len(STATUSES)


def test_a_screen_reader_hears_a_name_and_a_summary():
    graph = Graph((Box("a", "a", "completed"), Box("b", "b", "failed")), (), "training")
    root = check(svg(graph))
    assert root.get("role") == "img"
    assert root.get("aria-label") == "training: 2 steps, 1 completed, 1 failed"
    assert root[0].tag == f"{SVG}title"
    assert root[0].text == "training"
    assert check(svg(graph, title="last night")).find(f"{SVG}title").text == "last night"


def test_light_and_dark_come_from_the_system_or_the_notebook():
    style = check(svg(chain("a", "b"))).find(f"{SVG}style").text
    assert "@media (prefers-color-scheme:dark)" in style
    for look in STATUSES.values():
        assert look.light in style
        assert look.dark in style
    assert '[data-jp-theme-light="false"] .zen-dag' in style
    selectors = re.findall(r"(?:^|[}])\s*([^{}@]+)\{", style)
    assert all(".zen-dag" in one for rule in selectors for one in rule.split(","))


def test_items_of_a_map_are_a_stack_with_a_count():
    root = check(svg(Graph((Box("a", "fit", "completed", "", 12),))))
    assert "×12" in texts(root)
    assert len(list(root.iter(f"{SVG}rect"))) == 3


def test_the_way_into_a_failed_step_stands_out():
    boxes = (Box("a", "a", "completed"), Box("b", "b", "failed"), Box("c", "c", "skipped"))
    root = check(svg(Graph(boxes, (Line("a", "b"), Line("b", "c")))))
    lines = [e.get("class") for e in root.iter(f"{SVG}path") if "e" in e.get("class").split()]
    assert sorted(lines) == ["e", "e bad"]


def test_order_lines_are_dashed_and_labels_are_shown():
    boxes = (Box("a", "a"), Box("b", "b"))
    root = check(svg(Graph(boxes, (Line("a", "b", "when done", "order"),))))
    assert "e dashed" in [e.get("class") for e in root.iter(f"{SVG}path")]
    assert "when done" in texts(root)


def test_an_empty_graph_is_a_picture_too():
    assert check(svg(Graph(()))).get("aria-label").endswith("0 steps")


def test_five_hundred_steps_make_a_page_of_reasonable_size():
    drawn = svg(big(500, 20))
    check(drawn)
    assert len(drawn) < 500_000


def test_a_circle_is_refused():
    with pytest.raises(Invalid, match="circle"):
        svg(Graph((Box("a", "a"),), (Line("a", "a"),)))


def _light(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one, two):
    high, low = sorted((_light(one), _light(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_meets_wcag_aa():
    from zenlib.diagram.svg import _INK

    for theme, ink in _INK.items():
        assert _contrast(ink["ink"], ink["ground"]) >= 7
        assert _contrast(ink["soft"], ink["ground"]) >= 4.5
        for name, look in STATUSES.items():
            colour = getattr(look, theme)
            least = 4.5 if name == "failed" else 3  # only `failed` colours text, others a sign
            assert _contrast(colour, ink["ground"]) >= least, name


@given(st.sampled_from(PAYLOADS), st.sampled_from(list(STATUSES)))
def test_the_tooltip_holds_the_whole_title(payload, status):
    title = "x" * 60 + payload
    root = check(svg(Graph((Box("a", title, status),))))
    tip = root.find(f"{SVG}g/{SVG}title").text
    assert tip.startswith("x" * 60)

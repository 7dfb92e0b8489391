import re

import pytest
from dags import TRICKY, dags
from hypothesis import given

from zenlib.diagram import Box, Graph, Line
from zenlib.diagram.mermaid import mermaid

SAFE = r"(?:[\w\x20_\-.,/+=*%@!?~·×\u0300-\U0010ffff]|\#\d+;)*"
ROWS = re.compile(
    rf"""---|title:\ .*|flowchart\ LR|
    \ +n\d+\["{SAFE}(?:<br/>){SAFE}"\]|
    \ +n\d+\[\["{SAFE}(?:<br/>){SAFE}"\]\]|
    \ +subgraph\ g\d+\["{SAFE}"\]|\ +end|
    \ +n\d+\ (?:-->|-\.->)(?:\|"{SAFE}"\|)?\ n\d+|
    \ +classDef\ \w+\ stroke:\#[0-9a-f]{{6}}(?:,stroke-width:3px)?|
    \ +class\ n\d+(?:,n\d+)*\ \w+""",
    re.VERBOSE,
)


def test_a_pipeline_reads_well():
    graph = Graph(
        (
            Box("l", "load", "completed", "1.2 s"),
            Box("f", "fit", "failed", "0.4 s", 5, "training"),
            Box("e", "end", "skipped", "", None, "training"),
        ),
        (Line("l", "f", "data"), Line("f", "e", "", "order"), Line("l", "e", "if x", "condition")),
        'my "first": run',
    )
    assert (
        mermaid(graph)
        == """\
---
title: "my \\"first\\": run"
---
flowchart LR
    n0["✓ load<br/>completed · 1.2 s"]
    subgraph g1["training"]
        n1[["✗ fit ×5<br/>failed · 0.4 s"]]
        n2["– end<br/>skipped"]
    end
    n0 -->|"data"| n1
    n1 -.-> n2
    n0 -.->|"if x"| n2
    classDef completed stroke:#1a7f37
    class n0 completed
    classDef failed stroke:#cf222e,stroke-width:3px
    class n1 failed
    classDef skipped stroke:#8a8f98
    class n2 skipped
"""
    )


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ('say "hi"', "say #34;hi#34;"),
        ("a[0](b){c}", "a#91;0#93;#40;b#41;#123;c#125;"),
        ("<script>&", "#60;script#62;#38;"),
        ("`code` #1; |x|", "#96;code#96; #35;1#59; #124;x#124;"),
        ("two\nrows\r\n%%{init}%%", "two rows  %%#123;init#125;%%"),
        ("🚀 日本", "🚀 日本"),
        ("end", "end"),
    ],
)
def test_texts_are_encoded(text, encoded):
    drawn = mermaid(Graph((Box("a", text), Box("b", "b")), (Line("a", "b", text),)))
    assert f'n0["· {encoded}<br/>pending"]' in drawn
    assert f'n0 -->|"{encoded}"| n1' in drawn


@given(dags(titles=TRICKY))
def test_no_title_can_leave_its_quotes(graph):
    rows = mermaid(graph).splitlines()
    assert all(ROWS.fullmatch(row) for row in rows)
    assert sum(bool(re.match(r" +n\d+\[", row)) for row in rows) == len(graph.boxes)
    assert sum(bool(re.match(r" +n\d+ -", row)) for row in rows) == len(graph.lines)


def test_a_long_title_is_shortened():
    assert len(mermaid(Graph((Box("a", "x" * 10_000),)))) < 300

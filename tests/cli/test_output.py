import json
import sys

import pytest

from zenlib.cli import output
from zenlib.cli.output import STATUSES, Output, plain, status_text, to_json
from zenlib.cli.tables import Column, clip, fit_table, safe, width_of
from zenlib.records import Artifact, Status


def test_every_status_has_a_glyph_a_word_and_a_colour():
    assert set(STATUSES) == {status.value for status in Status}
    assert len({glyph for glyph, _ in STATUSES.values()}) == len(STATUSES)
    for status in Status:
        glyph, _ = STATUSES[status]
        assert status_text(status) == f"{glyph} {status.value}"
        assert status_text(status, glyphs=False) == status.value
        assert "\x1b[" in status_text(status, colour=True)
        assert Output(colour=True).status(status).endswith("\x1b[0m")
    assert status_text("odd") == "? odd"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 日本 👩‍🔬", "plain é 日本 👩‍🔬"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc\rd\0", "a\\nb\\tc\\rd\\x00"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("a\ud800b", "a\\ud800b"),
        ("a\u2028b\x9b", "a\\u2028b\\x9b"),
    ],
)
def test_texts_cannot_steer_the_terminal(text, shown):
    assert safe(text) == shown


@pytest.mark.parametrize(
    ("text", "width", "clipped"),
    [("training", 8, "training"), ("training", 7, "traini…"), ("日本語", 5, "日本…"), ("日本語", 4, "日…"), ("e\u0301e\u0301e\u0301", 2, "e\u0301…"), ("abc", 1, "…")],
)  # fmt: skip
def test_texts_are_cut_by_columns_and_not_by_letters(text, width, clipped):
    assert clip(text, width) == clipped
    assert width_of(clipped) <= width
    assert width_of(clip(text, width, glyphs=False)) <= width


def test_a_table_without_a_width_is_never_cut():
    rows = [{"a": "x" * 500, "b": 1, "c": True}, {"a": None, "b": 22, "c": False}]
    columns = [Column("A", "a"), Column("B", "b", right=True), Column("C", lambda row: row["c"])]
    lines = list(fit_table(rows, columns, width=None, glyphs=True, out=Output()))
    assert lines == [
        f"{'A':500}   B  C",
        f"{'x' * 500}   1  true",
        f"{'':500}  22  false",
    ]


def test_the_widest_columns_give_way_first():
    rows = [{"a": "short", "b": "x" * 50, "c": "y" * 30}]
    columns = [Column(name.upper(), name) for name in "abc"]
    lines = list(fit_table(rows, columns, width=45, glyphs=True, out=Output()))
    assert lines[1] == f"short  {'x' * 17}…  {'y' * 17}…"


def test_json_is_valid_whatever_the_data():
    from datetime import UTC, datetime
    from pathlib import Path

    artifact = Artifact(name="m", digest="d", size_bytes=1, serializer="json", type="x", content={})
    data = {
        "nan": float("nan"), "inf": [float("inf")], "path": Path("x"), "text": "é\ud800",
        "when": datetime(2026, 1, 1, tzinfo=UTC), "record": artifact, "big": 10**30,
    }  # fmt: skip
    text = to_json(data)
    found = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert text.isascii()
    assert (found["nan"], found["inf"], found["big"]) == (None, [None], 10**30)
    assert found["record"]["digest"] == "d"
    assert found["when"] == "2026-01-01 00:00:00+00:00"
    assert plain(artifact)["name"] == "m"


def test_an_object_is_shown_field_by_field(capsys):
    Output().object({"name": "dev", "cache": True, "note": None, "options": {"a": [1]}})
    assert capsys.readouterr().out == ('name     dev\ncache    true\nnote\noptions  {"a": [1]}\n')


def test_an_empty_listing_is_an_empty_array_or_a_message(capsys):
    Output().table([], [Column("A", "a")], empty="no runs yet")
    assert capsys.readouterr() == ("", "no runs yet\n")
    Output(json=True).table([], [Column("A", "a")], empty="no runs yet")
    assert capsys.readouterr() == ("[]\n", "")


def test_an_error_after_the_answer_does_not_spoil_the_json(capsys):
    out = Output(json=True)
    out.object({"id": "x"})
    out.error("too late", "late")
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"id": "x"}
    assert shown.err == "error: too late\n"


def test_flushing_a_closed_stream_is_quiet(monkeypatch):
    import io

    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stdout", stream)
    output.flush()
    monkeypatch.setattr(sys, "stdout", None)
    output.flush()

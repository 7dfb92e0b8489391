import pytest

from zenlib.diagram.canvas import Canvas, sign_of
from zenlib.diagram.cells import clip, printable, short, width_of


def canvas(unicode=True):
    return Canvas(unicode=unicode, color=False)


def test_lines_of_one_net_join_and_of_two_cross():
    sheet = canvas()
    sheet.level(1, 1, 0, 6)
    sheet.upright(1, 2, 0, 1)
    sheet.upright(2, 4, 0, 2)
    assert sheet.render() == ["  ╷ ╷", "╶─┴─│─╴", "    ╵"]
    assert not sheet.clash


@pytest.mark.parametrize("end", [3, 5])
def test_two_nets_that_share_a_stretch_are_noticed(end):
    sheet = canvas()
    sheet.level(1, 0, 0, 4)
    sheet.level(2, 0, 2, end)
    sheet.render()
    assert sheet.clash


def test_an_accent_without_a_letter_is_left_out():
    sheet = canvas()
    sheet.put(0, 0, "\u0301e\u0301日\u0301!")
    assert sheet.render() == ["e\u0301日\u0301!"]


def test_ascii_lines_are_ascii():
    assert {sign_of(bits, unicode=False) for bits in range(16)} == set(" |-+")


@pytest.mark.parametrize("text", ["", "a", "evaluate", "日本語", "e\u0301te\u0301", "x" * 10_000])
@pytest.mark.parametrize("width", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("unicode", [True, False])
def test_a_clipped_text_fits(text, width, unicode):
    assert width_of(clip(text, width, unicode)) <= width
    assert width_of(short(text, width, unicode)) <= width


def test_marks_that_reorder_text_are_dropped_and_surrogates_replaced():
    assert printable("a\u202eb\u200bc\ud800\x07") == "abc\ufffd\ufffd"
    assert printable("a\u2028b\xa0c\td") == "a b c d"
    assert printable("x → “y” …", unicode=False) == 'x -> "y" ...'

import io
import os
import re
import subprocess
import sys
import threading

import pyte
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zenlib.display import Progress, ago, duration, short_id, size, status, terminal_of
from zenlib.hashing import new_id


class Clock:
    """Seconds that pass when told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Sheet(io.StringIO):
    """A stream that counts its writes."""

    def __init__(self):
        super().__init__()
        self.writes = []

    def write(self, text):
        self.writes.append(text)
        return super().write(text)


class Rig:
    """A live progress on an emulated terminal with its scroll-back."""

    def __init__(self, columns=80, lines=24, **options):
        self.columns, self.lines = columns, lines
        self.clock = Clock()
        self.sheet = Sheet()
        self.progress = Progress(
            self.sheet,
            live=True,
            clock=self.clock,
            size=lambda: (self.columns, self.lines),
            ticking=False,
            **options,
        )
        self.screen = pyte.HistoryScreen(columns, lines, history=10_000, ratio=1)
        self.screen.set_mode(pyte.modes.LNM)
        self.stream = pyte.Stream(self.screen)
        self.read = 0

    def frame(self, seconds=0.2):
        self.clock.now += seconds
        self.progress.tick()
        return self.rows()

    def rows(self):
        text = self.sheet.getvalue()
        self.stream.feed(text[self.read :])
        self.read = len(text)
        above = [
            "".join(row[x].data for x in range(self.columns)).rstrip()
            for row in self.screen.history.top
        ]
        found = above + [row.rstrip() for row in self.screen.display]
        while found and not found[-1]:
            found.pop()
        return found


def play(progress, clock):
    progress.run_started("training", "01jqx3", "dev", ["load", "split", "fit", "evaluate"])
    progress.node_started("load")
    clock.now += 1.2
    progress.node_finished("load", "completed", 1_200_000, "1797 × 64 float64, 0.9 MB")
    progress.node_finished("split", "cached", 0, "from run 01jqwz, 4 min ago")
    progress.node_started("fit", 8_400_000)
    clock.now += 3.1


HEAD = [
    "training · run 01jqx3 · stack dev",
    "  ✓ load        1.2 s   1797 × 64 float64, 0.9 MB",
    "  ≡ split       cached  from run 01jqwz, 4 min ago",
]


# words


@pytest.mark.parametrize(
    ("us", "words"),
    [
        (-5, "0 ms"),
        (0, "0 ms"),
        (400, "0.4 ms"),
        (949, "0.9 ms"),
        (950, "1 ms"),
        (99_499, "99 ms"),
        (99_500, "0.1 s"),
        (400_000, "0.4 s"),
        (9_800_000, "9.8 s"),
        (59_949_999, "59.9 s"),
        (59_950_000, "1 min 0 s"),
        (80_000_000, "1 min 20 s"),
        (3_599_499_999, "59 min 59 s"),
        (3_599_500_000, "1 h 0 min"),
        (86_400_000_000, "1 d 0 h"),
        (10**15, "11574 d 2 h"),
    ],
)
def test_a_duration_is_said_in_two_units_at_most(us, words):
    assert duration(us) == words


@given(st.integers(-(10**6), 10**16), st.integers(0, 10**16))
def test_a_longer_duration_never_reads_shorter(us, more):
    def spoken(words):
        units = {"ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400}
        return sum(float(n) * units[unit] for n, unit in re.findall(r"([\d.]+) (\w+)", words))

    assert spoken(duration(us)) <= spoken(duration(us + more))


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (899, "899 B"),
        (900, "0.9 kB"),
        (1_200, "1.2 kB"),
        (47_340, "47.3 kB"),
        (812_000, "812 kB"),
        (920_064, "0.9 MB"),
        (10**10, "10.0 GB"),
        (10**18, "1000 PB"),
    ],
)
def test_a_size_is_said_in_decimal_units(count, words):
    assert size(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (-4, "just now"),
        (5, "5 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (7200, "2 h ago"),
        (86_400, "1 day ago"),
        (200_000, "2 days ago"),
        (31 * 86_400, "1 month ago"),
        (800 * 86_400, "2 years ago"),
        (-3 * 86_400, "in 3 days"),
    ],
)
def test_an_age_is_said_in_one_unit(seconds, words):
    assert ago(10**15, 10**15 + seconds * 10**6) == words


def test_a_short_id_is_the_shortest_prefix_that_differs():
    ids = [new_id() for _ in range(200)]
    for id in ids:
        prefix = short_id(id, ids)
        assert [other for other in ids if other.startswith(prefix)] == [id]
        assert len(prefix) >= 6
        assert not prefix.endswith("-")
        shorter = prefix[:-1].rstrip("-")
        assert len(shorter) < 6 or sum(other.startswith(shorter) for other in ids) > 1


def test_a_short_id_without_others_keeps_the_whole_time():
    id = "01890a5d-ac96-774b-bcce-b302099a8057"
    assert short_id(id) == "01890a5d-ac96"
    assert short_id(id, []) == short_id(id, [id]) == "01890a"
    assert short_id("ab", ["abc"]) == "ab"
    assert short_id(id, ["01890a5dx"]) == "01890a5d-a"


def test_a_status_has_a_sign_and_a_word():
    assert status("cached") == "≡ cached"
    assert status("cached", unicode=False) == "cached"
    assert status("failed", color=True) == "\x1b[31m✗ failed\x1b[0m"
    assert status("of-tomorrow") == "? of-tomorrow"


# what a stream can show


class Fake(io.StringIO):
    def __init__(self, tty, encoding="utf-8"):
        super().__init__()
        self.tty, self.name = tty, encoding

    encoding = property(lambda self: self.name)

    def isatty(self):
        return self.tty


@pytest.mark.parametrize(
    ("stream", "environ", "expected"),
    [
        (Fake(False), {}, (False, True, False)),
        (Fake(False), {"FORCE_COLOR": "1"}, (True, True, False)),
        (Fake(False, "ascii"), {}, (False, False, False)),
        (Fake(False, "no-such-codec"), {}, (False, False, False)),
    ],
)
def test_a_pipe_gets_plain_lines(stream, environ, expected):
    found = terminal_of(stream, environ)
    assert (found.color, found.unicode, found.live) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="asks the console itself")
def test_a_terminal_is_live_unless_it_is_dumb():
    assert terminal_of(Fake(True), {"TERM": "xterm"}).live
    assert terminal_of(Fake(True), {"TERM": "xterm"}).color
    assert not terminal_of(Fake(True), {"TERM": "xterm", "NO_COLOR": "1"}).color
    assert terminal_of(Fake(True), {"TERM": "xterm", "NO_COLOR": ""}).color
    dumb = terminal_of(Fake(True), {"TERM": "dumb"})
    assert not dumb.live
    assert not dumb.color


def test_a_closed_stream_shows_nothing_live():
    closed = io.StringIO()
    closed.close()
    assert not terminal_of(closed, {}).live


# plain


def test_plain_lines_read_as_the_guide_shows_them():
    sheet, clock = io.StringIO(), Clock()
    progress = Progress(sheet, clock=clock)
    play(progress, clock)
    progress.node_items("fit", 3, 5)
    progress.node_finished("fit", "completed", 8_000_000)
    progress.node_finished("evaluate", "skipped", 0)
    progress.message("remember\nthe milk")
    progress.run_finished(
        "completed",
        9_800_000,
        {"cached": 2, "completed": 2, "failed": 0},
        "results: zenlib runs show 01jqx3",
    )
    assert sheet.getvalue().splitlines() == [
        *HEAD,
        "  ✓ fit         8.0 s",
        "  – evaluate    skipped",
        "  remember",
        "  the milk",
        "  done in 9.8 s · 2 ran, 2 cached · results: zenlib runs show 01jqx3",
    ]


def test_a_failure_stands_where_it_happened():
    sheet = io.StringIO()
    progress = Progress(sheet)
    progress.run_started("training", "01jqx3", "", ["fit"])
    detail = "train.py:31 in fit\n    model.fit(x, y)\nValueError: Input y contains NaN."
    progress.node_finished("fit", "failed", 400_000, detail)
    progress.run_finished("failed", 500_000, {"failed": 1})
    assert sheet.getvalue().splitlines() == [
        "training · run 01jqx3",
        "  ✗ fit         failed after 0.4 s",
        "    train.py:31 in fit",
        "        model.fit(x, y)",
        "    ValueError: Input y contains NaN.",
        "  failed after 0.5 s · 1 failed",
    ]


HOSTILE = st.text(
    st.one_of(st.characters(), st.sampled_from("\x1b\r\n\x07\x9b\u202e")), max_size=30
)


@given(HOSTILE, HOSTILE, st.booleans())
@example("\x1b]0;title\x07", "\x1b[2J", True)
def test_plain_lines_hold_no_control_codes(name, detail, unicode):
    sheet = io.StringIO()
    with Progress(sheet, unicode=unicode) as progress:
        progress.run_started(name, name, name, [name])
        progress.node_started(name, 5)
        progress.node_items(name, 1, None)
        progress.node_finished(name, "completed", 5, detail)
        progress.message(detail)
        progress.run_finished("interrupted", 5, {name: 1}, detail)
    text = sheet.getvalue()
    assert all(row.isprintable() for row in text.split("\n"))
    assert unicode or text.isascii()
    text.encode("utf-8")


def test_a_printed_text_passes_plain_lines_as_it_is():
    sheet = io.StringIO()
    Progress(sheet).write_through("50%\r\x1b[1mx")
    assert sheet.getvalue() == "50%\r\x1b[1mx"


def test_colours_are_only_added():
    plain, coloured = io.StringIO(), io.StringIO()
    for sheet, color in ((plain, False), (coloured, True)):
        clock = Clock()
        progress = Progress(sheet, color=color, clock=clock)
        play(progress, clock)
        progress.run_finished("cancelled", 1, {"completed": 1}, "hint")
    assert "\x1b[32m✓\x1b[0m" in coloured.getvalue()
    assert re.sub(r"\x1b\[[0-9]+m", "", coloured.getvalue()) == plain.getvalue()


# live


def test_a_live_run_reads_as_the_guide_shows_it():
    rig = Rig()
    play(rig.progress, rig.clock)
    assert rig.frame(0) == [
        *HEAD,
        "  ◐ fit         3.1 s   (last time 8.4 s)  ━━━━━━╺━━━━━━━━━━",
        "  · evaluate",
    ]
    rig.progress.node_finished("fit", "completed", 8_000_000)
    rig.progress.node_finished("evaluate", "completed", 3_000)
    rig.progress.run_finished("completed", 9_800_000, {"completed": 3, "cached": 1}, "results: x")
    assert rig.rows() == [
        *HEAD,
        "  ✓ fit         8.0 s",
        "  ✓ evaluate    3 ms",
        "  done in 9.8 s · 3 ran, 1 cached · results: x",
    ]
    assert (rig.screen.cursor.x, rig.screen.cursor.y) == (0, 6)
    assert not rig.screen.cursor.hidden


def test_the_bar_fills_and_stays_full():
    rig = Rig(unicode=False)
    rig.progress.run_started("t", "r", "", ["fit"])
    rig.progress.node_started("fit", 1_000_000)
    assert rig.frame(0.5)[-1].endswith("(last time 1.0 s)  ########.........")
    assert rig.frame(9)[-1].endswith("(last time 1.0 s)  " + "#" * 17)


def test_items_of_a_map_are_counted():
    rig = Rig()
    rig.progress.run_started("t", "r", "", ["score"])
    rig.progress.node_started("score")
    rig.progress.node_items("score", 10, 20)
    assert rig.frame(1)[-1] == "  ◐ score       1.0 s   10 of 20  ━━━━━━━━╺━━━━━━━━"
    rig.progress.node_items("score", 11, None)
    assert rig.frame(1)[-1] == "  ◐ score       2.0 s   11 done"


def test_printed_text_scrolls_above_the_live_rows():
    rig = Rig()
    play(rig.progress, rig.clock)
    rig.frame()
    rig.progress.write_through("epoch 1\nepoch 2\n")
    rig.progress.write_through("epoch 3, half a ")
    rows = rig.frame()
    assert rows[3:6] == ["epoch 1", "epoch 2", "epoch 3, half a"]
    assert rows[6].startswith("  ◐ fit")
    rig.progress.write_through("row\n\x1b[31mred\x1b[0m\n10%\r20%\r30%")
    rows = rig.frame()
    assert rows[5:8] == ["epoch 3, half a row", "red", "30%"]
    rig.progress.message("a remark")
    rows = rig.frame()
    assert rows[7:9] == ["  a remark", "30%"]
    rig.progress.close()
    assert rig.rows()[7:] == ["  a remark", "30%"]


def test_printed_text_cannot_move_the_cursor():
    rig = Rig()
    play(rig.progress, rig.clock)
    rig.frame()
    rig.progress.write_through("a\x1b[2J\x1b[10Ab\x1b]0;title\x07c\x1bMd\x0b\x9be\x1bc\n")
    rows = rig.frame()
    assert rows[:4] == [*HEAD, "abcde"]
    assert rows[4].startswith("  ◐ fit")


def test_a_million_printed_lines_cost_few_writes_and_none_is_lost():
    rig = Rig()
    rig.progress.run_started("t", "r", "", ["noisy"])
    rig.progress.node_started("noisy")
    for i in range(100_000):
        rig.progress.write_through(f"line {i}\n")
    rig.progress.close()
    assert len(rig.sheet.writes) < 30
    assert re.findall(r"line (\d+)\n", rig.sheet.getvalue()) == [str(i) for i in range(100_000)]


def test_a_line_without_end_is_bounded():
    rig = Rig()
    rig.progress.run_started("t", "r", "", [])
    for _ in range(100):
        rig.progress.write_through("x" * 10_000)
        rig.progress.write_through("\r" * 1000)
    for _ in range(100):
        rig.progress.write_through("y" * 10_000)
    rig.progress.close()
    assert rig.sheet.getvalue().count("y") >= 1_000_000


def test_frames_are_at_most_ten_a_second_and_equal_ones_are_not_written():
    rig = Rig()
    rig.progress.run_started("t", "r", "", ["a"])
    before = len(rig.sheet.writes)
    for i in range(1000):
        rig.clock.now += 0.001
        rig.progress.node_items("a", i, 1000)
    assert len(rig.sheet.writes) - before <= 10
    rig.progress.node_finished("a", "completed", 5)
    rig.frame()
    before = len(rig.sheet.writes)
    for _ in range(10):
        rig.frame()
    assert len(rig.sheet.writes) == before


def test_every_frame_is_one_write_that_shows_the_cursor_again():
    rig = Rig()
    play(rig.progress, rig.clock)
    for _ in range(5):
        rig.frame()
    assert all(text.endswith("\x1b[?25h") for text in rig.sheet.writes)
    assert all(text.count("\x1b[?25l") == 1 for text in rig.sheet.writes)


def test_a_running_frame_erases_only_behind_its_text():
    rig = Rig()
    play(rig.progress, rig.clock)
    rig.frame()
    rig.frame()
    frame = rig.sheet.writes[-1]
    assert "\x1b[2K" not in frame
    assert frame.index("\x1b[J") > frame.index("evaluate")


def test_more_steps_than_rows_show_the_running_ones_and_counts():
    rig = Rig(lines=8)
    names = [f"s{i:03}" for i in range(300)]
    rig.progress.run_started("big", "r", "", names)
    for name in names[:40]:
        rig.progress.node_finished(name, "completed", 1000)
    for name in names[40:43]:
        rig.progress.node_started(name)
    rows = rig.frame()
    assert [row.split()[1] for row in rows[-6:-1]] == ["s040", "s041", "s042", "s043", "s044"]
    assert rows[-1] == "  255 more pending · 40 of 300 finished"
    for name in names[43:60]:
        rig.progress.node_started(name)
    assert rig.frame()[-1] == "  15 more running, 240 more pending · 40 of 300 finished"
    for name in names[40:]:
        rig.progress.node_finished(name, "completed", 1000)
    rig.progress.run_finished("completed", 5, {"completed": 300})
    rows = rig.rows()
    assert [row.split()[1] for row in rows[1:-1]] == names


def test_a_total_tells_of_steps_not_yet_known():
    rig = Rig(lines=4, total=50)
    rig.progress.run_started("t", "r", "", ["a", "b", "c"])
    assert rig.frame()[-1] == "  2 more pending · 0 of 50 finished"


@pytest.mark.parametrize("columns", [20, 21, 33, 80, 200])
@pytest.mark.parametrize("lines", [1, 2, 3, 24])
def test_any_size_of_terminal_works(columns, lines):
    rig = Rig(columns, lines)
    rig.progress.run_started("training", "01jqx3", "dev", ["日本語" * 9, "n" * 10_000, "fit"])
    rig.progress.node_started("日本語" * 9, 5_000_000)
    rig.progress.node_started("fit", 5_000_000)
    for _ in range(5):
        rig.frame()
    rig.progress.node_finished("fit", "completed", 1000, "x" * 500)
    rig.progress.node_finished("n" * 10_000, "cached", 0, "from run")
    rig.progress.node_finished("日本語" * 9, "completed", 5)
    rig.progress.run_finished("completed", 5, {"completed": 3})
    signs = [row.split()[0] for row in rig.rows() if row.startswith("  ")]
    assert signs[:3] == ["✓", "≡", "✓"]
    assert "◐" not in signs


def test_a_wider_terminal_is_used_at_once():
    rig = Rig(30)
    play(rig.progress, rig.clock)
    rig.frame()
    rig.screen.resize(columns=80)
    rig.columns = 80
    assert rig.frame()[-2].endswith("━")
    assert sum("fit" in row for row in rig.rows()) == 1


def test_rows_that_a_narrower_terminal_wrapped_are_counted():
    rig = Rig(80)
    play(rig.progress, rig.clock)
    rig.frame()
    rig.columns = 30  # the bar's row of 60 cells is now two rows high, the other one
    rig.clock.now += 1
    rig.progress.tick()
    assert rig.sheet.writes[-1].startswith("\x1b[?25l\r\x1b[3A")


def test_an_error_leaves_a_usable_terminal():
    rig = Rig()

    def interrupted():
        with rig.progress as progress:
            play(progress, rig.clock)
            progress.write_through("last words")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert rig.rows() == [*HEAD, "last words"]
    assert not rig.screen.cursor.hidden
    rig.progress.close()
    rig.progress.write_through("afterwards\n")
    assert rig.rows()[-1] == "afterwards"


def test_a_reader_that_has_gone_does_not_fail_the_run():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    for live in (False, True):
        clock = Clock()
        progress = Progress(Gone(), live=live, clock=clock, ticking=False)
        play(progress, clock)
        progress.tick()
        progress.write_through("x")
        progress.run_finished("completed", 1, {})
        assert progress._stream is None


def test_signs_that_the_stream_cannot_encode_are_spelled_out():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Progress(stream).run_started("prüfung", "r")
    assert raw.getvalue() == b"pr\\xfcfung \\xb7 run r\n"


def test_hidden_progress_starts_no_thread_and_keeps_nothing():
    progress = Progress(None, live=True)
    clock = Clock()
    before = threading.active_count()
    play(progress, clock)
    progress.node_items("fit", 1, 2)
    progress.message("x")
    progress.write_through("x")
    progress.tick()
    progress.run_finished("completed", 1, {})
    progress.close()
    assert threading.active_count() == before
    assert progress._nodes == {}


def test_the_painter_runs_by_itself_and_stops():
    painted = threading.Event()

    class Watch(io.StringIO):
        def write(self, text):
            if "0.1 s" in text or "0.2 s" in text:
                painted.set()
            return super().write(text)

    with Progress(Watch(), live=True, size=lambda: (80, 24)) as progress:
        progress.run_started("t", "r", "", ["fit"])
        progress.node_started("fit")
        assert painted.wait(20)
        thread = progress._thread
    assert not thread.is_alive()


def test_many_threads_may_report_at_once():
    rig = Rig(lines=6)
    names = [f"n{i}" for i in range(200)]
    rig.progress.run_started("t", "r", "", names)

    def work(part):
        for name in part:
            rig.progress.node_started(name)
            rig.progress.write_through(f"from {name}\n")
            rig.progress.node_finished(name, "completed", 5)

    threads = [threading.Thread(target=work, args=(names[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rig.progress.run_finished("completed", 5, {"completed": 200})
    rows = rig.rows()
    assert sorted(row.split()[1] for row in rows if row.startswith("  ✓")) == sorted(names)
    assert sum(row.startswith("from n") for row in rows) == 200


CHILD = """
import os, sys
from zenlib.display import Progress
progress = Progress(sys.stdout, live=True, size=lambda: (80, 24), ticking=False)
progress.run_started("t", "r", "", ["fit"])
child = os.fork()
if not child:
    progress.write_through("hello from the child\\n")
    progress.close()
    os._exit(0)
os.waitpid(child, 0)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_paints_nothing():
    environ = {**os.environ, "PYTHONUTF8": "1"}
    done = subprocess.run([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, env=environ)
    text = done.stdout.decode()
    assert text.count("\x1b[?25l") == 1
    assert text.endswith("\x1b[?25hhello from the child\n")


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_the_size_of_a_real_terminal_is_used_and_followed():
    import fcntl
    import pty
    import struct
    import termios

    from zenlib.live import size_of

    main, side = pty.openpty()
    try:
        with os.fdopen(side, "w", encoding="utf-8") as stream:
            assert terminal_of(stream, {"TERM": "xterm"}).live
            fcntl.ioctl(main, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 33, 0, 0))
            assert size_of(stream) == (33, 10)
            fcntl.ioctl(main, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
            assert size_of(stream) == (80, 24)
    finally:
        os.close(main)
    assert size_of(io.StringIO()) == (80, 24)

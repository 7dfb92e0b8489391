import os
import re
import shlex
import subprocess
import sys

import projects
import pytest

from zenlib import Client
from zenlib.cli import lines
from zenlib.cli.failures import of_text
from zenlib.cli.output import Output
from zenlib.hashing import new_id
from zenlib.records import Run, StepRun

project = projects.project
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")


@pytest.fixture
def history(project):
    """Four runs: the first, one with another lr, one that failed, one with other code."""
    project.run("train.py", "-q")
    project.run("train.py", "-q", "-p", "lr=0.25", "--tag", "nightly")
    assert project.run("train.py", "-q", "-p", "lr=7").code == 1
    project.edit("train.py", "sum(rows) * lr", "sum(rows) * lr + 1")
    project.run("train.py", "-q", "--tag", "a, b")
    return project


def ids():
    return [run.id for run in Client().runs()]


# runs list


def test_runs_are_listed_newest_first_with_their_steps_counted(history):
    answer = history.zen("runs", "list")
    rows = answer.out.splitlines()
    assert rows[0].split() == ["RUN", "PIPELINE", "STATUS", "STARTED", "TOOK", "STEPS", "STACK", "TAGS"]  # fmt: skip
    assert len(rows) == 5
    assert re.search(r"✓ completed .* 2 ran 2 ≡ .*a, b$", rows[1])
    assert re.search(r"✗ failed .* 2 ≡ 1 ✗ 1 – ", rows[2])
    assert re.search(r"✓ completed .* 4 ran ", rows[4])
    assert [row.split()[0] for row in rows[1:]] == [id[:13] for id in ids()]


def test_the_ids_of_a_listing_are_found_again(history):
    for row in history.zen("runs", "list").out.splitlines()[1:]:
        assert history.zen("runs", "show", row.split()[0], "--json").code == 0


def test_the_json_of_a_listing_has_the_records_without_plans(history):
    listed = history.zen("runs", "list", "--json").json
    assert [run["id"] for run in listed] == ids()
    assert set(listed[0]) == {*Run.model_fields, "took_us", "counts"} - {"plan"}
    assert listed[0]["counts"] == {"completed": 2, "cached": 2}
    assert listed[0]["tags"] == ["a, b"]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--pipeline", "training"], 4),
        (["--pipeline", "other"], 0),
        (["--status", "failed"], 1),
        (["--status", "running"], 0),
        (["--tag", "nightly"], 1),
        (["--limit", "2"], 2),
        (["--limit", "10000"], 4),
        (["--status", "completed", "--tag", "nightly"], 1),
        (["--pipeline", "%"], 0),
        (["--pipeline", "' or 1=1 --"], 0),
    ],
)
def test_a_listing_is_filtered(history, options, count):
    answer = history.zen("runs", "list", "--json", *options)
    assert (answer.code, len(answer.json)) == (0, count)
    if not count:
        assert history.zen("runs", "list", *options).err == "no run matches\n"


@pytest.mark.parametrize(
    "options", [["--status", "done"], ["--limit", "0"], ["--limit", "-1"], ["--limit", "10001"], ["--limit", "x"]]
)  # fmt: skip
def test_a_wrong_filter_is_refused(zen, options):
    assert zen("runs", "list", *options).code == 2


def test_an_empty_history_says_so(zen):
    answer = zen("runs", "list")
    assert (answer.code, answer.out, answer.err) == (0, "", "there is no run yet\n")
    assert zen("runs", "list", "--json").json == []


def test_runs_of_one_millisecond_are_told_apart(zen):
    record = {"pipeline": "p", "status": "completed", "started_us": 1}
    first = "01890a5d-ac96-774b-bcce-b302099a8057"
    second = "01890a5d-ac96-7750-bcce-b302099a8057"
    Client().stack.metadata.put(Run(id=first, **record), Run(id=second, **record))
    shown = [row.split()[0] for row in zen("runs", "list").out.splitlines()[1:]]
    assert shown == ["01890a5d-ac96-775", "01890a5d-ac96-774"]
    assert zen("runs", "show", shown[0], "--json").json["id"] == second


def test_a_plan_of_a_newer_version_does_not_spoil_the_listing(zen):
    plan = {"format": 99}
    Client().stack.metadata.put(Run(pipeline="p", status="completed", started_us=1, plan=plan))
    assert zen("runs", "list", "--json").json[0]["counts"] is None
    answer = zen("runs", "show", "latest")
    assert answer.code == 2
    assert "this plan has format 99" in answer.err


def test_too_many_steps_are_not_counted(zen):
    nodes = [{}] * 6_000
    run = Run(pipeline="big", status="completed", started_us=1, plan={"nodes": nodes})
    Client().stack.metadata.put(run)
    assert zen("runs", "list", "--json").json[0]["counts"] is None
    assert "?" in zen("runs", "list").out


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
@pytest.mark.parametrize(
    "command", [["list"], ["show", "latest"], ["why", "latest"], ["compare", "latest~1", "latest"]]
)
def test_lines_fit_the_terminal(history, monkeypatch, columns, command):
    monkeypatch.setenv("COLUMNS", str(columns))
    answer = history.zen("runs", *command)
    assert answer.code == 0
    assert max(map(len, answer.out.splitlines())) <= columns


# Which run


@pytest.mark.parametrize("command", ["show", "why"])
def test_a_run_is_named_by_id_prefix_or_place(history, command):
    for text, place in [("latest", 0), ("latest~0", 0), ("latest~1", 1), ("latest~3", 3)]:
        id = ids()[place]
        assert history.zen("runs", command, text).out == history.zen("runs", command, id).out
    assert history.zen("runs", "show", ids()[1].replace("-", "")[:30], "--json").json["id"] == ids()[1]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("latest~4", 6, "there is no run latest~4"),
        ("latest~999999", 6, "there is no run"),
        ("ffffffff", 6, "no run has an id that begins with 'ffffffff'"),
        ("../../etc", 6, "no run has the id"),
        ("0", 2, "give more characters"),
        ("x" * 10_000, 6, "no run has the id"),
        ("", 6, "no run has the id"),
        ("🚀", 6, "no run has the id"),
    ],
)
def test_a_run_that_is_not_there_is_named(history, text, code, words):
    for command in (["show", text], ["why", text], ["compare", text, "latest"]):
        answer = history.zen("runs", *command, "--json")
        assert answer.code == code, answer
        assert words in answer.json["error"]["message"]
        assert len(answer.err) < 300


def test_the_first_run_of_an_empty_history_is_not_found(zen):
    assert zen("runs", "show", "latest").code == 6


# runs show


def test_a_run_is_shown_with_its_parameters_steps_and_picture(history):
    out = history.zen("runs", "show", "latest~2").out
    assert out.startswith(f"training · ✓ completed · run {ids()[2]}\n")
    for words in ("parameter  lr = 0.25", "tags       nightly", "stack      default"):
        assert words in out
    assert re.search(r"started    \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d, ", out)
    assert "│ ≡ load " in out
    assert re.search(r"^load +≡ cached +same code, inputs", out, re.MULTILINE)
    assert re.search(r"^fit +✓ completed .*ms  parameter lr: 0.5 → 0.25 +model ", out, re.MULTILINE)


def test_the_picture_is_drawn_when_asked_for_and_left_out_when_not(history):
    assert "╭" in history.zen("runs", "show", "latest", "--dag").out
    assert "╭" not in history.zen("runs", "show", "latest", "--no-dag").out


def test_a_failed_run_is_shown_with_its_failure(history):
    out = history.zen("runs", "show", "latest~1").out
    assert "  fit failed after" in out
    assert re.search(r"    train\.py:\d+ in fit\n        raise ValueError", out)
    assert "    ValueError: lr is too large\n" in out
    assert "    inputs: rows = split.train (b3:" in out
    assert "engine.py" not in out
    assert "engine.py" in history.zen("runs", "show", "latest~1", "--full-traceback").out


def test_the_json_of_a_run_is_its_record_with_those_of_its_steps(history):
    shown = history.zen("runs", "show", "latest~1", "--json").json
    assert set(shown) == {*Run.model_fields, "took_us", "steps"}
    assert set(shown["steps"][0]) == {*StepRun.model_fields, "took_us"}
    assert shown["failure"]["type"] == "ValueError"
    assert {step["node"]: step["status"] for step in shown["steps"]}["evaluate"] == "skipped"


MAPPED = """
from zenlib import pipeline, step

@step
def part(x: int) -> int:
    if x == 13:
        raise ValueError("13")
    return x

@step
def total(xs: list[int]) -> int:
    return sum(xs)

@pipeline
def mapped(n: int, bad: bool = False):
    return total(part.map([*range(n), *([13] if bad else [])]))
"""


def test_items_of_a_mapped_step_are_folded(project):
    project.write("mapped.py", MAPPED)
    assert project.run("mapped.py", "-p", "n=4", "-q").code == 0
    out = project.zen("runs", "show", "latest").out
    assert re.search(r"^part ×4 +✓ completed", out, re.MULTILINE)
    assert re.search(r"part +ran +4 items; ask for one: part\[0\]", project.zen("runs", "why", "latest").out)  # fmt: skip
    assert "first run of this step" in project.zen("runs", "why", "latest", "part[2]").out
    assert project.zen("runs", "list", "--json").json[0]["counts"] == {"completed": 2}


def test_the_failed_item_of_a_mapped_step_is_shown(project):
    project.write("mapped.py", MAPPED)
    args = ["-p", "n=3", "-p", "bad=true", "-q", "--fail", "finish", "--workers", "1"]
    assert project.run("mapped.py", *args).code == 1
    out = project.zen("runs", "show", "latest").out
    assert "part[3] failed after" in out
    assert "inputs: x = 13" in out


def test_a_long_run_is_neither_drawn_nor_explained_unless_asked_for(project):
    project.write(
        "long.py",
        """
        from zenlib import pipeline, step

        @step
        def one(x: int) -> int:
            return x + 1

        @pipeline
        def long():
            x = 0
            for _ in range(60):
                x = one(x)
            return x
        """,
    )
    project.run("long.py", "-q")
    out = project.zen("runs", "show", "latest").out
    assert "WHY" not in out
    assert "╭" not in out
    assert "one_60" in project.zen("runs", "show", "latest", "--dag").out
    assert len(project.zen("runs", "why", "latest", "--json").json) == 60


def test_a_run_that_still_goes_on_is_shown(project):
    project.run("train.py", "-q")
    record = Client().run("latest").record
    Client().stack.metadata.put(
        record.model_copy(update={"id": new_id(), "version": 1, "status": "running", "ended_us": None})
    )  # fmt: skip
    out = project.zen("runs", "show", "latest").out
    assert "◐ running" in out
    assert "so far" in out
    assert re.search(r"^fit +· pending", out, re.MULTILINE)
    assert "fit       pending  it has not ended" in project.zen("runs", "why", "latest").out


def test_control_codes_in_names_and_messages_do_not_reach_the_terminal(project):
    project.edit("train.py", '"lr is too large"', '"red \\x1b[31m \\x07 bell"')
    answer = project.run("train.py", "-p", "lr=7", "--tag", "t\x1b[2Jag", "-p", "n=3")
    shown = project.zen("runs", "show", "latest").out + project.zen("runs", "list").out
    for text in (answer.err, shown):
        assert "\x1b" not in text
        assert "\x07" not in text


# runs why


def test_why_says_for_each_step_what_became_of_it(history):
    out = history.zen("runs", "why", "latest~2").out
    rows = out.splitlines()
    assert re.fullmatch(r"  load      cached  same code, inputs and parameters as run [0-9a-f-]{13}, .*", rows[0])  # fmt: skip
    assert rows[2] == "  fit       ran     parameter lr: 0.5 → 0.25"
    assert re.fullmatch(r"  evaluate  ran     input model changed \(fit\.model b3:.{4}… → b3:.{4}…\)", rows[3])  # fmt: skip
    assert "fit       failed   parameter lr: 0.25 → 7.0" in history.zen("runs", "why", "latest~1").out  # fmt: skip


def test_why_of_one_step_with_the_changed_source(history):
    answer = history.zen("runs", "why", "latest", "fit", "--diff")
    assert re.search(r"fit  ran  .*changed \(train\.py:\d+\), 1 line", answer.out)
    assert '-    return {"weight": sum(rows) * lr}\n' in answer.out
    assert '+    return {"weight": sum(rows) * lr + 1}\n' in answer.out
    one = history.zen("runs", "why", "latest", "fit", "--json").json
    assert set(one) == {"node", "verdict", "reasons", "since", "diff"}
    assert one["verdict"] == "ran"
    assert "sum(rows) * lr + 1" in one["diff"]
    every = history.zen("runs", "why", "latest", "--json").json
    assert [why["node"] for why in every] == ["load", "split", "fit", "evaluate"]


def test_an_unknown_step_is_named(history):
    answer = history.zen("runs", "why", "latest", "fitt")
    assert answer.code == 6
    assert "has no step 'fitt'; it has load, split, fit, evaluate" in answer.err


# runs compare


def test_a_comparison_shows_what_differs(history):
    out = history.zen("runs", "compare", "latest~3", "latest~2").out
    assert re.search(r"^  parameters  lr +0\.5 +→  0\.25 +-0\.25$", out, re.MULTILINE)
    assert re.search(r"^  metrics     fit\.loss +2 +→  4 +\+2$", out, re.MULTILINE)
    assert re.search(r"^  data        fit\.model +b3:\w+… +→  b3:\w+…$", out, re.MULTILINE)
    assert "code" not in out


def test_a_comparison_shows_the_changed_source_when_asked_for(history):
    out = history.zen("runs", "compare", "latest~3", "latest").out
    assert re.search(r"^  code +fit  .*changed \(train\.py:\d+\), 1 line  \(--diff shows it\)$", out, re.MULTILINE)  # fmt: skip
    assert "+    return" not in out
    out = history.zen("runs", "compare", "latest~3", "latest", "--diff").out
    assert '+    return {"weight": sum(rows) * lr + 1}\n' in out
    assert "--diff shows it" not in out


def test_a_step_that_was_skipped_is_no_change_of_its_code(history):
    compared = history.zen("runs", "compare", "latest~2", "latest~1", "--json").json
    assert set(compared) == {"a", "b", "changes", "diff"}
    assert not [change for change in compared["changes"] if change["section"] == "code"]
    assert {c["name"]: c["new"] for c in compared["changes"] if c["section"] == "steps"} == {
        "fit": "failed",
        "evaluate": "skipped",
    }


def test_equal_runs_have_no_difference(history):
    assert history.zen("runs", "compare", "latest", "latest").out == "no difference\n"
    assert history.zen("runs", "compare", "latest", "latest", "--json").json["changes"] == []


# All of them


def test_another_stack_is_asked_by_its_name(history):
    history.zen("init")
    history.zen("stack", "register", "b", "--metadata-store", "./b.db", "--artifact-store", "./b")
    assert history.zen("runs", "list", "--stack", "b", "--json").json == []
    for command in (["list"], ["show", "latest"], ["why", "latest"], ["compare", "0", "1"]):
        assert history.zen("runs", *command, "--stack", "nope").code == 3


def test_a_damaged_history_is_named(history, zenlib, place):
    history.zen("init")
    (place / ".zen" / "metadata.db").write_bytes(b"this is no database" * 1000)
    answer = zenlib("runs", "list", "--json")
    assert answer.code == 4, answer
    assert "metadata.db" in answer.json["error"]["message"]
    assert "Traceback" not in answer.err


def test_the_help_of_each_command_says_what_its_json_is(zen):
    for command in ("list", "show", "compare", "why"):
        assert "With --json" in zen("runs", command, "--help").out
    assert zen("runs").code == 2
    assert "did you mean 'show'" in zen("runs", "shwo").err


@posix
def test_a_closed_stdout_ends_quietly(history):
    for command in ("runs list --json", "runs show latest", "runs why latest"):
        line = f"{shlex.quote(sys.executable)} -m zenlib {command} | head -c 0; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")


def test_an_ascii_terminal_gets_ascii(history, zenlib):
    plain = {"PYTHONIOENCODING": "ascii"}
    for command in (["list"], ["show", "latest"], ["why", "latest"], ["compare", "latest~3", "latest", "--diff"]):  # fmt: skip
        answer = zenlib("runs", *command, env=plain)
        assert answer.code == 0, answer
        assert answer.out.isascii()
        assert "\\u" not in answer.out
    assert "completed  " in zenlib("runs", "list", env=plain).out


def test_colours_where_they_are_wanted(history, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    for command in (["list"], ["show", "latest"], ["why", "latest"], ["compare", "latest~3", "latest", "--diff"]):  # fmt: skip
        coloured = history.zen("runs", *command, color=True).out
        monkeypatch.setenv("NO_COLOR", "1")
        plain = history.zen("runs", *command, color=True).out
        monkeypatch.delenv("NO_COLOR")
        assert "\x1b[" not in plain
        if command[0] != "compare" or "+    return" in plain:
            assert "\x1b[" in coloured
        assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def complete(words, incomplete):
    from click.shell_completion import ShellComplete

    from zenlib.cli.main import cli

    found = ShellComplete(cli, {}, "zenlib", "_ZENLIB_COMPLETE").get_completions(words, incomplete)
    return [item.value for item in found]


def test_ids_and_pipelines_are_completed(history, capfd, monkeypatch):
    assert complete(["runs", "show"], "") == ["latest", *(id[:13] for id in ids())]
    assert complete(["runs", "compare", "latest"], ids()[2][:13]) == [ids()[2][:13]]
    assert complete(["runs", "list", "--pipeline"], "tr") == ["training"]
    assert complete(["artifacts", "show"], "tr") == ["train"]
    assert complete(["runs", "show", "--stack", "nope"], "") == []
    monkeypatch.setenv("ZENLIB_METADATA_STORE", "nonsense://x")
    assert complete(["runs", "show"], "") == []
    assert capfd.readouterr() == ("", "")


# The pieces


@pytest.mark.parametrize("room", [1, 2, 5, 17, 80])
@pytest.mark.parametrize(
    "text", ["", "a b c", "x" * 50, "日本語 テキスト 日本", "one  two", "🚀" * 9]
)
def test_folding_loses_no_letter(text, room):
    rows = lines.fold(text, room)
    assert "".join(rows).replace(" ", "") == text.replace(" ", "")
    assert all(len(row) == 1 or lines.width_of(row) <= room for row in rows)


def test_rows_without_a_last_cell_end_where_they_end(capsys):
    lines.columns(Output(width=20), [("a", "b", ""), ("a", "b", "long enough to be put below")])
    assert capsys.readouterr().out.splitlines()[0] == "  a  b"


def test_a_recorded_traceback_is_read(tmp_path):
    text = (
        '  File "/home/me/a b.py", line 3, in f\n    x = (1 +\n        y)\n    ^^^^\n'
        '  File "/usr/lib/python3/site-packages/numpy/core.py", line 9, in g\n    raise E\n'
        "not a frame\n"
    )
    (frame,) = of_text(text)
    assert frame == ("/home/me/a b.py", 3, "f", "x = (1 +")
    foreign = '  File "/x/site-packages/n.py", line 9, in g\n    raise E\n'
    assert [frame.line for frame in of_text(foreign)] == [9]
    assert of_text("") == []

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import projects
import pytest
from projects import TRAIN

from zenlib import Client
from zenlib.cli.loading import names_in, split
from zenlib.cli.main import cli

project = projects.project
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and terminals")


def statuses(answer):
    return {step["node"]: step["status"] for step in answer.json["steps"]}


# The file and its pipeline


@pytest.mark.parametrize("target", ["train.py", "train.py:training", "./train.py", "train", "train:training"])  # fmt: skip
def test_a_file_or_module_is_run(project, target):
    answer = project.run(target, "--json")
    assert answer.code == 0, answer
    assert answer.json["status"] == "completed"
    assert statuses(answer) == dict.fromkeys(["load", "split", "fit", "evaluate"], "completed")


def test_a_file_in_another_folder_imports_what_lies_beside_it(project):
    folder = project.folder / "deep"
    folder.mkdir()
    project.write("deep/helper.py", "FACTOR = 3\n")
    project.write(
        "deep/job.py",
        """
        from helper import FACTOR
        from zenlib import pipeline, step

        @step
        def triple(x: int) -> int:
            return FACTOR * x

        @pipeline
        def work(x: int = 2):
            return triple(x)
        """,
    )
    answer = project.run("deep/job.py", "--json")
    assert (answer.code, answer.json["pipeline"]) == (0, "work")
    assert project.zen("artifacts", "get", "triple").out == "6\n"


@pytest.mark.parametrize(
    ("name", "module"), [("two.parts.py", "two.parts"), ("my-train.py", "my-train")]
)
def test_a_file_whose_name_is_no_identifier_is_run(project, name, module):
    project.write(name, TRAIN)
    assert project.run(name, "--json").json["plan"]["nodes"][0]["code"]["module"] == module


def test_what_stands_below_main_does_not_run(project):
    project.run("train.py")
    assert len(Client().runs()) == 1


def test_a_script_and_the_command_share_their_results(project, zenlib):
    done = subprocess.run(
        [sys.executable, "train.py"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = zenlib("run", "train.py", "--json")
    assert set(statuses(answer).values()) == {"cached"}
    assert set(statuses(zenlib("run", "train", "--json")).values()) == {"cached"}


def test_steps_of_a_file_run_in_worker_processes(project):
    project.write(
        "many.py",
        """
        import os
        from zenlib import pipeline, step

        @step(isolated=True)
        def where(x: int) -> tuple[int, int]:
            print("from the worker", x)
            return os.getpid(), x

        @pipeline
        def many():
            return where.map([1, 2])
        """,
    )
    answer = project.run("many.py", "--workers", "2")
    assert answer.code == 0, answer
    assert "from the worker 1" in answer.err
    pids = [item.load()[0] for item in Client().run("latest").outputs]
    assert os.getpid() not in pids


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("trian.py", "there is no file 'trian.py'; did you mean 'train.py'?"),
        ("train.py:trainign", "no pipeline 'trainign'; did you mean 'training'?"),
        ("train.py:" + "x" * 10_000, "train.py has no pipeline 'xxx"),
        ("nowhere.at.all", "cannot be imported"),
        ("nomodule", "there is no module 'nomodule'; for a file write nomodule.py"),
        (".", "'.' is a folder"),
        ("notes.txt", "no Python file"),
        ("empty.py", "empty.py has no pipeline: decorate a function with @pipeline"),
        ("two.py", "has several pipelines, so name one: two.py:first (first, second)"),
        ("x" * 10_000 + ".py", "there is no file"),
        ("json.py", "the name of another module"),
        ("a\0b.py", "there is no file"),
    ],
)
def test_a_target_that_is_not_there_is_named(project, target, words):
    project.write("notes.txt", "")
    project.write("empty.py", "")
    project.write("json.py", TRAIN)
    body = (
        "from zenlib import pipeline\n@pipeline\ndef first(): ...\n@pipeline\ndef second(): ...\n"
    )
    project.write("two.py", body)
    answer = project.run(target)
    assert (answer.code, answer.out) == (2, "")
    assert words in answer.err
    assert len(answer.err) < 500


def test_an_imported_pipeline_does_not_count_beside_an_own_one(project):
    project.write(
        "mine.py",
        """
        from train import load, training
        from zenlib import pipeline

        @pipeline
        def own():
            return load(3)
        """,
    )
    assert project.run("mine.py", "--json").json["pipeline"] == "own"
    assert project.run("mine.py:training", "--json").json["pipeline"] == "training"


def test_a_pipeline_is_found_by_the_name_it_was_given(project):
    name = "träin the/model 🚀"
    project.edit("train.py", "@pipeline\n", f"@pipeline(name={name!r})\n")
    assert project.run(f"train.py:{name}", "--json").json["pipeline"] == name
    assert name in project.zen("runs", "list").out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nope_nope\n", ["bad.py:1 in <module>", "import nope_nope", "ModuleNotFoundError"]),
        ("def f(:\n    pass\n", ["bad.py:1", "SyntaxError: "]),
        ("def f():\n    return 1 / 0\nx = f()\n", ["bad.py:2 in f", "ZeroDivisionError"]),
        ("import sys\nsys.exit(3)\n", ["bad.py:2", "SystemExit: 3", "__name__"]),
        ("from zenlib import step\nstep(3)\n", ["@step decorates a function", "bad.py:2"]),
        ("import json\njson.loads('{')\n", ["bad.py:2", "JSONDecodeError"]),
        (
            f"from zenlib import pipeline\n@pipeline(name={'x' * 10_000!r})\ndef f(): ...\n",
            ["1 to 200"],
        ),
    ],
)
def test_a_file_that_cannot_be_imported_shows_the_users_own_lines(project, text, words):
    project.write("bad.py", text)
    answer = project.run("bad.py")
    assert (answer.code, answer.out) == (2, "")
    for word in words:
        assert word in answer.err
    for foreign in ("importlib", "loading.py", "Traceback", "json/decoder", "steps.py"):
        assert foreign not in answer.err


def test_all_frames_of_a_failed_import_are_shown_when_asked_for(project):
    project.write("bad.py", "import nope_nope\n")
    assert "loading.py" in project.run("bad.py", "--full-traceback").err


def test_a_pipeline_that_raises_while_it_is_wired_is_shown(project):
    project.edit("train.py", "    train, test = split", "    lr / 0\n    train, test = split")
    answer = project.run("train.py", "--json")
    assert answer.code == 2
    assert "pipeline 'training' raised" in answer.err
    assert re.search(r"train\.py:\d+ in training", answer.err)
    assert answer.json["error"]["code"] == "invalid"
    assert Client().runs() == []


def test_a_handle_used_as_a_value_is_shown_with_its_line(project):
    project.edit("train.py", "split(load(n))", "split(load(n) + [1])")
    answer = project.run("train.py")
    assert answer.code == 2
    assert "load(n) + [1]" in answer.err


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("a.py:b", ("a.py", "b")),
        ("C:\\x\\a.py:b:c", ("C:\\x\\a.py", "b:c")),
        ("C:\\x\\a.py", ("C:\\x\\a.py", "")),
        ("pkg.mod:f", ("pkg.mod", "f")),
    ],
)
def test_a_target_is_split_at_the_colon_behind_the_file(target, parts):
    assert split(target) == parts


# Parameters


KINDS = """
import dataclasses, datetime, decimal, enum, pathlib, typing, uuid
from pydantic import BaseModel
from zenlib import pipeline, step

class Colour(enum.Enum):
    RED = "r"
    TWO = 2

@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0

class Model(BaseModel):
    depth: int
    name: str = "m"

@step
def keep(value) -> str:
    return repr(value)

@pipeline
def {name}(value{hint}):
    return keep(value)
"""


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        ("float", "0.2", "0.2"),
        ("float", "nan", "nan"),
        ("float", "NaN", "nan"),
        ("float", "-Infinity", "-inf"),
        ("float", "5", "5.0"),
        ("int", "7", "7"),
        ("int", "9" * 4000, "9" * 4000),
        ("int", "-" + "9" * 30, "-" + "9" * 30),
        ("bool", "true", "True"),
        ("bool", "0", "False"),
        ("bool", "yes", "True"),
        ("str", "7", "'7'"),
        ("str", "", "''"),
        ("str", "null", "'null'"),
        ("str", "a=b=c", "'a=b=c'"),
        ("str", "$(rm -rf ~); `x` | & > 'q' \"p\" \\n *", None),
        ("str", "日本 🚀 é", None),
        ("str", "x" * 10_000, None),
        ("str | None", "null", "None"),
        ("str | None", "None", "'None'"),
        ("int | None", "None", "None"),
        ("int | None", "3", "3"),
        ("typing.Optional[float]", "2", "2.0"),
        ("int | str", "5", "5"),
        ("int | str", "five", "'five'"),
        ("float | str", "0.5", "0.5"),
        ("list[int] | str", "[1]", "[1]"),
        ("typing.Literal['a', 1]", "a", "'a'"),
        ("typing.Literal['a', 1]", "1", "1"),
        ("Colour", "r", "<Colour.RED: 'r'>"),
        ("Colour", "2", "<Colour.TWO: 2>"),
        ("Colour", "RED", "<Colour.RED: 'r'>"),
        ("list[int]", "[1, 2]", "[1, 2]"),
        ("tuple[int, str]", '[1, "a"]', "(1, 'a')"),
        ("set[int]", "[3]", "{3}"),
        ("dict[str, float]", '{"a": 1}', "{'a': 1.0}"),
        ("list", "[NaN]", "[nan]"),
        ("Point", '{"x": 1}', "Point(x=1, y=0.0)"),
        ("Model", '{"depth": 3}', "Model(depth=3, name='m')"),
        ("pathlib.Path", "a b/c", None),
        ("datetime.date", "2026-02-28", "datetime.date(2026, 2, 28)"),
        ("datetime.datetime", "2026-02-28T10:00:00", "datetime.datetime(2026, 2, 28, 10, 0)"),
        (
            "datetime.datetime",
            "2026-02-28T10:00:00Z",
            "datetime.datetime(2026, 2, 28, 10, 0, tzinfo=datetime.timezone.utc)",
        ),
        ("datetime.timedelta", "PT90S", "datetime.timedelta(seconds=90)"),
        ("decimal.Decimal", "0.10", "Decimal('0.10')"),
        (
            "uuid.UUID",
            "12345678123456781234567812345678",
            "UUID('12345678-1234-5678-1234-567812345678')",
        ),
        ("", "0.2", "0.2"),
        ("", "text", "'text'"),
        ("", "[1, {}]", "[1, {}]"),
        ("", "NaN", "nan"),
        ("typing.Any", "true", "True"),
        ("None", "null", "None"),
    ],
)  # fmt: skip
def test_a_parameter_is_read_by_its_annotation_and_arrives_exactly(project, hint, text, value):
    project.write("kinds.py", KINDS.format(name="kinds", hint=f": {hint}" if hint else ""))
    answer = project.run("kinds.py", "--param", f"value={text}", "--json")
    assert answer.code == 0, answer
    if value is None:
        value = repr(text) if hint == "str" else f"PosixPath({text!r})"
    got = Client().run("latest").outputs.load().replace("WindowsPath", "PosixPath")
    assert got == value


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [("str | None", '"null"', "'null'"), ("str", '"a\\nb"', "'a\\nb'"), ("", '"7"', "'7'")],
)
def test_a_value_can_be_given_as_exact_json(project, hint, text, value):
    project.write("kinds.py", KINDS.format(name="kinds", hint=f": {hint}" if hint else ""))
    assert project.run("kinds.py", "-p", f"value:={text}").code == 0
    assert Client().run("latest").outputs.load() == value


@pytest.mark.parametrize(
    ("hint", "text", "words"),
    [
        ("float", "abc", "takes float"),
        ("float", "", "takes float"),
        ("int", "5.5", "takes int"),
        ("int", "true", "takes int"),
        ("int", "9" * 5000, "exceeded"),
        ("", "9" * 5000, "4300"),
        ("bool", "maybe", "takes bool"),
        ("int | None", "x", "takes int | None"),
        ("typing.Literal['a', 'b']", "c", "'a' or 'b'"),
        ("Colour", "BLUE", "takes Colour"),
        ("list[int]", "1,2", "not JSON"),
        ("list[int]", '[1, "x"]', "1: input should be a valid integer"),
        ("dict", '{"a": 1, "a": 2}', "key twice"),
        ("list", "[" * 100_000, "nested too deep"),
        ("Point", '{"y": 1}', "x: field required"),
        ("Model", "{}", "depth: field required"),
        ("datetime.date", "2026-02-30", "takes date"),
        ("type(keep)", "x", "cannot be written on the command line"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_the_reason(project, hint, text, words):
    project.write("kinds.py", KINDS.format(name="kinds", hint=f": {hint}" if hint else ""))
    answer = project.run("kinds.py", "--param", f"value={text}", "--json")
    assert answer.code == 2, answer
    assert words in answer.json["error"]["message"]
    assert len(answer.err) < 600
    assert Client().runs() == []


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (["lrr=1"], "no parameter 'lrr'; did you mean 'lr'?; its parameters are lr, n"),
        (["lr"], "write name=value"),
        (["=3"], "write name=value"),
        (["lr=1", "lr=2"], "given twice"),
        ([f"{'x' * 10_000}=1"], "no parameter"),
    ],
)
def test_a_wrong_parameter_is_named(project, params, words):
    answer = project.run("train.py", *[word for param in params for word in ("-p", param)])
    assert answer.code == 2
    assert words in answer.err
    assert len(answer.err) < 400


def test_missing_parameters_are_listed(project):
    project.edit("train.py", "lr: float = 0.5, n: int = 10", "lr: float, n: int")
    answer = project.run("train.py")
    assert answer.code == 2
    assert "pipeline 'training' needs lr, n: add --param lr=… --param n=…" in answer.err


def test_positional_and_variable_parameters_are_given_by_name(project):
    project.write(
        "odd.py",
        """
        from zenlib import pipeline, step

        @step
        def keep(a, b, more) -> list:
            return [a, b, more]

        @pipeline
        def odd(a: int, b: int = 5, /, *rest, **more: float):
            return keep(a, b, dict(more))
        """,
    )
    assert project.run("odd.py", "-p", "a=1", "-p", "c=2").code == 0
    assert Client().run("latest").outputs.load() == [1, 5, {"c": 2.0}]
    assert "no parameter" not in project.run("odd.py", "-p", "a=1", "-p", "rest=2").err


# What is run, and how


def test_the_second_run_is_cached_and_no_cache_computes_again(project):
    project.run("train.py")
    assert set(statuses(project.run("train.py", "--json")).values()) == {"cached"}
    again = project.run("train.py", "--no-cache", "--json")
    assert set(statuses(again).values()) == {"completed"}
    assert statuses(project.run("train.py", "-p", "lr=0.1", "--json")) == {
        "load": "cached",
        "split": "cached",
        "fit": "completed",
        "evaluate": "completed",
    }


def test_tags_are_added_to_those_of_the_pipeline(project):
    project.edit("train.py", "@pipeline\n", "@pipeline(tags=['own'])\n")
    answer = project.run("train.py", "--tag", "nightly", "--tag", "own", "--tag", "a b", "--json")
    assert answer.json["tags"] == ["own", "nightly", "a b"]


def test_another_stack_is_used_and_named_in_the_hint(project):
    project.zen("init")
    project.zen(
        "stack", "register", "other", "--metadata-store", "./o.db", "--artifact-store", "./o"
    )
    answer = project.run("train.py", "--stack", "other")
    assert answer.code == 0
    assert "· stack other" in answer.err
    hint = re.search(r"results: zenlib (.*)", answer.err)[1]
    assert project.zen(*shlex.split(hint)).code == 0
    assert project.zen("runs", "show", "latest").code == 6
    missing = project.run("train.py", "--stack", "othre")
    assert (missing.code, "did you mean 'other'" in missing.err) == (3, True)


def test_workers_are_handed_to_the_orchestrator(project):
    assert project.run("train.py", "--workers", "1").code == 0
    assert project.run("train.py", "--workers", "0").code == 2


BRANCHES = """
from zenlib import pipeline, step

@step
def bad() -> int:
    raise RuntimeError("no")

@step
def good() -> int:
    return 1

@step
def more(x: int) -> int:
    return x + 1

@pipeline
def branches():
    bad()
    return more(good())
"""


def test_fail_finish_goes_on_with_what_does_not_depend_on_the_failure(project):
    project.write("branches.py", BRANCHES)
    answer = project.run("branches.py", "--fail", "finish", "--workers", "1", "--json")
    assert answer.code == 1
    assert statuses(answer) == {"bad": "failed", "good": "completed", "more": "completed"}
    answer = project.run("branches.py", "--fail", "fast", "--workers", "1", "--json")
    assert statuses(answer)["bad"] == "failed"
    assert project.run("branches.py", "--fail", "slow").code == 2


def test_a_dry_run_tells_what_would_run_and_runs_nothing(project):
    answer = project.run("train.py", "--dry-run")
    assert answer.code == 0
    assert re.search(r"load +would run +first run of this step", answer.out)
    assert Client().runs() == []
    project.run("train.py")
    answer = project.run("train.py", "--dry-run", "-p", "lr=0.1", "--json")
    steps = {step["node"]: step for step in answer.json["steps"]}
    assert steps["load"]["verdict"] == "cached"
    assert steps["fit"]["reasons"] == ["parameter lr: 0.5 → 0.1"]
    assert steps["evaluate"]["verdict"] == "may run"
    assert answer.json["stack"] == "default"
    assert len(Client().runs()) == 1


# What is shown


def test_progress_and_prints_go_to_stderr_and_stdout_stays_empty(project):
    answer = project.run("train.py")
    assert answer.out == ""
    rows = answer.err.splitlines()
    assert re.fullmatch(r"training · run [0-9a-f-]{13} · stack default", rows[0])
    assert rows[1] == "loading 10"
    assert re.fullmatch(r"  ✓ load        .* ms +\[0, 1, 2, 3, 4, 5, 6, 7, 8, 9\]", rows[2])
    assert re.search(r"✓ split .*train \[.*\]; test \[8, 9\]", rows[3])
    assert re.fullmatch(r"  done in .* · 4 ran · results: zenlib runs show [0-9a-f-]{13}", rows[-1])
    assert "\x1b" not in answer.err
    again = project.run("train.py")
    assert re.search(r"≡ load +cached  from run [0-9a-f-]{13}, just now", again.err)


def test_the_hint_of_the_closing_line_works(project):
    hint = re.search(r"results: zenlib (.*)", project.run("train.py").err)[1]
    assert project.zen(*hint.split()).code == 0


def test_quiet_shows_only_what_the_steps_print(project):
    answer = project.run("train.py", "--quiet")
    assert (answer.code, answer.out, answer.err) == (0, "", "loading 10\n")


def test_with_json_stdout_is_one_object_whatever_the_steps_print(project, zenlib):
    project.edit("train.py", '    print("loading", n)', '    print("x"); import os; os.system("echo child"); os.write(1, b"raw")')  # fmt: skip
    answer = zenlib("run", "train.py", "--json")
    assert answer.code == 0, answer
    assert answer.json["took_us"] > 0
    assert all("took_us" in step for step in answer.json["steps"])
    for word in ("x\n", "child\n", "raw"):
        assert word in answer.err


def test_a_failed_step_shows_the_users_lines_the_error_and_the_inputs(project):
    answer = project.run("train.py:training", "--param", "lr=7")
    assert (answer.code, answer.out) == (1, "")
    found = re.search(
        r"  ✗ fit         failed after .*\n"
        r"    train\.py:21 in fit\n"
        r'        raise ValueError\("lr is too large"\)\n'
        r"    ValueError: lr is too large\n"
        r"    inputs: rows = split\.train \(b3:[0-9a-f]{4}…\), lr = 7\.0\n"
        r"    retry from here: the same command again      in a debugger: (zenlib run .* --pdb)\n",
        answer.err,
    )
    assert found, answer.err
    assert "– evaluate    skipped" in answer.err
    assert shlex.split(found[1]) == ["zenlib", "run", "train.py:training", "--param", "lr=7", "--pdb"]  # fmt: skip
    assert re.search(r"1 failed.* · details: zenlib runs show [0-9a-f-]+$", answer.err.rstrip())
    assert "engine.py" not in answer.err


def test_all_frames_of_a_failure_are_shown_when_asked_for(project):
    answer = project.run("train.py", "-p", "lr=7", "--full-traceback")
    assert "engine.py" in answer.err


def test_a_quiet_failure_is_told_all_the_same(project):
    answer = project.run("train.py", "-p", "lr=7", "-q", "--json")
    assert answer.code == 1
    assert answer.json["status"] == "failed"
    assert re.search(r"^error: step 'fit' of run [0-9a-f-]{36} failed$", answer.err, re.MULTILINE)
    assert "ValueError: lr is too large" in answer.err


def test_with_json_a_failed_run_is_still_the_runs_record(project):
    answer = project.run("train.py", "-p", "lr=7", "--json")
    assert answer.code == 1
    assert answer.json["failure"]["type"] == "ValueError"
    assert statuses(answer)["evaluate"] == "skipped"


def test_the_failed_item_of_a_mapped_step_is_named(project):
    project.write(
        "items.py",
        """
        from zenlib import pipeline, step

        @step
        def half(x: int) -> float:
            return 1 / (x - 2)

        @pipeline
        def items():
            return half.map([1, 2, 3])
        """,
    )
    answer = project.run("items.py", "--fail", "finish", "--workers", "1")
    assert answer.code == 1
    assert "item half[1]:" in answer.err
    assert "inputs: x = 2" in answer.err
    assert "ZeroDivisionError" in answer.err


def test_only_frames_of_the_project_are_shown(project):
    project.edit("train.py", 'raise ValueError("lr is too large")', 'import json; json.loads("{")')
    answer = project.run("train.py", "-p", "lr=7")
    assert "train.py:21 in fit" in answer.err
    assert "decoder.py" not in answer.err


def test_names_of_all_kinds_are_shown(project):
    wild = "wild name/with [brackets] 🚀 日本 " + "x" * 150
    project.edit("train.py", "@step\ndef load", f"@step(name={wild!r})\ndef load")
    answer = project.run("train.py", "--json")
    assert answer.code == 0, answer
    assert wild in statuses(answer)
    assert wild in project.zen("artifacts", "list").out


def test_a_long_name_is_refused_where_it_is_given(project):
    project.edit("train.py", "@step\ndef load", f"@step(name={'x' * 10_000!r})\ndef load")
    answer = project.run("train.py")
    assert answer.code == 2
    assert len(answer.err) < 500


def test_the_debugger_wants_the_terminal(project):
    assert "--pdb needs the terminal" in project.run("train.py", "--pdb", "--json").err


def test_the_debugger_stops_where_the_step_raised(project, zenlib):
    answer = zenlib("run", "train.py", "-p", "lr=7", "--pdb", input="p lr * 2\nq\n")
    assert answer.code == 1
    assert "step fit raised ValueError" in answer.err
    assert "14.0" in answer.out


# Processes: signals, streams, terminals


def test_the_exit_code_of_a_process(project, zenlib):
    assert zenlib("run", "train.py").code == 0
    assert zenlib("run", "train.py", "-p", "lr=7").code == 1
    assert zenlib("run", "nope.py").code == 2


SLOW = """
import time
from zenlib import pipeline, step

@step
def first() -> int:
    return 1

@step
def slow(x: int) -> int:
    print("slow begins", flush=True)
    time.sleep(60)
    return x

@pipeline
def waiting():
    return slow(first())
"""


@posix
@pytest.mark.parametrize("quiet", [False, True])
def test_an_interrupt_stops_the_run_keeps_what_completed_and_exits_130(project, quiet):
    project.write("slow.py", SLOW)
    command = [sys.executable, "-m", "zenlib", "run", "slow.py", "--json", *["--quiet"] * quiet]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )
    told = ""
    while "slow begins" not in told:
        line = process.stderr.readline()
        assert line, told
        told += line
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    assert json.loads(out)["status"] == "cancelled"
    assert "kept" in rest
    assert "Traceback" not in rest
    assert Client().run("latest").steps["first"].status == "completed"
    assert Client().run("latest").steps["slow"].status == "cancelled"


@posix
def test_an_interrupt_while_the_file_is_imported_exits_130(project):
    project.write("slow.py", "import time\nprint('here', flush=True)\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "zenlib", "run", "slow.py"], stderr=subprocess.PIPE, encoding="utf-8"
    )
    assert process.stderr.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in rest


@posix
def test_a_run_goes_on_when_nobody_reads_its_output(project):
    command = f"{shlex.quote(sys.executable)} -m zenlib run train.py --json 2>&1 | head -c 1"
    subprocess.run(["sh", "-c", command], check=True, capture_output=True, timeout=120)
    assert Client().run("latest").status == "completed"


@posix
def test_closed_streams_do_not_stop_a_run(project):
    command = f"{shlex.quote(sys.executable)} -m zenlib run train.py >&- 2>&-"
    done = subprocess.run(["sh", "-c", command], check=False, timeout=120)
    assert done.returncode == 0
    assert Client().run("latest").status == "completed"


def test_an_ascii_terminal_gets_ascii(project, zenlib):
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}  # fmt: skip
    project.edit("train.py", '"loading"', '"löading"')
    answer = zenlib("run", "train.py", env=plain)
    assert answer.code == 0, answer
    assert answer.err.isascii()
    assert "* load" in answer.err


def _on_a_terminal(*args, columns=80, **environment):
    pty = pytest.importorskip("pty")
    import fcntl
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "zenlib", *args],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "TERM": "xterm", **environment},
    )
    os.close(follower)
    seen = b""
    while True:
        try:
            data = os.read(leader, 65536)
        except OSError:  # the other side is closed
            break
        if not data:
            break
        seen += data
    os.close(leader)
    return process.wait(60), seen.decode()


NAP = """
import os, sys, time
from zenlib import pipeline, step

@step
def nap() -> int:
    print("printed")
    print("to stderr", file=sys.stderr)
    sys.stdout.buffer.write("bytes é\\n".encode())
    assert sys.stdout.isatty()
    os.fstat(sys.stdout.fileno())
    time.sleep(0.5)
    return 1

@pipeline
def napping():
    return nap()
"""


@posix
def test_a_terminal_shows_the_run_live_with_prints_above(project):
    project.write("nap.py", NAP)
    code, seen = _on_a_terminal("run", "nap.py")
    assert code == 0, seen
    assert "\x1b[?25l" in seen
    assert re.search(r"◐.*nap", seen)
    assert seen.index("printed") < seen.index("◐")
    for word in ("to stderr", "bytes é", "✓", "done in"):
        assert word in seen


@posix
@pytest.mark.parametrize("columns", [20, 200])
def test_a_terminal_of_any_width_is_filled_and_not_overflowed(project, columns):
    project.write("nap.py", NAP)
    code, seen = _on_a_terminal("run", "nap.py", columns=columns)
    assert code == 0, seen
    frames = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    live = [row for row in frames.splitlines() if "◐" in row]
    assert live
    assert all(len(row.strip("\r")) < columns for row in live)


@posix
def test_no_colour_where_none_is_wanted(project):
    project.write("nap.py", NAP)
    _, seen = _on_a_terminal("run", "nap.py", NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]+m", seen.replace("\x1b[0m", ""))
    _, seen = _on_a_terminal("run", "nap.py", TERM="dumb")
    assert "\x1b" not in seen


# Help and completion


def test_the_help_documents_the_json_and_the_exit_codes(zen):
    text = zen("run", "--help").out
    for word in ("FILE[:PIPELINE]", "--param", "--dry-run", "took_us", "130"):
        assert word in text


def complete(words, incomplete):
    from click.shell_completion import ShellComplete

    found = ShellComplete(cli, {}, "zenlib", "_ZENLIB_COMPLETE").get_completions(words, incomplete)
    return [item.value for item in found]


def test_pipelines_of_a_file_are_completed_without_running_it(project):
    project.write("loud.py", "raise SystemExit\n\n@zenlib.pipeline(tags=[])\ndef one(): ...\n")
    assert complete(["run"], "loud.py:") == ["loud.py:one"]
    assert complete(["run"], "train.py:tr") == ["train.py:training"]
    assert complete(["run"], "nope.py:") == []
    project.write("broken.py", "def (")
    assert complete(["run"], "broken.py:") == []
    assert names_in("def plain(): ...\nx = 1") == []

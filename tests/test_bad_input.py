"""Bad input, end to end: what the user is told, and that nothing earlier is lost.

Each row goes through the command line (message, exit code, no traceback) or a call of a pipeline.
Before it, a good pipeline runs; after it, that run must still be there, and the next must work.
"""

import contextlib
import json
import math
import re
import sqlite3
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from faults.world import (
    Answer,
    blobs,
    check_history,
    database_of,
    flip,
    overwrite,
    statuses,
)

from zenlib import Client, Invalid, NotSerializable, Status, StepFailed, pipeline, step
from zenlib.cli.main import cli
from zenlib.errors import CorruptArtifact, StoreTooNew, Unavailable
from zenlib.stack import close_all


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty project folder to stand in."""
    found = tmp_path / "project"
    found.mkdir()
    monkeypatch.chdir(found)
    modules = set(sys.modules)
    path = [*sys.path]
    yield found
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def zenlib(*args: object) -> Answer:
    """Run a command in this process."""
    done = CliRunner().invoke(cli, [str(arg) for arg in args])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.stderr
    return Answer(done.exit_code, done.stdout, done.stderr)


@step
def one(n: int = 1) -> int:
    return n


@step
def array(n: int) -> np.ndarray:
    return np.arange(n, dtype=float)


@step
def add_up(data: np.ndarray, k: int) -> float:
    return float(data.sum()) + k


@pipeline
def earlier():
    return array(1000)


def check_earlier(home: Path, *more: str) -> None:
    """Check that the first run is there with its result, and that a new one takes it as a hit."""
    first = Client().runs(pipeline="earlier", limit=100)[-1]
    assert first.status is Status.COMPLETED
    assert first.outputs.load().sum() == 499_500
    assert check_history(home)[1:] == [*more]
    assert statuses(earlier()) == {"array": "cached"}


HEAD = """
    from typing import Annotated
    from zenlib import either, pipeline, step, unmapped, when
    @step
    def one(n: int = 1) -> int:
        return n
    @step
    def needs(n: int) -> int:
        return n
    @step
    def text() -> str:
        return "x"
"""


def run_file(body: str, *args: str, name: str = "train") -> Answer:
    Path(f"{name}.py").write_text(textwrap.dedent(HEAD) + textwrap.dedent(body), "utf-8")
    return zenlib("run", f"{name}.py", *args)


# Plans that cannot be: refused before anything runs or is recorded.

REFUSED = {
    "two outputs of one name": (
        """
        @step
        def twins() -> tuple[Annotated[int, "x"], Annotated[int, "x"]]:
            return 1, 2
        @pipeline
        def p():
            return twins()
        """,
        ["step 'twins' has two outputs named 'x'", "give each its own name", "train.py:"],
    ),
    "a cycle": (
        """
        from zenlib.steps import tracer
        @pipeline
        def p():
            first = needs(1)
            second = needs(first)
            tracer.get().order("needs", (second,))
            return second
        """,
        ["pipeline 'p' has a cycle: needs → needs_2 → needs"],
    ),
    "a pipeline without steps": (
        """
        @pipeline
        def p():
            return 1
        """,
        ["pipeline 'p' has no steps: its function must call at least one step"],
    ),
    "an argument is missing": (
        """
        @pipeline
        def p():
            return needs()
        """,
        ["step 'needs' in pipeline 'p'", "missing a required argument: 'n'", "(n: int)"],
    ),
    "an argument too many": (
        """
        @pipeline
        def p():
            return needs(1, 2)
        """,
        ["step 'needs' in pipeline 'p': too many positional arguments"],
    ),
    "an argument with a typo": (
        """
        @pipeline
        def p():
            return needs(m=1)
        """,
        ["step 'needs' in pipeline 'p'", "'n'"],
    ),
    "an argument of the wrong type": (
        """
        @pipeline
        def p():
            return needs("three")
        """,
        ["parameter 'n' of step 'needs' takes int, but is given 'three' (str)"],
    ),
    "an output of the wrong type": (
        """
        @pipeline
        def p():
            return needs(text())
        """,
        ["parameter 'n' of step 'needs' takes int", "output 'output' of step 'text'", "is str"],
    ),
    "an output used as a value": (
        """
        @pipeline
        def p():
            if one(1):
                return one(2)
        """,
        ["the output 'output' of step 'one' is used as a condition", "with when(output)"],
    ),
    "mapped over nothing": (
        """
        @pipeline
        def p():
            return needs.map(1)
        """,
        ["step 'needs' of pipeline 'p' is mapped over nothing"],
    ),
    "an error in the body": (
        """
        @pipeline
        def p():
            one(1)
            raise ValueError("not today")
        """,
        ["pipeline 'p' raised while its steps were wired", "train.py:", "ValueError: not today"],
    ),
    "a step name with a line break": (
        """
        @pipeline
        def p():
            return one.with_options(name="two\\nlines")(1)
        """,
        ["a step's name must be a text of 1 to 200 printable characters", r"'two\nlines'"],
    ),
    "a step name of ten thousand characters": (
        """
        @pipeline
        def p():
            return one.with_options(name="x" * 10_000)(1)
        """,
        ["a step's name must be a text of 1 to 200 printable characters", "(10000 characters)"],
    ),
    "nested pipelines with names that are too long together": (
        """
        @pipeline(name="y" * 200)
        def inner():
            return one.with_options(name="x" * 200)(1)
        @pipeline
        def p():
            return inner()
        """,
        ["has 401 characters; at most 240 can be kept: give the step or its pipelines shorter"],
        "p",
    ),
    "a step on an operator that is not there": (
        """
        @pipeline
        def p():
            return one.with_options(on="gpu")(1)
        """,
        ["step 'one' is to run on 'gpu', but no step operator of this name", "leave `on` out"],
    ),
    "an option with a typo": (
        """
        @pipeline
        def p():
            return one.with_options(retrys=1)(1)
        """,
        ["retrys"],
    ),
    "an async pipeline": (
        """
        @pipeline
        async def p():
            return one(1)
        """,
        ["pipeline 'p' is an `async def`", "make it a plain function"],
    ),
    "a file with a syntax error": ("def (\n", ["train.py cannot be imported", "SyntaxError"]),
    "a file that imports what is not there": (
        "import no_such_module_here\n",
        ["train.py cannot be imported", "no_such_module_here"],
    ),
    "a file without a pipeline": ("x = 1\n", ["train.py has no pipeline"]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_plan_that_cannot_run_is_refused_with_words_and_nothing_is_recorded(home, what):
    earlier()
    body, words, *name = REFUSED[what]
    Path("train.py").write_text(textwrap.dedent(HEAD) + textwrap.dedent(body), "utf-8")
    done = zenlib("run", ":".join(["train.py", *name]))
    assert done.code == 2, done
    assert all(word in done.err for word in words), done
    assert done.out == ""
    check_earlier(home)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--param", "n=three"], ["parameter 'n' of pipeline 'p' takes int", "three"]),
        (["--param", "m=3"], ["pipeline 'p' has no parameter 'm'"]),
        (["--param", "n:=[1"], ["n"]),
        ([], ["pipeline 'p' needs n: add --param n=…"]),
        (["--stack", "nowhere"], ["no stack is called 'nowhere'; known: default"]),
        (["--fail", "never"], ["'never' is not one of 'fast', 'finish'"]),
        (["--workers", "0"], ["0 is not in the range x>=1"]),
    ],
)
def test_wrong_arguments_of_a_run_are_refused_with_words_and_nothing_is_recorded(home, args, words):
    earlier()
    done = run_file(
        """
        @pipeline
        def p(n: int):
            return needs(n)
        """,
        *args,
    )
    assert done.code == (3 if "--stack" in args else 2), done
    assert all(word in done.err for word in words), done
    check_earlier(home)


def test_files_and_pipelines_that_are_not_there_are_named_with_the_nearest(home):
    earlier()
    body = """
        @pipeline
        def training():
            return one(1)
        """
    assert run_file(body).code == 0
    for target, words in (
        ("trian.py", "did you mean 'train.py'?"),
        ("train.py:trainig", "training"),
        ("/nowhere/train.py", "/nowhere/train.py"),
        ("x" * 10_000 + ".py", "there is no file"),
        (".", "."),
        ("", "''"),
    ):
        done = zenlib("run", target)
        assert done.code == 2, (target, done)
        assert words in done.err, done
        assert len(done.err) < 1000
    check_earlier(home, "completed")


# Outputs that cannot be: the step fails, what ran before it is kept.


def failing(fn):
    made = step(fn)

    @pipeline(name="failing")
    def body():
        return made(one(2))

    return body


def generator(n: int) -> object:
    return (n for _ in range(3))


def lock(n: int) -> object:
    return [{"lock": threading.Lock()}]


def lies(n: int) -> int:
    return "no number"


def lies_at_length(n: int) -> int:
    return ["x" * 1_000_000] * 100


def too_few(n: int) -> tuple[int, int]:
    return (n,)


def something(n: int) -> None:
    return n


UNKEPT = {
    generator: (
        NotSerializable,
        "output 'output' of step 'generator': a generator cannot be kept: .*return data instead",
    ),
    lock: (NotSerializable, "output 'output' of step 'lock': a list cannot be kept: .*lock"),
    lies: (Invalid, r"output 'output' of step 'lies' must be int, but is 'no number' \(str\)"),
    lies_at_length: (Invalid, r"must be int, but is \['xxx.*\(list\); nothing was stored"),
    too_few: (Invalid, "step 'too_few' must return a tuple of 2"),
    something: (Invalid, "step 'something' must return nothing"),
}


@pytest.mark.parametrize("fn", UNKEPT, ids=lambda fn: fn.__name__)
def test_an_output_that_cannot_be_kept_fails_its_step_and_stores_nothing_of_it(home, fn):
    earlier()
    kind, words = UNKEPT[fn]
    with pytest.raises(StepFailed, match=words) as caught:
        failing(fn)()
    assert isinstance(caught.value.__cause__, kind)
    assert len(str(caught.value)) < 1000
    run = Client().run(caught.value.run_id)
    assert statuses(run) == {"one": "completed", fn.__name__: "failed"}
    assert Client().artifacts(fn.__name__) == []
    check_earlier(home, "failed")


def test_a_failed_step_is_told_by_the_command_line_with_exit_code_1(home):
    earlier()
    body = """
        @step
        def broken(n: int) -> int:
            return 1 // n
        @pipeline
        def p():
            return broken(needs(0))
        """
    done = run_file(body)
    assert done.code == 1, done
    assert "ZeroDivisionError" in done.err
    assert "in broken" in done.err
    assert "n = needs" in done.err
    data = json.loads(run_file(body, "--json").out)
    assert data["status"] == "failed"
    check_earlier(home, "failed", "failed")


# Values at the edge.


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        -0.0,
        10**400,
        "",
        "half \ud800",
        "nul \x00 and \u202e",
        "x" * 100_000,
        {"b": 1, "a": [math.inf, (1, {2, 3})]},
        {1: "a", "1": "b"},
        b"\xff\x00",
    ],
    ids=lambda value: re.sub(r"\W+", "-", repr(value))[:20],
)
def test_a_parameter_of_any_value_comes_back_exactly_and_is_found_again(home, value):
    @step
    def same(given: object) -> object:
        return given

    @pipeline(name="same")
    def body(given: object):
        return same(given)

    for expected in ("completed", "cached"):
        run = body(value)
        assert statuses(run) == {"same": expected}
        assert repr(run.outputs.load()) == repr(value)
        assert repr(run.params["given"]) == repr(value)
    assert zenlib("runs", "show", "latest").code == 0
    assert json.loads(zenlib("runs", "show", "latest", "--json").out)["status"] == "completed"
    check_history(home)


def test_a_parameter_with_a_repr_that_fails_is_refused_by_its_type(home):
    class Odd:
        def __repr__(self):
            raise RuntimeError("no repr")

    for value, shown in ((Odd(), "<Odd"), ([10**5000], "<list>"), ([[1] * 10**6] * 10, r"\[\[1, ")):
        words = f"parameter 'n' of step 'one' takes int, but is given {shown}"
        with pytest.raises(Invalid, match=words) as caught:
            pipeline(lambda value=value: one(value))()
        assert len(str(caught.value)) < 300
    assert Client().runs() == []


NAMES = [
    "a b",
    "a/b",
    "..",
    "con",
    "🐙" * 50,
    "quote'\"",
    "--json",
    "Ä",
    "print",
    "__class__",
    "[0]",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_name_with_odd_characters_goes_through_every_command(home, name):
    @pipeline(name=name)
    def body():
        return one.with_options(name=name)(5), one.with_options(name=name).map([6])

    body()
    listed = json.loads(zenlib("runs", "list", "--json").out)
    assert [run["pipeline"] for run in listed] == [name]
    shown = json.loads(zenlib("runs", "show", "latest", "--json").out)
    assert {each["step"] for each in shown["steps"]} == {name}
    assert zenlib("runs", "show", "latest").code == 0
    assert zenlib("runs", "why", "latest", "--", name).code == 0
    assert json.loads(zenlib("artifacts", "show", "--json", "--", name).out)["name"] == name
    assert zenlib("artifacts", "get", "--", name).out == "5\n"
    assert statuses(body()) == {name: "cached", f"{name}_2[0]": "cached"}
    check_history(home)


TWINS = ["A", "a", "\u00e1", "a\u0301", "a "]


def test_names_that_differ_by_case_accent_or_space_keep_their_results_apart(home):
    @pipeline
    def body():
        return [one.with_options(name=name)(n) for n, name in enumerate(TWINS)]

    assert body().outputs.load() == [0, 1, 2, 3, 4]
    for n, name in enumerate(TWINS):
        assert Client().artifact(name).load() == n
        assert Client().artifact(name).version == 1


# Asking for what is not there.


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["runs", "show", "0000"], 6, "no run has an id that begins with '0000'"),
        (["runs", "show", "no such id"], 6, "no run has the id"),
        (["runs", "show", "x" * 10_000], 6, "no run has the id"),
        (["runs", "show", "0"], 2, "several runs have ids that begin with '0'"),
        (["runs", "list", "--status", "done"], 2, "done"),
        (["runs", "list", "--limit", "-1"], 2, "-1"),
        (["runs", "why", "latest", "nothing"], 6, "has no step 'nothing'"),
        (["runs", "compare", "latest", "0000"], 6, "no run"),
        (["artifacts", "show", "nothing"], 6, "there is no artifact 'nothing'"),
        (["artifacts", "get", "array@99"], 6, "99"),
        (["artifacts", "get", "%"], 6, "there is no artifact '%'"),
        (["artifacts", "get", "' OR 1=1 --"], 6, "there is no artifact"),
    ],
)
def test_asking_for_what_is_not_there_says_so(home, args, code, words):
    earlier(), earlier()
    done = zenlib(*args)
    assert done.code == code, done
    assert words in done.err
    assert len(done.err) < 1000
    assert done.out == ""
    answered = zenlib(*args, "--json")
    assert answered.code == code
    check_earlier(home, "completed")


# Source files.


def test_a_source_file_that_is_gone_does_not_stop_what_is_loaded(home, folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    Path("gone_steps.py").write_text(
        "from zenlib import step\n@step\ndef f(n: int) -> int:\n    return n + 1\n"
    )
    import gone_steps

    Path("gone_steps.py").unlink()
    body = pipeline(name="p")(lambda: gone_steps.f(1))
    first, second = body(), body()
    assert first.outputs.load() == second.outputs.load() == 2
    (verdict,) = statuses(second).values()
    assert verdict == "cached" or "not cached" in str(second.why("f"))


def test_a_step_without_any_source_runs_and_another_one_is_never_taken_for_it(home):
    def made(text: str):
        names: dict = {}
        exec(f"def f(n: int) -> int:\n    return {text}", names)
        return step(names["f"])

    values = []
    for text in ("n + 1", "n + 2", "n + 1"):
        values.append(pipeline(name="p")(lambda text=text: made(text)(1))().outputs.load())
    assert values == [2, 3, 2]


# Stored values that are damaged (how a run heals itself is in test_faults.py).


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (flip, "has other bytes than were recorded"),
        (lambda blob: overwrite(blob, blob.read_bytes()[:-1]), "has other bytes"),
        (lambda blob: blob.unlink(), "is missing"),
    ],
    ids=["flipped", "truncated", "missing"],
)
def test_a_damaged_artifact_is_exit_code_7_and_a_hit_on_it_runs_again(home, damage, words):
    earlier()
    pipeline(name="other")(lambda: one(5))()
    (blob,) = blobs(home)
    damage(blob)
    close_all()
    with pytest.raises(CorruptArtifact, match=words):
        Client().runs()[-1].outputs.load()
    done = zenlib("artifacts", "get", "array", "--output", "copy.npy")
    assert done.code == 7, done
    assert words in done.err
    assert str(blob) in done.err
    assert "compute the artifact again" in done.err
    assert not Path("copy.npy").exists()
    assert zenlib("artifacts", "get", "one").out == "5\n"
    again = pipeline(name="sum")(lambda: add_up(array(1000), 1))()
    assert statuses(again) == {"array": "completed", "add_up": "completed"}
    check_earlier(home, "completed", "completed")


# The database.


def newer(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE zenlib_version SET version_num = '9999'")
        connection.commit()


DATABASES = {
    "of a newer zenlib": (newer, StoreTooNew, "was written by a newer zenlib.*pip install -U"),
    "truncated": (
        lambda path: overwrite(path, path.read_bytes()[:5000]),
        Unavailable,
        "is damaged, or no SQLite database.*left as it is. Put a copy of it back",
    ),
    "no database": (
        lambda path: overwrite(path, b"name,score\n" * 1000),
        Unavailable,
        "is damaged, or no SQLite database",
    ),
}


@pytest.mark.parametrize("kind", DATABASES)
def test_a_database_that_cannot_be_used_is_named_untouched_and_exit_code_4(home, kind):
    earlier()
    close_all()
    path = database_of(home)
    good = path.read_bytes()
    damage, error, words = DATABASES[kind]
    damage(path)
    bad = path.read_bytes()
    body = """
        @pipeline
        def p():
            return one(1)
        """
    for done in (run_file(body), zenlib("runs", "list"), zenlib("artifacts", "get", "array")):
        assert done.code == 4, done
        assert re.search(words, done.err), done
        assert str(path) in done.err
        assert done.out == ""
        assert "defect" not in done.err
    with pytest.raises(error, match=words):
        earlier()
    close_all()
    assert path.read_bytes() == bad
    overwrite(path, good)
    path.chmod(0o600)
    for side in ("-wal", "-shm"):
        Path(f"{path}{side}").unlink(missing_ok=True)
    check_earlier(home)


# Configuration.


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[stacks.dev]\norchestrater = 'local'\n", ["2", "orchestrater", "orchestrator"]),
        ("stack = 'dve'\n[stacks.dev]\n", ["1", "dve", "dev"]),
        ("[stacks.dev\n", ["1"]),
        ("stack = 'dev'\nstack = 'prod'\n", ["2"]),
        ("stack = 'dev'\n[stacks.dev]\ncache = 'perhaps'\n", ["3", "cache", "perhaps"]),
        (
            "stack = 'dev'\n[stacks.dev]\nmetadata_store = 'mongo://x'\n",
            ["3", "mongo", "sqlite"],
        ),
        (
            "stack = 'dev'\n[stacks.dev]\norchestrator = { type = 'local', workres = 2 }\n",
            ["workres"],
        ),
    ],
)
def test_a_mistake_in_a_settings_file_is_named_with_its_place_and_nothing_runs(home, text, words):
    earlier()
    Path("zenlib.toml").write_text(text)
    done = run_file(
        """
        @pipeline
        def p():
            return one(1)
        """
    )
    assert done.code == 3, done
    assert all(word in done.err for word in words), done
    assert "defect" not in done.err
    Path("zenlib.toml").unlink()
    check_earlier(home)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ZENLIB_STACK", "nowhere", "nowhere"),
        ("ZENLIB_ORCHESTRATOR__WORKERS", "many", "orchestrator.workers must be 1 or more"),
        ("ZENLIB_METADATA_STORE", "", "ZENLIB_METADATA_STORE"),
        ("ZENLIB_METADATA_STORE", "mongo://x", "mongo"),
        ("ZENLIB_HOME", "relative", "ZENLIB_HOME is 'relative'; it must be the absolute path"),
        ("ZENLIB_HOME", "", "ZENLIB_HOME is ''"),
    ],
)
def test_a_mistake_in_a_variable_is_named_and_nothing_runs(home, monkeypatch, name, value, words):
    earlier()
    with monkeypatch.context() as changed:
        changed.setenv(name, value)
        done = run_file(
            """
            @pipeline
            def p():
                return one(1)
            """
        )
    assert done.code == 3, done
    assert words in done.err, done
    assert "defect" not in done.err
    check_earlier(home)

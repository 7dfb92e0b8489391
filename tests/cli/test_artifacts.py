import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import projects
import pytest

from zenlib import Client
from zenlib.artifacts.blobs import key_of
from zenlib.cli.facts import facts, preview
from zenlib.cli.getting import write
from zenlib.errors import CorruptArtifact
from zenlib.hashing import new_id
from zenlib.records import Artifact
from zenlib.serializers.base import Content

project = projects.project
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")

KINDS = """
import datetime, enum, pathlib
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from zenlib import pipeline, step

@dataclass
class Point:
    x: int
    y: tuple

class Colour(enum.Enum):
    RED = "r"

@step
def array() -> np.ndarray:
    return np.arange(12.0).reshape(3, 4)

@step
def several() -> dict:
    return {"a": np.arange(3), "b": np.arange(4), "c": 7, "d": pathlib.Path("folder")}

@step
def folder() -> pathlib.Path:
    return pathlib.Path("folder")

@step
def file() -> pathlib.Path:
    return pathlib.Path("folder/run.sh")

@step
def data() -> Any:
    return {"when": datetime.date(2026, 1, 2), "at": Point(1, (2, 3)), "red": Colour.RED, 5: {6}}

@step
def long() -> list:
    return list(range(5000))

@step
def raw() -> bytes:
    return bytes(range(256)) * 20

@step
def text() -> str:
    return "é \\x1b[31m red"

@step
def foreign() -> Any:
    return (lambda: 1)

@step
def batches():
    yield [1]
    yield [2]

@pipeline
def kinds():
    array(), several(), folder(), file(), data(), long(), raw(), text(), foreign(), batches()
"""


@pytest.fixture
def kinds(project):
    """One artifact of each kind."""
    folder = project.folder / "folder"
    (folder / "deep" / "empty").mkdir(parents=True)
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "deep" / "naïve name.txt").write_text("deep")
    project.write("kinds.py", KINDS)
    answer = project.run("kinds.py", "-q", "--workers", "1")
    assert answer.code == 0, answer
    project.forget()
    return project


def corrupt(name):
    """Change one byte of each stored file of an artifact."""
    client = Client()
    for file in client.artifact(name).content.blobs():
        path = client.stack.shelf.blobs.store.local_path(key_of(file.digest))
        path.chmod(0o600)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)


# list


def test_artifacts_are_listed_newest_first(project):
    project.run("train.py", "-q")
    project.run("train.py", "-q", "-p", "lr=0.1")
    answer = project.zen("artifacts", "list")
    rows = answer.out.splitlines()
    assert rows[0].split() == ["NAME", "TYPE", "CONTENT", "SIZE", "DIGEST", "MADE", "RUN"]
    assert rows[1].startswith("evaluate@2  float")
    listed = project.zen("artifacts", "list", "--json").json
    assert set(listed[0]) == {*Artifact.model_fields, "created_us", "facts"} - {"content"}
    assert len(listed) == 7
    named = project.zen("artifacts", "list", "--name", "model", "--json").json
    assert [row["number"] for row in named] == [2, 1]
    assert len(project.zen("artifacts", "list", "--limit", "3", "--json").json) == 3


def test_an_empty_store_says_so(zen):
    assert zen("artifacts", "list").err == "there is no artifact yet\n"
    assert zen("artifacts", "list", "--json").json == []
    assert zen("artifacts", "list", "--name", "x").err == "no artifact is called 'x'\n"
    assert zen("artifacts", "list", "--limit", "0").code == 2


def test_what_an_artifact_contains_is_told_in_a_few_words(kinds):
    told = {row["name"]: row["facts"] for row in kinds.zen("artifacts", "list", "--json").json}
    assert told["array"] == "3 × 4 float64"
    assert told["folder"] == "2 files"
    assert told["long"] == "length 5000"
    assert told["batches"] == "2 batches"
    assert told["raw"] == "bytes"


@pytest.mark.parametrize("columns", [20, 60, 100])
def test_lines_fit_the_terminal(kinds, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    for command in (["list"], ["show", "array"], ["show", "data"]):
        assert max(map(len, kinds.zen("artifacts", *command).out.splitlines())) <= columns


# show


def test_an_artifact_is_shown_by_name_version_or_id(project):
    project.run("train.py", "-q")
    project.run("train.py", "-q", "-p", "lr=0.1")
    shown = {}
    for text in ("model", "model@2", "model@1"):
        shown[text] = project.zen("artifacts", "show", text, "--json").json
    assert shown["model"] == shown["model@2"]
    assert (shown["model@1"]["number"], shown["model@1"]["node"]) == (1, "fit")
    assert project.zen("artifacts", "show", shown["model@1"]["id"], "--json").json == shown["model@1"]  # fmt: skip
    assert set(shown["model"]) == {*Artifact.model_fields, "created_us", "node", "preview"}
    assert json.loads(shown["model@1"]["preview"]) == {"weight": 14.0}
    out = project.zen("artifacts", "show", "model@1").out
    assert out.startswith("model · version 1 · dict\n")
    assert '  {"weight": 14.0}\n' in out
    assert "by          step fit of run" in out


def test_a_preview_builds_nothing_and_imports_nothing(kinds):
    record = Client().artifact("data").record
    content = {**record.content, "data": record.content["data"].replace("kinds:Point", "gone:Gone")}
    changed = record.model_copy(update={"content": content})
    shown = json.loads(preview(changed))
    assert shown == [
        ["when", "2026-01-02"],
        ["at", {"x": 1, "y": [2, 3]}],
        ["red", "RED"],
        [5, [6]],
    ]
    kinds.forget()
    assert kinds.zen("artifacts", "show", "data").code == 0
    assert "kinds" not in sys.modules


def test_control_codes_in_values_do_not_reach_the_terminal(kinds):
    for command in ("list", "show text", "get text"):
        assert "\x1b" not in kinds.zen("artifacts", *command.split()).out


def test_only_small_values_are_previewed(kinds):
    for name in ("array", "long", "foreign", "folder"):
        assert kinds.zen("artifacts", "show", name, "--json").json["preview"] is None
    record = Client().artifact("text").record
    assert preview(record.model_copy(update={"content": {"data": "not json"}})) is None
    assert preview(record.model_copy(update={"content": {"data": '"' + "x" * 3000 + '"'}})).endswith("…")  # fmt: skip


@pytest.mark.parametrize("command", ["show", "get"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nope", "there is no artifact 'nope'"),
        ("model@9", "there is no artifact 'model' version 9"),
        ("model@999999999999", "there is no artifact"),
        ("x" * 10_000, "there is no artifact"),
        ("ffffffff", "there is no artifact"),
        ("", "there is no artifact"),
        ("../../x", "there is no artifact"),
    ],
)
def test_an_artifact_that_is_not_there_is_named(project, command, text, words):
    project.run("train.py", "-q")
    answer = project.zen("artifacts", command, text, "--json")
    assert answer.code == 6, answer
    assert words in answer.json["error"]["message"]
    assert len(answer.err) < 500


def test_a_name_may_look_like_a_version(project):
    project.edit("train.py", 'Annotated[dict, "model"]', 'Annotated[dict, "model@2"]')
    project.run("train.py", "-q")
    assert project.zen("artifacts", "show", "model@2", "--json").json["name"] == "model@2"
    assert project.zen("artifacts", "show", "model@2@1", "--json").json["number"] == 1


# get


def test_a_small_value_is_printed_as_json(project):
    project.run("train.py", "-q")
    answer = project.zen("artifacts", "get", "model")
    assert (answer.out, answer.err) == ('{"weight":14.0}\n', "")
    assert project.zen("artifacts", "get", "model", "-o", "-").out == answer.out
    got = project.zen("artifacts", "get", "model", "--json").json
    assert (got["value"], got["path"], got["number"]) == ({"weight": 14.0}, None, 1)
    got = project.zen("artifacts", "get", "model", "-o", "m.json", "--json").json
    assert (got["value"], got["path"]) == (None, "m.json")
    assert json.loads((project.folder / "m.json").read_text()) == {"weight": 14.0}


@pytest.mark.parametrize(
    ("name", "file", "size"),
    [
        ("array", "array.npy", 12 * 8 + 128),
        ("long", "long.json", None),
        ("raw", "raw", 256 * 20),
        ("foreign", "foreign.pickle", None),
        ("file", "file.sh", 10),
    ],
)
def test_one_file_becomes_a_file(kinds, name, file, size):
    answer = kinds.zen("artifacts", "get", name)
    assert (answer.code, answer.out) == (0, file + "\n"), answer
    path = kinds.folder / file
    assert path.is_file()
    assert size is None or path.stat().st_size == size
    if name == "array":
        import numpy as np

        assert np.load(path).tolist() == np.arange(12.0).reshape(3, 4).tolist()
    if name == "file" and os.name == "posix":
        assert os.access(path, os.X_OK)


def test_a_folder_becomes_a_folder_that_can_be_changed(kinds):
    assert kinds.zen("artifacts", "get", "folder", "-o", "copy").code == 0
    copy = kinds.folder / "copy"
    assert (copy / "deep" / "naïve name.txt").read_text() == "deep"
    assert (copy / "deep" / "empty").is_dir()
    (copy / "deep" / "naïve name.txt").write_text("changed")
    (copy / "deep" / "new").write_text("")


def test_a_value_of_several_files_becomes_a_folder(kinds):
    import numpy as np

    assert kinds.zen("artifacts", "get", "several", "-o", "out").code == 0
    out = kinds.folder / "out"
    assert sorted(path.name for path in out.iterdir()) == ["0.npy", "1.npy", "2.json", "3", "zenlib.json"]  # fmt: skip
    assert np.load(out / "1.npy").tolist() == [0, 1, 2, 3]
    assert (out / "2.json").read_text() == "7\n"
    assert (out / "3" / "run.sh").exists()
    content = Content.from_json(json.loads((out / "zenlib.json").read_text()))
    assert content.digest == Client().artifact("several").digest


def test_a_path_that_is_a_folder_gets_the_file(kinds):
    (kinds.folder / "into").mkdir()
    assert kinds.zen("artifacts", "get", "array", "-o", "into").out.strip() == str(Path("into/array.npy"))  # fmt: skip


def test_nothing_is_replaced_unless_forced_and_a_folder_never(kinds):
    path = kinds.folder / "array.npy"
    path.write_text("mine")
    answer = kinds.zen("artifacts", "get", "array", "--json")
    assert (answer.code, answer.json["error"]["code"]) == (8, "conflict")
    assert "exists already; --force replaces it" in answer.err
    assert path.read_text() == "mine"
    assert kinds.zen("artifacts", "get", "array", "--force").code == 0
    assert path.read_bytes().startswith(b"\x93NUMPY")
    (kinds.folder / "raw").mkdir()
    (kinds.folder / "raw" / "raw").mkdir()
    for _ in range(2):
        answer = kinds.zen("artifacts", "get", "raw", "-o", "raw", "--force")
        assert (answer.code, "a folder is never replaced" in answer.err) == (8, True)
    assert sorted(p.name for p in kinds.folder.iterdir() if p.name.startswith(".")) == []


@posix
def test_a_link_is_replaced_and_not_followed(kinds):
    (kinds.folder / "other").write_text("mine")
    (kinds.folder / "array.npy").symlink_to("other")
    assert kinds.zen("artifacts", "get", "array").code == 8
    assert kinds.zen("artifacts", "get", "array", "--force").code == 0
    assert (kinds.folder / "other").read_text() == "mine"
    assert not (kinds.folder / "array.npy").is_symlink()


@pytest.mark.parametrize("name", ["array", "long", "raw", "folder", "several", "file", "foreign"])
def test_changed_bytes_are_refused_and_nothing_is_written(kinds, name):
    corrupt(name)
    before = sorted(kinds.folder.rglob("*"))
    answer = kinds.zen("artifacts", "get", name, "-o", "target", "--json")
    assert (answer.code, answer.json["error"]["code"]) == (7, "corrupt-artifact")
    assert sorted(kinds.folder.rglob("*")) == before


def test_missing_bytes_are_refused(kinds):
    client = Client()
    (file,) = client.artifact("array").content.files.values()
    client.stack.shelf.blobs.store.delete([key_of(file.digest)])
    assert kinds.zen("artifacts", "get", "array").code == 7
    assert kinds.zen("artifacts", "get", "array", "-o", "-").code == 7


def test_a_record_that_was_changed_is_refused(project):
    project.run("train.py", "-q")
    stored = Client().artifact("model").record
    for content in ({**stored.content, "data": '{"weight":9.0}'}, {"nonsense": 1}):
        forged = stored.model_copy(update={"content": content, "id": new_id(), "number": 0})
        Client().stack.metadata.put(forged)
        assert project.zen("artifacts", "get", "model").code == 7


OUTSIDE = ["../x", "/etc/x", "a/../../x", "a\0b", "", ".", "..", "a//b", "x" * 1000]
NO_NAME_ON_WINDOWS = ["C:\\x", "..\\x", "con", "a.", "a:b"]


@pytest.mark.parametrize("member", OUTSIDE)
def test_a_member_of_a_folder_whose_name_leads_out_is_refused(kinds, member, tmp_path):
    (file,) = Client().artifact("raw").content.files.values()
    members = {"name": "f", "folders": [], "members": [[member, False]]}
    content = Content("path", 1, "pathlib.PosixPath", members, {"0": file})
    _check_refused(content, tmp_path / "place")


@pytest.mark.parametrize("member", OUTSIDE + NO_NAME_ON_WINDOWS)
def test_a_file_whose_name_leads_out_is_refused(kinds, member, tmp_path):
    (file,) = Client().artifact("raw").content.files.values()
    _check_refused(
        Content("foreign", 1, "x.Y", None, {member: file, "b": file}), tmp_path / "place"
    )


def _check_refused(content, place):
    place.mkdir()
    with pytest.raises(CorruptArtifact):
        write(Client().stack.shelf, content, place / "out", force=False)
    assert list(place.iterdir()) == []
    assert not (place.parent / "x").exists()


def test_two_members_of_one_name_are_refused(kinds, tmp_path):
    (file,) = Client().artifact("raw").content.files.values()
    for place, names in enumerate([("a", "a/b"), ("a/b", "a")]):
        content = Content("foreign", 1, "x.Y", None, dict.fromkeys(names, file))
        _check_refused(content, tmp_path / str(place))


@pytest.mark.parametrize("name", ["a/b c 🚀", "con", "..", "x" * 255, 'q"<>|?*', "日本" * 60])
def test_any_name_of_an_artifact_becomes_a_safe_file_name(project, name):
    project.edit("train.py", 'Annotated[dict, "model"]', f"Annotated[dict, {name!r}]")
    project.edit("train.py", '{"weight": sum(rows) * lr}', '{"weight": [0.0] * 5000}')
    project.edit("train.py", 'model["weight"] * len(test)', "1.0")
    assert project.run("train.py", "-q").code == 0
    before = set(project.folder.parent.rglob("*"))
    answer = project.zen("artifacts", "get", name)
    assert answer.code == 0, answer
    (made,) = set(project.folder.parent.rglob("*")) - before
    assert (made.parent, made.suffix) == (project.folder, ".json")
    assert made.name[0] != "."


def test_a_place_that_cannot_be_written_is_named(kinds, nowhere):
    answer = kinds.zen("artifacts", "get", "array", "-o", nowhere / "x")
    assert answer.code in (4, 5)
    assert "cannot write" in answer.err
    assert kinds.zen("artifacts", "get", "array", "-o", "no/such/folder/x").code == 4
    assert kinds.zen("artifacts", "get", "array", "-o", "a\0b").code == 2


def test_bytes_go_to_stdout_when_asked_for(kinds):
    command = [sys.executable, "-m", "zenlib", "artifacts", "get", "raw", "-o", "-"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert done.stdout == bytes(range(256)) * 20
    assert kinds.zen("artifacts", "get", "several", "-o", "-").code == 2
    assert kinds.zen("artifacts", "get", "raw", "-o", "-", "--json").code == 2


@posix
def test_a_reader_that_has_gone_is_no_error(kinds):
    command = f"{shlex.quote(sys.executable)} -m zenlib artifacts get raw -o - | head -c 0; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_code_of_an_artifact_runs(kinds):
    """A pickle is copied, not opened."""
    for command in (["show", "foreign"], ["get", "foreign"], ["get", "data"], ["list"]):
        assert kinds.zen("artifacts", *command).code == 0
    assert "kinds" not in sys.modules


def test_the_exit_codes_of_a_process(kinds, zenlib):
    assert zenlib("artifacts", "show", "nope").code == 6
    corrupt("array")
    answer = zenlib("artifacts", "get", "array")
    assert answer.code == 7
    assert "Traceback" not in answer.err


def test_the_help_says_what_the_json_is(zen):
    for command in ("list", "show", "get"):
        assert "With --json" in zen("artifacts", command, "--help").out


def test_facts_of_odd_metadata_are_still_words():
    record = Artifact(
        name="x", digest="b3:", size_bytes=0, serializer="s", type="a.B", content={},
        metadata={"shape": [], "dtype": "int8"},
    )  # fmt: skip
    assert facts(record) == "scalar int8"
    assert facts(record.model_copy(update={"metadata": {"rows": "many"}})) == "a.B"
    assert facts(record.model_copy(update={"metadata": {"rows": 3, "columns": 2}})) == "3 rows × 2 columns"  # fmt: skip

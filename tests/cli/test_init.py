import subprocess
import sys
import tomllib

import pytest

from zenlib.settings import load_stack


def test_init_makes_the_folder_and_a_commented_file(zen, place):
    found = zen("init")
    assert found.code == 0
    assert found.out == f"{place}: made .zen/, zenlib.toml\n"
    assert (place / ".zen" / ".gitignore").read_text() == "*\n"
    assert tomllib.loads((place / "zenlib.toml").read_text()) == {}
    assert load_stack().metadata_store.path == place / ".zen" / "metadata.db"


def test_the_template_is_right_once_its_comments_are_removed(zen, place):
    zen("init")
    path = place / "zenlib.toml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line.removeprefix("# ") for line in lines[3:]))
    stack = load_stack()
    assert stack.name == "prod"
    assert stack.orchestrator.options == {"workers": 4}


def test_a_second_init_changes_nothing(zen, place):
    zen("init")
    (place / "zenlib.toml").write_text("# mine\n")
    (place / ".zen" / ".gitignore").write_text("mine\n")
    found = zen("init", "--json")
    assert found.json == {"folder": str(place), "created": []}
    assert (place / "zenlib.toml").read_text() == "# mine\n"
    assert (place / ".zen" / ".gitignore").read_text() == "mine\n"
    assert "it is a project already" in zen("init").out


def test_many_at_once_do_no_harm(place):
    command = [sys.executable, "-m", "zenlib", "init", "--json"]
    running = [subprocess.Popen(command, stdout=-1, stderr=-1, text=True) for _ in range(4)]
    answers = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0] * 4, answers
    assert sum("zenlib.toml" in out for out, _ in answers) == 1
    assert sorted(path.name for path in place.rglob("*")) == [
        ".gitignore", ".zen", "zenlib.toml",
    ]  # fmt: skip


def test_another_folder_is_made_when_missing(zen, place):
    assert zen("init", "new/deep folder 🚀").code == 0
    assert (place / "new" / "deep folder 🚀" / ".zen").is_dir()


def test_no_file_is_made_that_would_hide_pyproject(zen, place):
    (place / "pyproject.toml").write_text("[tool.zenlib.stacks.default]\ncache = false\n")
    assert zen("init", "--json").json["created"] == [".zen/"]
    assert load_stack().cache is False


def test_a_file_in_the_way_is_named(zen, place):
    (place / ".zen").write_text("")
    found = zen("init", "--json")
    assert found.code == 8
    assert found.json["error"]["message"] == f"cannot make {place / '.zen'}: a file is in the way"
    found = zen("init", ".zen/below")
    assert found.code == 8


def test_a_folder_that_cannot_be_written_is_a_clear_error(zen, nowhere):
    found = zen("init", nowhere)
    assert found.code in (4, 5)
    assert found.err.startswith(f"error: cannot make {nowhere / '.zen'}: ")
    assert "Traceback" not in found.err


def test_a_name_of_ten_thousand_letters_is_a_clear_error(zen, place):
    found = zen("init", "x" * 10_000)
    assert found.code == 4
    assert "File name too long" in found.err
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("name", ["a b", "é", "🚀", "-", "$(x)"])
def test_odd_folder_names_work(zen, place, name):
    assert zen("init", "--", name).code == 0
    assert load_stack(start=place / name).artifact_store.path == place / name / ".zen" / "artifacts"

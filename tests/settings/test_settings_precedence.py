import itertools
import json

import pytest
from settings_help import posix, user_file, write

from zenlib import Stack
from zenlib.errors import SettingsInvalid
from zenlib.places import home, project_root
from zenlib.settings import Component, explain, load_stack

SOURCES = ("user", "project", "environment", "argument")
VALUES = {
    "cache": {
        "default": True,
        "user": False,
        "project": True,
        "environment": False,
        "argument": True,
    },
    "durability": {
        "default": "run",
        "user": "step",
        "project": "run",
        "environment": "step",
        "argument": "run",
    },
    "metadata_store": {
        "default": "sqlite",
        "user": "mysql://user@db/a",
        "project": "mysql://project@db/a",
        "environment": "mysql://environment@db/a",
        "argument": "mysql://argument@db/a",
    },
    "artifact_store": {
        "default": "local",
        "user": "s3://user/a",
        "project": "s3://project/a",
        "environment": "s3://environment/a",
        "argument": "s3://argument/a",
    },
    "orchestrator": {
        "default": {"type": "local"},
        "user": {"type": "local", "workers": 2},
        "project": {"type": "local", "workers": 3},
        "environment": "local",
        "argument": {"type": "local", "workers": 5},
    },
}


def toml_value(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)


@pytest.mark.parametrize("field", VALUES)
@pytest.mark.parametrize(
    "given", [c for n in range(5) for c in itertools.combinations(SOURCES, n)], ids="+".join
)
def test_the_strongest_place_that_says_something_wins(field, given, place, monkeypatch):
    values = VALUES[field]
    line = "[stacks.default]\n{} = {}\n"
    if "user" in given:
        user_file(line.format(field, toml_value(values["user"])))
    if "project" in given:
        write(place / "zenlib.toml", line.format(field, toml_value(values["project"])))
    if "environment" in given:
        monkeypatch.setenv(f"ZENLIB_{field.upper()}", str(values["environment"]))
    overrides = {field: values["argument"]} if "argument" in given else {}
    winner = given[-1] if given else "default"

    stack = load_stack(**overrides)
    expected = getattr(Stack(**{field: values[winner]}), field)
    if "environment" in given:
        monkeypatch.delenv(f"ZENLIB_{field.upper()}")
        expected = getattr(Stack(**{field: values[winner]}), field)
        monkeypatch.setenv(f"ZENLIB_{field.upper()}", str(values["environment"]))
    assert getattr(stack, field) == expected

    rows = [row for row in explain(**overrides) if row.key == field]
    sources = {
        "default": "default",
        "user": f"{home().config / 'config.toml'}:2",
        "project": f"{place / 'zenlib.toml'}:2",
        "environment": f"environment ZENLIB_{field.upper()}",
        "argument": "argument",
    }
    order = [sources[name] for name in reversed(("default", *given))]
    assert [row.source for row in rows] == order
    assert [row.note for row in rows] == ["", *(f"overridden by {name}" for name in order[:-1])]


def test_the_active_stack_is_chosen_in_the_same_order(place, monkeypatch):
    user_file('stack = "a"\n[stacks.a]\n[stacks.b]\n[stacks.c]\n[stacks.d]\n')
    assert load_stack().name == "a"
    write(place / "zenlib.toml", 'stack = "b"\n')
    assert load_stack().name == "b"
    monkeypatch.setenv("ZENLIB_STACK", "c")
    assert load_stack().name == "c"
    assert load_stack("d").name == "d"
    rows = [row for row in explain("d") if row.key == "stack"]
    assert [row.value for row in rows] == ["d", "c", "b", "a", "default"]
    assert rows[2].source == f"{place / 'zenlib.toml'}:1"


def test_an_option_is_added_to_the_component_below_it(place, monkeypatch):
    write(
        place / "zenlib.toml", "[stacks.default.orchestrator]\nworkers = 2\nexecutor = 'threads'\n"
    )
    monkeypatch.setenv("ZENLIB_ORCHESTRATOR__WORKERS", "4")
    found = load_stack().orchestrator
    assert found == Component(type="local", options={"workers": 4, "executor": "threads"})
    rows = [row for row in explain() if row.key == "orchestrator.workers"]
    assert [(row.value, row.source) for row in rows] == [
        (4, "environment ZENLIB_ORCHESTRATOR__WORKERS"),
        (2, f"{place / 'zenlib.toml'}:2"),
    ]


def test_naming_a_component_drops_the_options_of_the_weaker_one(place, monkeypatch):
    write(
        place / "zenlib.toml", "[stacks.default]\norchestrator = { type = 'local', workers = 2 }\n"
    )
    monkeypatch.setenv("ZENLIB_ORCHESTRATOR", "local")
    assert load_stack().orchestrator.options == {}
    monkeypatch.setenv("ZENLIB_ORCHESTRATOR__WORKERS", "9")
    assert load_stack().orchestrator.options == {"workers": 9}


def test_the_environment_is_read_at_use(monkeypatch):
    assert load_stack().cache is True
    monkeypatch.setenv("ZENLIB_CACHE", "off")
    assert load_stack().cache is False
    assert Stack().cache is False


def test_a_stack_made_by_hand_does_not_read_files(place):
    write(place / "zenlib.toml", "[stacks.default]\ncache = false\n")
    assert Stack().cache is True


def test_without_a_project_files_lie_in_the_users_data_folder():
    stack = load_stack()
    assert stack.metadata_store.path == home().data / "metadata.db"
    assert stack.artifact_store.path == home().data / "artifacts"


def test_after_init_files_lie_in_the_projects_folder(place, monkeypatch):
    (place / ".zen").mkdir()
    deep = place / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert load_stack().metadata_store.path == place / ".zen" / "metadata.db"
    assert load_stack(metadata_store="sqlite").metadata_store.path == place / ".zen" / "metadata.db"
    assert load_stack(start=place).artifact_store.path == place / ".zen" / "artifacts"
    assert project_root() == place


def test_paths_with_spaces_and_accents_come_back_whole(tmp_path):
    folder = tmp_path / "my data é" / "#1 100%"
    stack = load_stack(artifact_store=folder, metadata_store=folder / "x.db")
    assert stack.artifact_store.path == folder
    assert stack.metadata_store.path == folder / "x.db"


def test_relative_paths_start_from_the_file_that_says_them(place, monkeypatch):
    write(
        place / "zenlib.toml",
        "[stacks.default]\nmetadata_store = 'sqlite:///.zen/m.db?mode=rw'\nartifact_store = './blobs'\n",
    )
    deep = place / "deep"
    deep.mkdir()
    monkeypatch.chdir(deep)
    stack = load_stack()
    assert stack.metadata_store.path == place / ".zen" / "m.db"
    assert stack.metadata_store.url.endswith("/.zen/m.db?mode=rw")
    assert stack.artifact_store.path == place / "blobs"
    monkeypatch.setenv("ZENLIB_ARTIFACT_STORE", "../x")
    assert load_stack().artifact_store.path == place / "x"


def test_home_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert Stack(artifact_store="~/blobs").artifact_store.path == tmp_path / "blobs"
    assert Stack(metadata_store="sqlite:///~/m.db").metadata_store.path == tmp_path / "m.db"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_sqlite_in_memory_has_no_path(url):
    assert Stack(metadata_store=url).metadata_store.path is None
    assert Stack(metadata_store=url).metadata_store.url == url


@pytest.mark.parametrize("value", ["", "  ", "relative/folder"])
def test_a_home_that_is_no_absolute_folder_is_refused(value, monkeypatch):
    monkeypatch.setenv("ZENLIB_HOME", value)
    with pytest.raises(SettingsInvalid, match=r"ZENLIB_HOME is .*absolute"):
        load_stack()


@posix
def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    monkeypatch.delenv("ZENLIB_HOME")
    monkeypatch.setenv("HOME", "nowhere")

    def unknown(_):
        raise KeyError("no such user")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsInvalid, match=r"no home folder.*set ZENLIB_HOME"):
        load_stack()


@posix
def test_a_deleted_current_folder_is_named(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SettingsInvalid, match="current folder has been deleted"):
        load_stack()


def test_a_folder_with_a_question_mark_is_refused_for_sqlite(tmp_path):
    with pytest.raises(SettingsInvalid, match=r"its name has a '\?'"):
        Stack(metadata_store=tmp_path / "what?" / "m.db")

import itertools
import json
import os
import pickle
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import keyring
import keyring.backends.fail
import keyring.backends.null
import pytest
from keyring.backend import KeyringBackend

from zenlib import Stack, secrets, textfiles
from zenlib.errors import Conflict, Denied, Invalid, NotFound, SettingsInvalid, ZenlibWarning
from zenlib.places import home, project_root
from zenlib.settings import Component, explain, files, load_stack, stackfile, stacks
from zenlib.settings.component import password_name
from zenlib.settings.fields import read_option

CANARY = "hunter2-canary"
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")


class MemoryKeyring(KeyringBackend):
    """A keyring that works, for as long as the test runs."""

    priority = 0

    def __init__(self):
        super().__init__()
        self.kept = {}

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password

    def delete_password(self, service, username):
        del self.kept[service, username]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty project folder, a home of its own, no variables and no keyring."""
    for name in list(os.environ):
        if name.startswith("ZENLIB_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ZENLIB_HOME", str(tmp_path / "home"))
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    before = keyring.get_keyring()
    keyring.set_keyring(keyring.backends.fail.Keyring())
    yield folder
    keyring.set_keyring(before)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def user_file(text):
    return write(home().config / "config.toml", text)


def holding(rows, key):
    return next(row for row in rows if row.key == key and not row.note)


# Which place wins


SOURCES = ("user", "project", "environment", "argument")
VALUES = {
    "cache": {"default": True, "user": False, "project": True, "environment": False, "argument": True},
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
    write(place / "zenlib.toml", "[stacks.default.orchestrator]\nworkers = 2\nexecutor = 'threads'\n")
    monkeypatch.setenv("ZENLIB_ORCHESTRATOR__WORKERS", "4")
    found = load_stack().orchestrator
    assert found == Component(type="local", options={"workers": 4, "executor": "threads"})
    rows = [row for row in explain() if row.key == "orchestrator.workers"]
    assert [(row.value, row.source) for row in rows] == [
        (4, "environment ZENLIB_ORCHESTRATOR__WORKERS"),
        (2, f"{place / 'zenlib.toml'}:2"),
    ]


def test_naming_a_component_drops_the_options_of_the_weaker_one(place, monkeypatch):
    write(place / "zenlib.toml", "[stacks.default]\norchestrator = { type = 'local', workers = 2 }\n")
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


# Where default files lie


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
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsInvalid, match="no home folder.*set ZENLIB_HOME"):
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


# The forms of a component


@pytest.mark.parametrize(
    ("field", "raw", "type_", "url", "options"),
    [
        ("metadata_store", "mysql://zen@db/ml", "mysql", "mysql://zen@db/ml", {}),
        ("metadata_store", "mysql+pymysql://zen@db/ml", "mysql", "mysql+pymysql://zen@db/ml", {}),
        ("metadata_store", "memory", "memory", None, {}),
        ("artifact_store", "s3://bucket/a b", "s3", "s3://bucket/a b", {}),
        ("artifact_store", "memory", "memory", "memory://zenlib", {}),
        ("artifact_store", {"url": "s3://b/p", "endpoint_url": "http://x"}, "s3", "s3://b/p", {"endpoint_url": "http://x"}),
        ("artifact_store", {"type": "s3", "options": {"anon": True}}, "s3", None, {"anon": True}),
        ("orchestrator", "local", "local", None, {}),
        ("orchestrator", {"workers": 4}, "local", None, {"workers": 4}),
        ("orchestrator", Component(type="local", options={"workers": 1}), "local", None, {"workers": 1}),
    ],
)  # fmt: skip
def test_a_component_is_a_url_a_type_a_table_or_a_component(field, raw, type_, url, options):
    found = getattr(Stack(**{field: raw}), field)
    assert found == Component(type=type_, url=url, options=options)


def test_a_dumped_stack_can_be_read_again():
    stack = Stack(metadata_store="mysql://zen@db/ml", orchestrator={"type": "local", "workers": 2})
    assert Stack.model_validate(stack.model_dump()) == stack
    assert Stack.model_validate_json(stack.model_dump_json()) == stack


@pytest.mark.parametrize(
    ("field", "raw", "words"),
    [
        ("metadata_store", "mongo://x", "no metadata store for 'mongo'; known: memory, mysql, sqlite"),
        ("metadata_store", "sqllite", "did you mean 'sqlite'"),
        ("artifact_store", "artifacts", "written './artifacts'"),
        ("metadata_store", "history.db", "written './history.db'"),
        ("metadata_store", "mysql", "needs a URL, such as mysql://"),
        ("artifact_store", "s3", "needs a URL, such as s3://"),
        ("metadata_store", "sqlite://relative.db", "sqlite:///relative/path or sqlite:////absolute"),
        ("metadata_store", "mysql://zen@db:99999999/ml", "is not a URL"),
        ("artifact_store", "file://relative", "starts with file:///"),
        ("artifact_store", "", "is empty"),
        ("artifact_store", "a\x1b[2Jb", "no control characters"),
        ("artifact_store", "s3://" + "x" * 10_000, "at most 4096"),
        ("artifact_store", "🚀 moon", "must be a URL, a path"),
        ("artifact_store", "s3://${nothing}/x", "is not a reference"),
        ("artifact_store", {"url": "s3://b", "x": "${secret:a b}"}, "is not a reference"),
        ("artifact_store", {"url": 4}, "'type' and 'url' must be texts"),
        ("artifact_store", {"type": "a b"}, "not a type name"),
        ("artifact_store", {"type": "s3", "options": 3}, "must be a table"),
        ("artifact_store", {"type": "s3", "when": object()}, "options are texts, numbers and tables"),
        ("artifact_store", 42, "must be a URL, a type name, or a table"),
        ("orchestrator", "./local", "must be a type name such as 'local'"),
        ("orchestrator", "kubernetes", "no orchestrator for 'kubernetes'; known: local"),
        ("metadata_store", "${env:NOT_SET}", "NOT_SET is not set"),
        ("cache", "maybe", "must be true or false"),
        ("cache", 1, "must be true or false"),
        ("pickle", "alll", "must be one of: own, never, all; did you mean 'all'"),
        ("durability", True, "must be one of: run, step"),
        ("cach", True, "unknown key 'cach'; did you mean 'cache'"),
        ("name", "no spaces please", "is not the name of a stack"),
    ],
)  # fmt: skip
def test_a_wrong_argument_says_what_is_allowed(field, raw, words):
    with pytest.raises(SettingsInvalid) as caught:
        Stack(**{field: raw})
    assert words in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", ["", "a b", "🚀", "../x", "x" * 81, "x" * 10_000, ".hidden", "é", "a\0b"])
def test_a_stack_name_that_is_none_is_refused_briefly(name, place):
    for call in (load_stack, lambda n: stackfile.register(place / "zenlib.toml", n, {})):
        with pytest.raises(SettingsInvalid, match="not the name of a stack") as caught:
            call(name)
        assert len(str(caught.value)) < 250
    assert not (place / "zenlib.toml").exists()


def test_a_stack_is_frozen():
    stack = Stack()
    with pytest.raises(ValueError, match="frozen"):
        stack.cache = False
    with pytest.raises(ValueError, match="frozen"):
        stack.metadata_store.url = "x"


# Variables


@pytest.mark.parametrize(
    "name",
    ["ZENLIB_STACK", "ZENLIB_METADATA_STORE", "ZENLIB_ARTIFACT_STORE", "ZENLIB_ORCHESTRATOR",
     "ZENLIB_ORCHESTRATOR__WORKERS", "ZENLIB_CACHE", "ZENLIB_PICKLE", "ZENLIB_DURABILITY"],
)  # fmt: skip
@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_variable_is_an_error_and_not_the_default(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid, match=f"^{name} is set but empty"):
        load_stack()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ZENLIB_CACHE", "maybe", "ZENLIB_CACHE: cache is 'maybe'; it must be true or false"),
        ("ZENLIB_PICKLE", "al", "ZENLIB_PICKLE: pickle is 'al'; it must be one of: own, never, all"),
        ("ZENLIB_STACK", "a b", "ZENLIB_STACK: 'a b' is not the name of a stack"),
        ("ZENLIB_STACK", "prod", "environment ZENLIB_STACK: no stack is called 'prod'; known: default"),
        ("ZENLIB_METADATA_STORE", "mongo://x", "environment ZENLIB_METADATA_STORE: metadata_store: no"),
        ("ZENLIB_ARTIFACT_STORE", '{"type": "s3"}', "ZENLIB_ARTIFACT_STORE: artifact_store is"),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_named(name, value, words, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as caught:
        load_stack()
    assert words in str(caught.value)


@pytest.mark.parametrize("word", ["true", "1", "YES", "on"])
def test_words_for_true(word, monkeypatch):
    monkeypatch.setenv("ZENLIB_CACHE", word)
    assert load_stack().cache is True


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ZENLIB_METADATASTORE", "ZENLIB_METADATA_STORE"),
        ("ZENLIB_STAK", "ZENLIB_STACK"),
        ("ZENLIB_ORCHESTRATR__WORKERS", "ZENLIB_ORCHESTRATOR__WORKERS"),
        *([("zenlib_cache", "ZENLIB_CACHE")] if os.name != "nt" else []),
    ],
)
def test_a_misspelt_variable_is_warned_of_with_the_nearest(name, meant, monkeypatch):
    monkeypatch.setenv(name, "x")
    with pytest.warns(ZenlibWarning, match=f"{name} means nothing.*did you mean '{meant}'"):
        load_stack()


def test_a_variable_like_nothing_else_is_warned_of_too(monkeypatch):
    monkeypatch.setenv("ZENLIB_QQQQ", "x")
    with pytest.warns(ZenlibWarning, match="ZENLIB_QQQQ means nothing to zenlib$"):
        load_stack()


@pytest.mark.parametrize("name", ["SERVER", "TOKEN", "DEBUG", "TEST_MYSQL", "SECRET_DB"])
def test_reserved_variables_are_not_warned_of(name, monkeypatch):
    monkeypatch.setenv(f"ZENLIB_{name}", "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_stack()


@pytest.mark.parametrize(
    ("text", "value"),
    [("4", 4), ("-4", -4), ("1.5", 1.5), ("1e3", 1000.0), ("true", True), ("False", False),
     ("gpu", "gpu"), ('"4"', "4"), ("nan", "nan"), ("inf", "inf"), ("1_000", "1_000"), ("٣", "٣"),
     ("9" * 10_000, "9" * 10_000), ("", "")],
)  # fmt: skip
def test_an_option_is_a_number_where_it_looks_like_one(text, value):
    found = read_option(text)
    assert found == value
    assert type(found) is type(value)


# Files


def test_the_table_of_pyproject_is_read(place):
    write(place / "pyproject.toml", '[project]\nname = "x"\n\n[tool.zenlib]\nstack = "dev"\n\n[tool.zenlib.stacks.dev]\ncache = false\n')
    stack = load_stack()
    assert (stack.name, stack.cache) == ("dev", False)
    assert holding(explain(), "cache").source == f"{place / 'pyproject.toml'}:8"


def test_zenlib_toml_wins_over_pyproject_beside_it_and_explain_says_so(place):
    write(place / "pyproject.toml", "[tool.zenlib.stacks.default]\ncache = false\n")
    write(place / "zenlib.toml", "")
    assert load_stack().cache is True
    row = explain()[-1]
    assert row.key == "[tool.zenlib]"
    assert row.source == str(place / "pyproject.toml")
    assert row.note == f"not read: {place / 'zenlib.toml'} is beside it and wins"


def test_the_nearest_folder_upward_counts(place, monkeypatch):
    write(place / "zenlib.toml", "[stacks.default]\ncache = false\n")
    write(place / "inner" / "pyproject.toml", '[project]\nname = "zenlib-user"\n')
    deep = place / "inner" / "deep"
    deep.mkdir()
    monkeypatch.chdir(deep)
    assert load_stack().cache is False
    write(place / "inner" / "zenlib.toml", "")
    assert load_stack().cache is True


def test_another_projects_broken_pyproject_is_not_our_business(place):
    (place / "pyproject.toml").write_bytes(b"[broken\xff")
    assert load_stack().cache is True


BROKEN = [
    ("stack = \n", 1, "not valid TOML"),
    ('stack = "a"\nstack = "b"\n', 2, "not valid TOML: Cannot overwrite a value"),
    ("[stacks.a]\n[stacks.b]\n\n[stacks.a]\n", 4, "not valid TOML: Cannot declare"),
    ("x = '''\n\n", 3, "not valid TOML"),
    ("\n\nstak = 'dev'\n", 3, "unknown key 'stak'; did you mean 'stack'"),
    ("zzz = 1\n", 1, "unknown key 'zzz'; known: stack, stacks"),
    ("\ncache = false\n", 2, "'cache' belongs to a stack; put it below [stacks.NAME]"),
    ("[stack.dev]\ncache = true\n", 1, "did you mean [stacks.dev]?"),
    ("stack = 3\n", 1, "3 is not the name of a stack"),
    ("stacks = 3\n", 1, "'stacks' must hold tables"),
    ("[stacks]\ndev = 3\n", 2, "it must be a table: [stacks.dev]"),
    ('[stacks."my stack"]\n', 1, "'my stack' is not the name of a stack"),
    ("[stacks.dev]\n\tmetdata_store = 'x'\n", 2, "unknown key 'metdata_store'; did you mean 'metadata_store'"),
    ("[stacks.dev]\ncache = 'false'\n", 2, "cache is 'false'; it must be true or false"),
    ("[stacks.dev]\npickle = 'nevr'\n", 2, "did you mean 'never'"),
    ("[stacks.dev]\nmetadata_store = 3\n", 2, "must be a URL, a type name, or a table"),
    ("[stacks.dev]\nartifact_store = 's3://${x}'\n", 2, "is not a reference"),
    ("[stacks.dev]\norchestrator = {type = 'local', start = 1979-05-27}\n", 2, "options are texts"),
    ("[stacks.default]\n# why\nmetadata_store = 'mongo://x'\n", 3, "no metadata store for 'mongo'"),
    ("stack = 'dve'\n[stacks.dev]\n", 1, "no stack is called 'dve'; did you mean 'dev'?; known: default, dev"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "words"), BROKEN)
def test_a_wrong_file_is_named_with_its_line(text, line, words, place):
    path = write(place / "zenlib.toml", text)
    with pytest.raises(SettingsInvalid) as caught:
        load_stack()
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert words in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(("text", "line", "words"), BROKEN[4:])
def test_a_wrong_table_in_pyproject_is_named_with_its_line(text, line, words, place):
    lines = text.replace("[stack", "[tool.zenlib.stack").splitlines(keepends=True)
    path = write(place / "pyproject.toml", "# zenlib\n[tool.zenlib]\n" + "".join(lines))
    with pytest.raises(SettingsInvalid) as caught:
        load_stack()
    assert str(caught.value).startswith(f"{path}:{line + 2}: ")
    assert words in str(caught.value)


def test_a_file_that_is_not_utf8_is_named_with_its_line(place):
    (place / "zenlib.toml").write_bytes("stack = 'default'\n# caf\xe9\n".encode("latin-1"))
    with pytest.raises(SettingsInvalid, match=r"zenlib\.toml:2: not UTF-8"):
        load_stack()


def test_a_folder_in_the_place_of_a_file_is_named(place):
    (place / "zenlib.toml").mkdir()
    with pytest.raises(SettingsInvalid, match=r"zenlib\.toml is a folder"):
        load_stack()


def test_a_huge_file_is_refused(place):
    write(place / "zenlib.toml", "#" * (1 << 20) + "\n")
    with pytest.raises(SettingsInvalid, match="settings have 1048576 at most"):
        load_stack()


def test_a_byte_order_mark_and_windows_line_ends_are_read(place):
    (place / "zenlib.toml").write_bytes(b"\xef\xbb\xbf[stacks.default]\r\n\r\ncache = false\r\n")
    assert load_stack().cache is False
    assert holding(explain(), "cache").source.endswith("zenlib.toml:3")


def test_lines_are_found_behind_long_values(place):
    text = (
        "# stack = 'no'\n"
        "[stacks.'a'] # [stacks.b]\n"
        'artifact_store = """\\\n'
        "   s3://bucket/[stacks.c]\\\n"
        '   """\n'
        "[stacks.a.metadata_store]\n"
        "type = 'memory'\n"
        "many = [ # ]\n"
        "  '[1]', ']',\n"
        "  'x#]',\n"
        "] # end ]\n"
        'deep."dotted.key".x = 1\n'
        "[stacks.a.orchestrator]\nworkers = 3\n"
    )
    file = files.parse(write(place / "zenlib.toml", text), text)
    found = {".".join(key[2:]): line for key, line in file.lines.items() if key[:2] == ("stacks", "a")}
    assert found == {
        "": 2, "artifact_store": 3, "metadata_store": 6, "metadata_store.type": 7,
        "metadata_store.many": 8, "metadata_store.deep": 12, "metadata_store.deep.dotted.key": 12,
        "metadata_store.deep.dotted.key.x": 12, "orchestrator": 13, "orchestrator.workers": 14,
    }  # fmt: skip


def test_a_long_array_is_scanned_in_few_parses(place, monkeypatch):
    calls = []
    parsed = files._parsed
    monkeypatch.setattr(files, "_parsed", lambda text: calls.append(1) or parsed(text))
    text = "[tool.zenlib]\n[project]\ndependencies = [\n" + "  'zenlib[all]>=1',\n" * 2000 + "]\n"
    files.parse(place / "pyproject.toml", text, ("tool", "zenlib"))
    assert len(calls) < 20


def test_stacks_lists_those_of_both_files_and_the_built_in_one(place):
    user_file("[stacks.home]\n[stacks.dev]\ncache = false\n")
    write(place / "zenlib.toml", "stack = 'dev'\n[stacks.dev]\norchestrator = 'kubernetes'\n")
    found = stacks()
    assert [(info.name, info.active) for info in found] == [
        ("default", False), ("dev", True), ("home", False),
    ]  # fmt: skip
    assert found[1].source == f"{place / 'zenlib.toml'}:2"
    assert found[1].values["cache"] is False
    assert found[1].values["orchestrator"].type == "kubernetes"  # listed, though not installed


# Secrets


@pytest.mark.parametrize(
    "store",
    [
        f"mysql://zen:{CANARY}@db/ml",
        f"mysql://zen:x/{CANARY}@db/ml",
        f"mysql://zen@db/ml?password={CANARY}",
        f"mysql://${{env:USER}}:{CANARY}@db/ml",
        {"url": "mysql://zen@db/ml", "password": CANARY},
        {"url": "mysql://zen@db/ml", "nested": {"api_key": CANARY, "list": [f"a://b:{CANARY}@c"]}},
    ],
)  # fmt: skip
def test_a_password_is_in_no_text_that_is_made_of_a_stack(store):
    try:
        stack = Stack(metadata_store=store)
    except SettingsInvalid as error:
        assert CANARY not in str(error)
        return
    shown = [repr(stack), str(stack), stack.model_dump_json(), str(stack.model_dump())]
    shown += [repr(stack.metadata_store), f"{stack.metadata_store}", str(explain(metadata_store=store))]
    assert not any(CANARY in text for text in shown)
    assert "***" in shown[0]
    assert pickle.loads(pickle.dumps(stack)) == stack  # a worker process needs the real one


def test_references_stay_as_they_were_written():
    url = "mysql://zen:${secret:db.password}@db/ml"
    stack = Stack(metadata_store={"url": url, "token": "${env:TOKEN}"})
    assert url in repr(stack)
    assert "${env:TOKEN}" in repr(stack)


def test_references_are_expanded_at_use(monkeypatch):
    stack = Stack(metadata_store={"url": "mysql://zen:${env:PW}@${env:HOST}/ml", "a": ["${env:HOST}", 1]})
    monkeypatch.setenv("PW", "p@ss/w:rd#é")
    monkeypatch.setenv("HOST", "db:3307")
    found = stack.metadata_store.resolved()
    assert found.url == "mysql://zen:p%40ss%2Fw%3Ard%23%C3%A9@db:3307/ml"
    assert found.options == {"a": ["db:3307", 1]}
    assert "p%40" not in repr(found)


def test_a_whole_url_may_come_from_a_variable(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", f"mysql://zen:{CANARY}@db/ml")
    stack = Stack(metadata_store="${env:DATABASE_URL}")
    assert stack.metadata_store.type == "mysql"
    assert CANARY not in repr(stack)


def test_a_secret_comes_from_the_environment_then_the_keyring_then_the_file(monkeypatch):
    assert secrets.local.store("db.password", "from file").endswith("secrets.json")
    assert secrets.resolve("${secret:db.password}") == "from file"
    keyring.set_keyring(MemoryKeyring())
    assert secrets.local.store("db.password", "from keyring") == "the system keyring"
    assert keyring.get_password("zenlib", "db.password") == "from keyring"
    assert secrets.resolve("${secret:db.password}") == "from keyring"
    monkeypatch.setenv("ZENLIB_SECRET_DB_PASSWORD", "from variable")
    assert secrets.resolve("x${secret:db.password}y") == "xfrom variabley"


def test_a_keyring_that_forgets_is_not_trusted():
    keyring.set_keyring(keyring.backends.null.Keyring())
    assert secrets.local.store("a", "b") == str(secrets.local.secrets_file())
    assert secrets.local.find("a") == "b"


def test_an_unknown_secret_says_where_it_was_looked_for():
    with pytest.raises(SettingsInvalid, match=r"no such secret in ZENLIB_SECRET_A, the system keyring"):
        secrets.resolve("${secret:a}")


@posix
def test_the_file_of_secrets_is_private_whatever_the_umask():
    before = os.umask(0)
    try:
        secrets.local.store("a", "b")
    finally:
        os.umask(before)
    path = secrets.local.secrets_file()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o644)
    with pytest.raises(SettingsInvalid, match="may be read by others"):
        secrets.local.find("a")


@pytest.mark.parametrize("data", [b"{", b"[1]", b'{"a": 1}', b"\xff"])
def test_a_damaged_file_of_secrets_is_named_and_kept(data):
    path = secrets.local.secrets_file()
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    path.chmod(0o600)
    for call in (lambda: secrets.local.find("a"), lambda: secrets.local.store("a", "b")):
        with pytest.raises(SettingsInvalid, match=r"secrets\.json is not a JSON object"):
            call()
    assert path.read_bytes() == data


def test_a_mysql_url_without_a_password_gets_the_stored_one():
    url = "mysql://zen@db.internal:3307/ml"
    assert Stack(metadata_store=url).metadata_store.resolved().url == url
    secrets.local.store(password_name(url), "p@ss")
    found = Stack(metadata_store=url).metadata_store.resolved()
    assert found.url == "mysql://zen:p%40ss@db.internal:3307/ml"


def test_passwords_of_two_databases_have_two_names():
    urls = ["mysql://a@h/d", "mysql://a@h/e", "mysql://b@h/d", "mysql://a@h:1/d", "mysql://a%20b@h/d",
            "mysql://a-b@h/d"]  # fmt: skip
    assert len({password_name(url) for url in urls}) == len(urls)
    assert password_name("mysql://a@h:3306/d") == password_name("mysql+pymysql://a@h/d").replace(
        "mysql+pymysql", "mysql"
    )


def git(folder, *args):
    subprocess.run(["git", *args], cwd=folder, check=True, capture_output=True)


def test_a_password_in_a_file_that_git_tracks_is_warned_of(place):
    git(place, "init")
    path = write(place / "zenlib.toml", f"[stacks.default]\nmetadata_store = 'mysql://z:{CANARY}@db/x'\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_stack()  # not tracked yet
        git(place, "add", "zenlib.toml")
    with pytest.warns(ZenlibWarning, match="a password stands in a file that git tracks") as caught:
        load_stack()
    assert str(caught[0].message).startswith(f"{path}:2: ")
    assert CANARY not in str(caught[0].message)
    write(path, "[stacks.default]\nmetadata_store = 'mysql://z:${env:PW}@db/x'\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_stack()


def test_a_secret_option_in_a_tracked_file_is_warned_of(place):
    git(place, "init")
    write(place / "zenlib.toml", "[stacks.default]\nartifact_store = {url='s3://b', secret='abc'}\n")
    git(place, "add", "zenlib.toml")
    with pytest.warns(ZenlibWarning, match="git tracks"):
        load_stack()


# Writing


def test_a_change_keeps_comments_layout_and_line_ends(place):
    path = place / "zenlib.toml"
    path.write_bytes(
        b"# mine\r\n\r\nstack   =  'dev'   # active\r\n\r\n[stacks.dev] # first\r\n"
        b"cache=false\r\n\r\n# last words\r\n"
    )
    stackfile.update(path, "dev", {"cache": True})
    assert path.read_bytes() == (
        b"# mine\r\n\r\nstack   =  'dev'   # active\r\n\r\n[stacks.dev] # first\r\n"
        b"cache=true\r\n\r\n# last words\r\n"
    )


def test_stacks_are_registered_activated_changed_and_deleted(place):
    path = write(place / "zenlib.toml", "# mine\n")
    stackfile.register(path, "dev", {"metadata_store": "memory"})
    stackfile.register(path, "prod", {"artifact_store": "s3://b/p"})
    stackfile.activate(path, "prod")
    assert load_stack().artifact_store.url == "s3://b/p"
    stackfile.set_option(path, "prod", "orchestrator", "workers", 4)
    stackfile.set_option(path, "prod", "artifact_store", "anon", True)
    assert load_stack().orchestrator.options == {"workers": 4}
    assert load_stack().artifact_store == Component(type="s3", url="s3://b/p", options={"anon": True})
    stackfile.set_option(path, "dev", "metadata_store", "size", 4)
    assert load_stack("dev").metadata_store == Component(type="memory", options={"size": 4})
    stackfile.delete(path, "prod")
    stackfile.deactivate(path, "prod")
    stackfile.deactivate(path, "prod")  # harmless
    assert load_stack().name == "default"
    assert path.read_text().startswith("# mine\n")


def test_registering_twice_is_a_conflict(place):
    path = place / "zenlib.toml"
    stackfile.register(path, "dev", {})
    with pytest.raises(Conflict, match=r"registered already \(.*zenlib\.toml:1\)"):
        stackfile.register(path, "dev", {})
    with pytest.raises(NotFound, match="describes no stack 'dve'; did you mean 'dev'"):
        stackfile.delete(path, "dve")


def test_pyproject_is_changed_where_it_holds_the_settings(place):
    text = '[project]\nname = "x"  # keep\n\n[tool.zenlib]\n\n[tool.other]\ny = 1\n'
    path = write(place / "pyproject.toml", text)
    assert stackfile.target() == path
    stackfile.register(path, "dev", {"cache": False})
    stackfile.activate(path, "dev")
    assert load_stack().cache is False
    assert 'name = "x"  # keep' in path.read_text()
    assert "[tool.other]\ny = 1\n" in path.read_text()


@pytest.mark.parametrize(
    "text",
    [
        "[tool.zenlib.stacks.a]\ncache = true\n[tool.other]\ny = 1\n[tool.zenlib.stacks.b]\n",
        "[tool]\nzenlib.stack = 'a'\nzenlib.stacks.a.cache = true\n[tool.other]\n",
        "tool = { zenlib = { stack = 'a', stacks = { a = { cache = true } } } }\n",
        "tool.zenlib.stacks.a = { cache = true }\n",
    ],
)
def test_an_unusual_layout_is_changed_rightly_or_not_at_all(text, place):
    path = write(place / "pyproject.toml", text)
    before = load_stack("a")
    assert before.cache is True
    try:
        stackfile.update(path, "a", {"cache": False})
        stackfile.register(path, "new", {"pickle": "never"})
    except SettingsInvalid as error:
        assert "cannot be changed automatically" in str(error)
        assert load_stack("a").pickle == "own"
    else:
        assert load_stack("a").cache is False
        assert load_stack("new").pickle == "never"


def test_a_broken_file_is_not_touched(place):
    path = write(place / "zenlib.toml", "[stacks.dev\n")
    with pytest.raises(SettingsInvalid, match=r"zenlib\.toml:1: not valid TOML"):
        stackfile.register(path, "x", {})
    assert path.read_text() == "[stacks.dev\n"


def test_the_file_to_write_is_the_one_in_use_else_the_projects_else_the_users(place):
    user = home().config / "config.toml"
    assert stackfile.target() == user
    write(place / "pyproject.toml", "[project]\n")
    assert stackfile.target() == place / "zenlib.toml"
    write(place / "zenlib.toml", "")
    write(place / "inner" / "pyproject.toml", "[project]\n")
    assert stackfile.target(place / "inner") == place / "zenlib.toml"  # not one that would hide it
    assert stackfile.target(user=True) == user


@pytest.mark.parametrize(
    ("field", "text", "written"),
    [
        ("metadata_store", "./m.db", "sqlite:///sub/m.db"),
        ("metadata_store", "sqlite:///m.db?timeout=3", "sqlite:///sub/m.db?timeout=3"),
        ("artifact_store", "../blobs", "./blobs"),
        ("artifact_store", "s3://b/p", "s3://b/p"),
        ("artifact_store", "local", "local"),
        ("artifact_store", "${env:STORE}", "${env:STORE}"),
    ],
)
def test_a_path_is_written_relative_to_its_file(field, text, written, place, monkeypatch):
    (place / "sub").mkdir()
    monkeypatch.chdir(place / "sub")
    assert stackfile.portable(field, text, place / "zenlib.toml") == written


def test_a_path_outside_of_the_project_is_written_absolute(place, tmp_path):
    found = stackfile.portable("artifact_store", "../elsewhere", place / "zenlib.toml")
    assert found == (tmp_path / "elsewhere").as_uri()


def test_a_password_in_a_url_goes_to_the_keyring_and_a_reference_to_the_file():
    keyring.set_keyring(MemoryKeyring())
    text, where = stackfile.store_password(f"mysql://zen:{CANARY}%40@db/ml")
    name = password_name("mysql://zen@db/ml")
    assert text == f"mysql://zen:${{secret:{name}}}@db/ml"
    assert where == "the system keyring"
    assert keyring.get_password("zenlib", name) == CANARY + "@"
    assert Component(type="mysql", url=text).resolved().url == f"mysql://zen:{CANARY}%40@db/ml"


@pytest.mark.parametrize("text", [f"mysql://z:a/{CANARY}@db/x", f"mysql://z@db/x?password={CANARY}"])
def test_a_password_that_cannot_be_moved_is_refused(text):
    with pytest.raises(Invalid) as caught:
        stackfile.store_password(text)
    assert CANARY not in str(caught.value)
    with pytest.raises(Invalid):
        stackfile.store_password(text.replace("z@", "z:pw@"))


def test_writers_at_once_lose_nothing(place):
    code = (
        "import sys; from pathlib import Path; from zenlib.settings import stackfile\n"
        "for i in range(5): stackfile.register(Path('zenlib.toml'), f's{sys.argv[1]}-{i}', {'cache': False})"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(n)], cwd=place) for n in range(3)]
    failed = []

    def work(n):
        try:
            for i in range(10):
                stackfile.register(place / "zenlib.toml", f"t{n}-{i}", {"cache": False})
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait(120) for process in running] == [0, 0, 0]
    assert failed == []
    assert len(files.project_file().stacks) == 3 * 5 + 4 * 10
    assert os.listdir(place) == ["zenlib.toml"]


def test_a_failed_replacement_leaves_the_old_file_and_nothing_else(place, monkeypatch):
    path = write(place / "a.toml", "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"cannot write .*a\.toml: No space left"):
        textfiles.replace(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(place) == ["a.toml"]


@posix
def test_a_link_stays_a_link_and_permissions_stay(place, tmp_path):
    real = write(tmp_path / "dotfiles" / "zenlib.toml", "")
    real.chmod(0o640)
    (place / "zenlib.toml").symlink_to(real)
    stackfile.activate(place / "zenlib.toml", "default")
    assert (place / "zenlib.toml").is_symlink()
    assert real.read_text() == 'stack = "default"\n'
    assert real.stat().st_mode & 0o777 == 0o640


def test_one_of_many_creators_wins(place):
    results = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(textfiles.create(place / "x", str(n))))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 7 + [True]
    assert os.listdir(place) == ["x"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write")
def test_a_folder_that_cannot_be_written_is_denied():
    with pytest.raises((Denied, OSError), match="cannot write /proc/zenlib"):
        stackfile.activate(Path("/proc/zenlib/zenlib.toml"), "default")

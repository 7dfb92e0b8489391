import pytest
from settings_help import holding, user_file, write

from zenlib.errors import SettingsInvalid
from zenlib.settings import explain, files, load_stack, stacks


def test_the_table_of_pyproject_is_read(place):
    write(
        place / "pyproject.toml",
        '[project]\nname = "x"\n\n[tool.zenlib]\nstack = "dev"\n\n[tool.zenlib.stacks.dev]\ncache = false\n',
    )
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
    ("x = '''\n\n", 2, "not valid TOML"),
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
    found = {
        ".".join(key[2:]): line for key, line in file.lines.items() if key[:2] == ("stacks", "a")
    }
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

import os
import subprocess
import sys
import threading
from pathlib import Path

import keyring
import keyring.backends.fail
import keyring.backends.null
import pytest
from settings_help import CANARY, MemoryKeyring, posix, write

from zenlib import textfiles
from zenlib.errors import Conflict, Denied, Invalid, NotFound, SettingsInvalid
from zenlib.places import home
from zenlib.settings import Component, files, load_stack, stackfile
from zenlib.settings.component import password_name


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
    assert load_stack().artifact_store == Component(
        type="s3", url="s3://b/p", options={"anon": True}
    )
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
        "tool.zenlib.stacks.a = { cache = true }\n",
    ],
)
def test_an_unusual_layout_is_changed_rightly(text, place):
    path = write(place / "pyproject.toml", text)
    stackfile.update(path, "a", {"cache": False})
    stackfile.register(path, "new", {"pickle": "never"})
    assert load_stack("a").cache is False
    assert load_stack("new").pickle == "never"


@pytest.mark.parametrize(
    "text",
    [
        "tool = { zenlib = { stacks = { a = { cache = true } } } }\n",
        "[tool]\nzenlib.stack = 'a'\nzenlib.stacks.a.cache = true\n[tool.other]\n",
    ],
)
def test_a_layout_that_cannot_be_changed_is_refused_and_left_as_it_is(text, place):
    path = write(place / "pyproject.toml", text)
    with pytest.raises(SettingsInvalid, match=r"pyproject\.toml: its layout cannot be changed"):
        stackfile.register(path, "new", {})
    assert path.read_text() == text


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


@pytest.mark.parametrize(
    "text", [f"mysql://z:a/{CANARY}@db/x", f"mysql://z@db/x?password={CANARY}"]
)
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
    assert [path.name for path in place.iterdir()] == ["zenlib.toml"]


def test_a_failed_replacement_leaves_the_old_file_and_nothing_else(place, monkeypatch):
    path = write(place / "a.toml", "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"cannot write .*a\.toml: No space left"):
        textfiles.replace(path, "new")
    assert path.read_text() == "old"
    assert [each.name for each in place.iterdir()] == ["a.toml"]


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
    assert [path.name for path in place.iterdir()] == ["x"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write")
def test_a_folder_that_cannot_be_written_is_denied():
    with pytest.raises((Denied, OSError), match="cannot write /proc/zenlib"):
        stackfile.activate(Path("/proc/zenlib/zenlib.toml"), "default")

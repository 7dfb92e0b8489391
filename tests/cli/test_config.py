import json
import os
import subprocess
import sys

import keyring
import pytest
from keyring.backend import KeyringBackend

from zenlib.places import home
from zenlib.settings import load_stack

CANARY = "hunter2-canary"


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


@pytest.fixture
def project(zen, place):
    zen("init")
    return place


MYSQL = ("config", "metadata", "set", "mysql", "--host", "db.internal", "--port", "3307",
         "--username", "zen", "--database", "ml")  # fmt: skip


def everything(folder):
    return "".join(path.read_text() for path in folder.rglob("*") if path.is_file())


def test_history_in_a_sqlite_file(zen, project):
    assert zen("config", "metadata", "set", "sqlite", "history.db").code == 0
    assert 'metadata_store = "sqlite:///history.db"' in (project / "zenlib.toml").read_text()
    assert load_stack().metadata_store.path == project / "history.db"
    assert zen("config", "metadata", "set", "sqlite").code == 0
    assert load_stack().metadata_store.path == project / ".zen" / "metadata.db"


def test_history_at_a_url(zen, project):
    assert zen("config", "metadata", "set", "mysql://zen@db/ml").code == 0
    assert load_stack().metadata_store.url == "mysql://zen@db/ml"


def test_the_mysql_password_goes_to_the_keyring(zen, project):
    backend = MemoryKeyring()
    keyring.set_keyring(backend)
    found = zen(*MYSQL, "--passwd", f"{CANARY}@/:")
    assert found.code == 0
    assert "the password is kept in the system keyring" in found.err
    [((service, name), password)] = backend.kept.items()
    assert (service, password) == ("zenlib", f"{CANARY}@/:")
    text = (project / "zenlib.toml").read_text()
    assert f'metadata_store = "mysql://zen:${{secret:{name}}}@db.internal:3307/ml"' in text
    resolved = load_stack().metadata_store.resolved()
    assert resolved.url == f"mysql://zen:{CANARY}%40%2F%3A@db.internal:3307/ml"
    assert not (home().data / "secrets.json").exists()


def test_without_a_keyring_it_goes_to_a_private_file(zen, project):
    found = zen(*MYSQL, "--passwd", CANARY)
    path = home().data / "secrets.json"
    assert f"the password is kept in {path}" in found.err
    assert list(json.loads(path.read_text()).values()) == [CANARY]
    if os.name != "nt":
        assert path.stat().st_mode & 0o777 == 0o600


def test_the_password_is_nowhere_else(zen, project):
    answers = [zen(*MYSQL, "--passwd", CANARY)]
    commands = [["config", "explain"], ["config", "get", "metadata_store"], ["stack", "list"], ["stack", "describe"]]  # fmt: skip
    for command in commands:
        answers += [zen(*command), zen(*command, "--json")]
    assert all(answer.code == 0 for answer in answers), answers
    assert not any(CANARY in repr(answer) for answer in answers)
    assert CANARY not in everything(project)
    assert CANARY not in repr(load_stack())


@pytest.mark.parametrize("line", [f"{CANARY}\n", f"{CANARY}\r\n", CANARY, f"{CANARY}\nmore\n"])
def test_the_password_can_be_piped_in(line, zen, project):
    assert zen(*MYSQL, input=line).code == 0
    assert load_stack().metadata_store.resolved().url.startswith(f"mysql://zen:{CANARY}@")


def test_an_empty_line_means_no_password(zen, project):
    assert zen(*MYSQL, input="\n").code == 0
    assert load_stack().metadata_store.url == "mysql://zen@db.internal:3307/ml"


def test_no_password_at_all_is_wrong_use(zen, project):
    before = everything(project)
    found = zen(*MYSQL, input="")
    assert found.code == 2
    assert "no password: type it, pipe it in, or give --passwd" in found.err
    assert everything(project) == before


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX terminal")
def test_a_password_that_is_typed_is_not_shown(project):
    import pty
    import time

    code = (
        "import sys; from zenlib.cli.main import cli; "
        f"sys.exit(cli.main({list(MYSQL)!r}, standalone_mode=False))"
    )
    child, main = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", code])
    shown = b""
    while b"Password" not in shown:
        shown += os.read(main, 1024)
    time.sleep(0.3)  # the prompt appears just before the echo goes off
    os.write(main, f"{CANARY}\n".encode())
    while True:
        try:
            data = os.read(main, 1024)
        except OSError:
            break
        if not data:
            break
        shown += data
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, shown
    os.close(main)
    assert CANARY not in shown.decode()
    assert load_stack().metadata_store.resolved().url.startswith(f"mysql://zen:{CANARY}@")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["mysql"], "mysql needs --username"),
        (["mysql", "path", "--username", "z"], "only 'sqlite' is followed by a path"),
        (["sqlite", "x.db", "--passwd", "p"], "--username and --passwd go with 'mysql'"),
        (["mysql://z@h/d", "x.db"], "only 'sqlite' is followed by a path"),
    ],
)
def test_parts_that_do_not_go_together_are_wrong_use(args, words, zen, project):
    found = zen("config", "metadata", "set", *args)
    assert found.code == 2
    assert words in found.err


def test_odd_names_in_a_mysql_url_are_encoded(zen, project):
    zen("config", "metadata", "set", "mysql", "--host", "::1", "--username", "a@b c", "--database", "d/é", "--passwd", "x")  # fmt: skip
    url = load_stack().metadata_store.resolved().url
    assert url == "mysql://a%40b%20c:x@[::1]/d%2F%C3%A9"


def test_artifacts_in_a_folder_or_a_bucket(zen, project):
    assert zen("config", "artifacts", "set", "./blobs").code == 0
    assert load_stack().artifact_store.path == project / "blobs"
    found = zen("config", "artifacts", "set", "s3://bucket/x", "--json")
    assert found.json == {"name": "default", "file": str(project / "zenlib.toml")}
    assert load_stack().artifact_store.url == "s3://bucket/x"
    assert zen("config", "artifacts", "set", "ftp://x").code == 3


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("cache", "false", False),
        ("cache", "ON", True),
        ("pickle", "never", "never"),
        ("durability", "step", "step"),
        ("orchestrator", "local", "local"),
        ("orchestrator.workers", "4", 4),
        ("artifact_store.anon", "true", True),
        ("artifact_store.token", "${env:TOKEN}", "${env:TOKEN}"),
        ("orchestrator.name", '"4"', "4"),
    ],
)
def test_a_value_that_is_set_is_the_value_that_is_got(key, text, value, zen, project):
    assert zen("config", "set", key, text).code == 0
    found = zen("config", "get", key, "--json").json
    assert (found["key"], found["value"]) == (key, value)
    assert found["source"].startswith(f"{project / 'zenlib.toml'}:")
    assert (
        zen("config", "get", key).out
        == f"{str(value).lower() if value in (True, False) else value}\n"
    )


@pytest.mark.parametrize(
    ("key", "text", "code", "words"),
    [
        ("cach", "true", 2, "unknown key 'cach'; did you mean 'cache'?"),
        ("cache.x", "true", 2, "unknown key 'cache.x'"),
        ("orchestrator.", "x", 2, "unknown key"),
        ("stack", "prod", 2, "zenlib stack set NAME"),
        ("cache", "maybe", 3, "it must be true or false"),
        ("pickle", "al", 3, "it must be one of: own, never, all"),
        ("metadata_store.password", CANARY, 2, "looks like a secret, which no settings file holds"),
        ("orchestrator.x", "${nothing}", 3, "is not a reference"),
        ("x" * 10_000, "1", 2, "unknown key"),
    ],
)
def test_a_wrong_setting_is_refused_and_nothing_is_written(key, text, code, words, zen, project):
    before = everything(project)
    found = zen("config", "set", key, text)
    assert found.code == code
    assert words in found.err
    assert CANARY not in found.err
    assert len(found.err) < 400
    assert everything(project) == before


def test_getting_what_is_not_set_is_not_found(zen, project):
    assert zen("config", "get", "orchestrator.workers").code == 6
    found = zen("config", "get", "cach")
    assert found.code == 2
    assert "did you mean 'cache'" in found.err
    assert zen("config", "get", "stack").out == "default\n"


def test_a_setting_of_another_stack(zen, project):
    zen("stack", "register", "prod")
    assert zen("config", "set", "cache", "false", "--stack", "prod").code == 0
    assert load_stack("prod").cache is False
    assert load_stack().cache is True
    assert zen("config", "get", "cache", "--stack", "prod").out == "false\n"
    assert zen("config", "get", "cache", "--stack", "prd").code == 3


def test_explain_names_each_place_and_what_it_overrides(zen, project, monkeypatch):
    zen("config", "set", "cache", "false")
    monkeypatch.setenv("ZENLIB_CACHE", "true")
    rows = [row for row in zen("config", "explain", "--json").json if row["key"] == "cache"]
    place = rows[1]["source"]
    assert place.startswith(f"{project / 'zenlib.toml'}:")
    assert rows == [
        {"key": "cache", "value": True, "source": "environment ZENLIB_CACHE", "note": ""},
        {"key": "cache", "value": False, "source": place, "note": "overridden by environment ZENLIB_CACHE"},
        {"key": "cache", "value": True, "source": "default", "note": f"overridden by {place}"},
    ]  # fmt: skip
    shown = zen("config", "explain").out
    assert "cache" in shown
    assert "environment ZENLIB_CACHE" in shown


def test_a_variable_that_hides_the_change_is_mentioned(zen, project, monkeypatch):
    monkeypatch.setenv("ZENLIB_CACHE", "true")
    found = zen("config", "set", "cache", "false")
    assert found.code == 0
    assert "warning: ZENLIB_CACHE is set and wins over the file: cache is True" in found.err


def test_the_file_that_is_written_is_named(zen, project):
    assert f"written to {project / 'zenlib.toml'}" in zen("config", "set", "cache", "false").err
    found = zen("config", "set", "cache", "false", "--user")
    assert f"written to {home().config / 'config.toml'}" in found.err


def test_a_folder_that_cannot_be_written_is_a_clear_error(zen, place, nowhere, monkeypatch):
    monkeypatch.setenv("ZENLIB_HOME", str(nowhere / "home"))
    found = zen("config", "set", "cache", "false")
    assert found.code in (4, 5)
    assert found.err.startswith(f"error: cannot write {nowhere / 'home'}")


def test_settings_written_by_many_processes_at_once_are_all_kept(project):
    command = [sys.executable, "-m", "zenlib", "config", "set"]
    pairs = [("cache", "false"), ("pickle", "never"), ("durability", "step"), ("orchestrator.workers", "3")]  # fmt: skip
    running = [subprocess.Popen([*command, *pair], stderr=-1) for pair in pairs]
    assert [process.wait(120) for process in running] == [0] * 4
    for process in running:
        process.stderr.close()
    stack = load_stack()
    assert (stack.cache, stack.pickle, stack.durability) == (False, "never", "step")
    assert stack.orchestrator.options == {"workers": 3}

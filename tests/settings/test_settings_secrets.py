import os
import pickle
import subprocess
import warnings

import keyring
import keyring.backends.fail
import keyring.backends.null
import pytest
from settings_help import CANARY, MemoryKeyring, posix, write

from zenlib import Stack, secrets
from zenlib.errors import SettingsInvalid, ZenlibWarning
from zenlib.settings import explain, load_stack
from zenlib.settings.component import password_name


@pytest.mark.parametrize(
    "store",
    [
        f"mysql://zen:{CANARY}@db/ml",
        f"mysql://zen:3306/{CANARY}@db/ml",
        f"mysql://zen@db/ml?password={CANARY}",
        f"mysql://${{env:USER}}:{CANARY}@db/ml",
        {"url": "mysql://zen@db/ml", "password": CANARY},
        {"url": "mysql://zen@db/ml", "nested": {"api_key": CANARY, "list": [f"a://b:{CANARY}@c"]}},
    ],
)  # fmt: skip
def test_a_password_is_in_no_text_that_is_made_of_a_stack(store):
    stack = Stack(metadata_store=store)
    shown = [repr(stack), str(stack), stack.model_dump_json(), str(stack.model_dump())]
    shown += [
        repr(stack.metadata_store),
        f"{stack.metadata_store}",
        str(explain(metadata_store=store)),
    ]
    assert not any(CANARY in text for text in shown)
    assert "***" in shown[0]
    assert pickle.loads(pickle.dumps(stack)) == stack  # a worker process needs the real one


@pytest.mark.parametrize("password", [f"x/{CANARY}", f"{CANARY}/x", f"[{CANARY}", f"{CANARY}:/x"])
def test_a_password_is_in_no_error_about_its_url(password):
    with pytest.raises(SettingsInvalid, match="is not a URL") as caught:
        Stack(metadata_store=f"mysql://zen:{password}@db/ml")
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None


def test_references_stay_as_they_were_written():
    url = "mysql://zen:${secret:db.password}@db/ml"
    stack = Stack(metadata_store={"url": url, "token": "${env:TOKEN}"})
    assert url in repr(stack)
    assert "${env:TOKEN}" in repr(stack)


def test_references_are_expanded_at_use(monkeypatch):
    stack = Stack(
        metadata_store={"url": "mysql://zen:${env:PW}@${env:HOST}/ml", "a": ["${env:HOST}", 1]}
    )
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
    with pytest.raises(
        SettingsInvalid, match=r"no such secret in ZENLIB_SECRET_A, the system keyring"
    ):
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
    path = write(
        place / "zenlib.toml", f"[stacks.default]\nmetadata_store = 'mysql://z:{CANARY}@db/x'\n"
    )
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
    write(
        place / "zenlib.toml", "[stacks.default]\nartifact_store = {url='s3://b', secret='abc'}\n"
    )
    git(place, "add", "zenlib.toml")
    with pytest.warns(ZenlibWarning, match="git tracks"):
        load_stack()

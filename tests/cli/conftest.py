import json
import os
import subprocess
import sys
from pathlib import Path

import keyring
import keyring.backends.fail
import pytest
from click.testing import CliRunner

from zenlib.cli.main import cli

SHELL_VARIABLES = ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS", "PYTHONIOENCODING", "PYTHONUTF8")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder to stand in, a home of its own, no variables and no keyring."""
    for name in list(os.environ):
        if name.startswith("ZENLIB_") or name in SHELL_VARIABLES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("ZENLIB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    before = keyring.get_keyring()
    keyring.set_keyring(keyring.backends.fail.Keyring())
    yield folder
    keyring.set_keyring(before)


class Answer:
    """What a command answered: exit code, data, messages."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\n--- stdout\n{self.out}--- stderr\n{self.err}"


@pytest.fixture
def zen(place):
    """Run a command in this process."""

    def run(*args, input=None, color=False):
        found = CliRunner().invoke(cli, [str(arg) for arg in args], input=input, color=color)
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return Answer(found.exit_code, found.stdout, found.stderr)

    return run


@pytest.fixture
def zenlib(place):
    """Run a command in a process of its own."""

    def run(*args, **more):
        environment = {**os.environ, **more.pop("env", {})}
        command = [sys.executable, "-m", "zenlib", *(str(arg) for arg in args)]
        done = subprocess.run(
            command, env=environment, capture_output=True, encoding="utf-8", timeout=120, **more
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def nowhere():
    """A folder in which nobody, not even the administrator, can make anything."""
    folder = Path("/proc/self")
    if not folder.exists():
        pytest.skip("needs /proc")
    return folder

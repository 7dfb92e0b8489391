import os

import keyring
import keyring.backends.fail
import pytest


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

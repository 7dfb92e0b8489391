"""What every test shares: a home of its own, so that no test sees the user's settings or history."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch) -> Path:
    """Give the test an empty home and no ZENLIB_ variables."""
    import os

    for name in list(os.environ):
        if name.startswith("ZENLIB_") and not name.startswith("ZENLIB_TEST_"):
            monkeypatch.delenv(name)
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("ZENLIB_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def _calls(tmp_path_factory, monkeypatch) -> None:
    """Give the test a file in which steps note what they did (`running_help.calls`)."""
    file = tmp_path_factory.mktemp("calls") / "calls"
    file.touch()
    monkeypatch.setenv("CALLS", str(file))

"""Where zenlib's files lie: the user's folders, and the project that a folder belongs to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import platformdirs

from zenlib.errors import SettingsInvalid

PROJECT_FOLDER = ".zen"
"""The folder that `zenlib init` makes: history and artifacts of one project."""
PROJECT_FILE = "zenlib.toml"
USER_FILE = "config.toml"
_MARKS = (PROJECT_FILE, PROJECT_FOLDER, "pyproject.toml")


class Paths(NamedTuple):
    """The user's folders; they may not exist yet."""

    config: Path
    data: Path
    cache: Path


def home() -> Paths:
    """Return the user's folders: below `ZENLIB_HOME` when it is set, else the platform's.

    Raises:
        SettingsInvalid: `ZENLIB_HOME` is empty or relative, or this user has no home folder.
    """
    root = os.environ.get("ZENLIB_HOME")
    if root is not None:
        folder = Path(root).expanduser() if root.strip() else Path()
        if not folder.is_absolute():
            raise SettingsInvalid(
                f"ZENLIB_HOME is {root!r}; it must be the absolute path of a folder, or not be set"
            )
        return Paths(folder, folder / "data", folder / "cache")
    try:
        found = Paths(
            platformdirs.user_config_path("zenlib", appauthor=False),
            platformdirs.user_data_path("zenlib", appauthor=False),
            platformdirs.user_cache_path("zenlib", appauthor=False),
        )
    except RuntimeError as error:
        raise _homeless(str(error)) from error
    for folder in found:
        if not folder.is_absolute():  # from older versions of platformdirs
            raise _homeless(f"found {str(folder)!r}")
    return found


def _homeless(why: str) -> SettingsInvalid:
    return SettingsInvalid(
        f"this user has no home folder ({why}); set ZENLIB_HOME to a folder that zenlib may write to"
    )


def user_file() -> Path:
    """Return the path of the user's own configuration; it may not exist."""
    return home().config / USER_FILE


def upward(start: Path | None = None) -> list[Path]:
    """Return the folder and all those above it, nearest first.

    Args:
        start: the current folder when it is left out.

    Raises:
        SettingsInvalid: the current folder has been deleted.
    """
    try:
        folder = Path(start or Path.cwd()).absolute()
    except FileNotFoundError as error:
        raise SettingsInvalid("the current folder has been deleted; change to another") from error
    return [folder, *folder.parents]


def _there(path: Path) -> bool:
    # A folder that may not be entered holds nothing for this user.
    try:
        return path.exists()
    except OSError:
        return False


def project_root(start: Path | None = None) -> Path | None:
    """Return the nearest folder upward that holds `zenlib.toml`, `.zen` or `pyproject.toml`."""
    for folder in upward(start):
        if any(_there(folder / mark) for mark in _MARKS):
            return folder
    return None


def project_folder(start: Path | None = None) -> Path | None:
    """Return the nearest `.zen` folder upward, as made by `zenlib init`."""
    for folder in upward(start):
        try:
            if (folder / PROJECT_FOLDER).is_dir():
                return folder / PROJECT_FOLDER
        except OSError:
            continue
    return None


def default_data(start: Path | None = None) -> Path:
    """Return where history and artifacts lie unless a setting says otherwise."""
    return project_folder(start) or home().data

"""Where this user's secrets are kept: the environment, the system's keyring, or a private file."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from pathlib import Path

from zenlib import places, textfiles
from zenlib.errors import SettingsInvalid

SERVICE = "zenlib"
"""The service under which the keyring keeps zenlib's secrets."""


def variable(name: str) -> str:
    """Return the environment variable that overrides a secret.

    >>> variable("db.password")
    'ZENLIB_SECRET_DB_PASSWORD'
    """
    return "ZENLIB_SECRET_" + re.sub(r"[^A-Z0-9]", "_", name.upper())


def secrets_file() -> Path:
    """Return the path of the private file that stands in where there is no keyring."""
    return places.home().data / "secrets.json"


def find(name: str) -> str | None:
    """Return a secret from the environment, the keyring or the private file; None when unknown.

    Raises:
        SettingsInvalid: the private file is damaged, or others than its owner may read it.
        Denied, Unavailable: it cannot be read.
    """
    found = os.environ.get(variable(name))
    if found is not None:
        return found
    found = _keyring_get(name)
    return found if found is not None else _read().get(name)


def store(name: str, value: str) -> str:
    """Keep a secret in the keyring or, without one, in the private file; return where.

    Raises:
        SettingsInvalid, Denied, Unavailable: the private file cannot be read or written.
    """
    if _keyring_set(name, value):
        return "the system keyring"
    path = secrets_file()
    with textfiles.locked(path):
        textfiles.replace(path, json.dumps({**_read(), name: value}, indent=1), mode=0o600)
    return str(path)


def _keyring_get(name: str) -> str | None:
    import keyring
    from keyring.errors import KeyringError

    try:
        value: str | None = keyring.get_password(SERVICE, name)
    except (KeyringError, OSError):  # no keyring, or a locked one: the file is asked next
        return None
    return value


def _keyring_set(name: str, value: str) -> bool:
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(SERVICE, name, value)
    except (KeyringError, OSError):
        return False
    return _keyring_get(name) == value  # a disabled keyring takes everything and keeps nothing


def _read() -> dict[str, str]:
    path = secrets_file()
    try:
        text = path.read_text("utf-8")
        mode = path.stat().st_mode
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise _damaged(path) from error
    except OSError as error:
        raise textfiles.cannot("read", path, error) from error
    if sys.platform != "win32" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsInvalid(
            f"{path} holds secrets and may be read by others; after checking who did, "
            f"run: chmod 600 {path}"
        )
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise _damaged(path)
    return found


def _damaged(path: Path) -> SettingsInvalid:
    return SettingsInvalid(f"{path} is not a JSON object of texts; repair or remove it")

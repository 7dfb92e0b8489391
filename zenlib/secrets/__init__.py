"""Secrets by reference: settings hold `${secret:name}` or `${env:NAME}`, values appear only at use."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from zenlib.errors import SettingsInvalid
from zenlib.secrets import local
from zenlib.wording import shown

_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_KNOWN = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|secret:[A-Za-z0-9._-]{1,120}")
_LOGIN = re.compile(r"([A-Za-z][\w+.-]*://(?:\$\{[^{}]*\}|[^\s:/@])*:)(.*)@", re.DOTALL)
_WORDS = r"pass|pwd|token|secret|key|credential|signature"
_QUERY = re.compile(rf"([?&;][^=&;#\s]*(?:{_WORDS})[^=&;#\s]*=)([^&;#\s]*)", re.IGNORECASE)
_NAME = re.compile(_WORDS, re.IGNORECASE)
HIDDEN = "***"


def check_references(text: str) -> None:
    """Raise `SettingsInvalid` when a `${…}` in the text is not a reference."""
    for found in _REFERENCE.finditer(text):
        if not _KNOWN.fullmatch(found[1]):
            raise SettingsInvalid(
                f"{shown(found[0])} is not a reference; write ${{env:NAME}} or ${{secret:name}}"
            )


def without_references(text: str) -> str:
    """Return the text with `0` in the place of each reference, to look at its form."""
    return _REFERENCE.sub("0", text)


def _value(reference: str) -> str:
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = os.environ.get(name)
        if value is None:
            raise SettingsInvalid(f"${{env:{name}}}: the environment variable {name} is not set")
        return value
    found = local.find(name)
    if found is None:
        raise SettingsInvalid(
            f"${{secret:{name}}}: there is no such secret in {local.variable(name)}, the system "
            f"keyring or {local.secrets_file()}; store it, or set that variable"
        )
    return found


def _expand(text: str, then: Callable[[str], str]) -> str:
    check_references(text)
    return _REFERENCE.sub(lambda found: then(_value(found[1])), text)


def resolve(text: str) -> str:
    """Return the text with its references replaced by what they stand for.

    >>> resolve("no reference")
    'no reference'

    Raises:
        SettingsInvalid: a variable is not set, there is no such secret, or it is no reference.
    """
    return _expand(text, str)


def resolve_url(url: str) -> str:
    """Like `resolve`; values between `://` and `@` are percent-encoded, as a URL demands."""
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    login, at, host = authority.rpartition("@")
    if not mark or not at:
        return resolve(url)
    login = _expand(login, lambda value: quote(value, safe=""))
    return scheme + mark + login + at + resolve(host + slash + path)


def resolve_all(data: Any) -> Any:
    """Return JSON-like data with the references in all of its texts replaced."""
    if isinstance(data, str):
        return resolve(data)
    if isinstance(data, Mapping):
        return {key: resolve_all(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [resolve_all(value) for value in data]
    return data


def _hide(value: str) -> str:
    return value if not value or _REFERENCE.fullmatch(value) else HIDDEN


def mask(text: str) -> str:
    """Return the text with the passwords of its URLs hidden; references stay as they are.

    >>> mask("mysql://zen:hunter2@db/zenlib")
    'mysql://zen:***@db/zenlib'
    >>> mask("mysql://zen:${secret:db}@db/zenlib")
    'mysql://zen:${secret:db}@db/zenlib'
    """
    text = _LOGIN.sub(lambda found: f"{found[1]}{_hide(found[2])}@", text)
    return _QUERY.sub(lambda found: found[1] + _hide(found[2]), text)


def names_secret(name: str) -> bool:
    """Return whether a setting of this name probably holds a secret.

    >>> names_secret("password"), names_secret("workers")
    (True, False)
    """
    return bool(_NAME.search(name))


def mask_all(data: Any, name: str = "") -> Any:
    """Return JSON-like data in which the values of secret names, and passwords in URLs, are hidden."""
    if isinstance(data, Mapping):
        return {
            key: mask_all(value, name if names_secret(name) else key) for key, value in data.items()
        }
    if isinstance(data, list | tuple):
        return [mask_all(value, name) for value in data]
    if names_secret(name) and data is not None and not isinstance(data, bool):
        return _hide(str(data))
    return mask(data) if isinstance(data, str) else data


def literal_password(url: str) -> str | None:
    """Return the password that stands in a URL as such, and not as a reference.

    >>> literal_password("mysql://zen:hunter2@db/zenlib")
    'hunter2'
    """
    login, at, _ = url.partition("://")[2].partition("/")[0].rpartition("@")
    password = re.sub(r"\$\{[^{}]*\}", "", login).partition(":")[2]
    return login.partition(":")[2] if at and password else None

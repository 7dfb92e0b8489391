"""One part of a stack as data: its type, its URL and its options."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from pydantic import BaseModel, ConfigDict, field_serializer

from zenlib import registry, secrets
from zenlib.errors import SettingsInvalid
from zenlib.registry import scheme_type
from zenlib.settings.fields import COMPONENTS
from zenlib.wording import shown

_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,79}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,79}")
_PATH = re.compile(r"[./~\\]|[A-Za-z]:[\\/]")
_WHOLE = re.compile(r"\$\{env:[^{}]*\}")
_MAX_LENGTH = 4096
_FILES = {"metadata_store": "sqlite", "artifact_store": "local"}
"""Which type a path means."""


class Component(BaseModel):
    """A metadata store, artifact store or orchestrator, as settings name it.

    Passwords are hidden in `repr`, `str` and dumps; the attributes hold what was given, with
    `${secret:…}` and `${env:…}` as they were written. `resolved` gives what an adapter opens.

    >>> Component(type="mysql", url="mysql://zen:hunter2@db/zenlib")
    Component(type='mysql', url='mysql://zen:***@db/zenlib', options={})
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    """The adapter's name in `zenlib.registry`."""
    url: str | None = None
    options: dict[str, Any] = {}
    """Settings of the adapter, which checks them when it is opened."""

    @field_serializer("url")
    def _mask_url(self, url: str | None) -> str | None:
        return None if url is None else secrets.mask(url)

    @field_serializer("options")
    def _mask_options(self, options: dict[str, Any]) -> dict[str, Any]:
        masked: dict[str, Any] = secrets.mask_all(options)
        return masked

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        return [(name, value) for name, value in self.model_dump().items()]

    def __str__(self) -> str:
        return self.type if self.url is None else secrets.mask(self.url)

    @property
    def path(self) -> Path | None:
        """The file or folder of a component that lies on this machine, or None."""
        return None if self.url is None else _path_of(self.url)

    def resolved(self) -> Component:
        """Return the component with its references replaced by what they stand for.

        A MySQL URL with a user and no password gets the one that `zenlib config metadata set`
        stored, if it did.

        Raises:
            SettingsInvalid: a variable is not set or a secret is not known.
        """
        url = self.url
        if url is not None:
            url = _with_stored_password(secrets.resolve_url(url), self.type)
        return Component(type=self.type, url=url, options=secrets.resolve_all(self.options))


def password_name(url: str) -> str:
    """Return the name of the secret that holds the password of a URL's user.

    >>> password_name("mysql://zen@db.internal/zenlib")
    'mysql.zen-db.internal-zenlib.6d71aec8'
    """
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port not in (None, 3306) else ""
    text = f"{unquote(parts.username or '')}@{parts.hostname or ''}{port}/{parts.path.strip('/')}"
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")[:80]
    return f"{scheme_type(parts.scheme)}.{plain}.{sha256(text.encode()).hexdigest()[:8]}"


def _with_stored_password(url: str, type_: str) -> str:
    if type_ != "mysql":
        return url
    parts = urlsplit(url)
    if not parts.username or parts.password is not None:
        return url
    name = password_name(url)
    found = secrets.local.find(name)
    if found is None:
        return url
    reference = f"{parts.username}:${{secret:{name}}}@"
    return secrets.resolve_url(url.replace(f"{parts.username}@", reference, 1))


def check_type(field: str, type_: str) -> None:
    """Raise `SettingsInvalid` unless some adapter, built in or installed, has this type."""
    kind = COMPONENTS[field]
    if not registry.known(kind, type_):
        hint = f"; a file or folder is written './{type_}'" if field in _FILES else ""
        raise SettingsInvalid(f"{field}: {registry.unknown(kind, type_)}{hint}")


def is_type_name(text: str) -> bool:
    """Return whether a component's text is the name of a type, and neither a URL nor a path."""
    return bool(_TYPE.fullmatch(text))


def is_variable(text: str) -> bool:
    """Return whether a component's text is `${env:NAME}` and nothing else."""
    return bool(_WHOLE.fullmatch(text))


class Parts(NamedTuple):
    """What one place says of a component; `type` is None when it only adds options."""

    type: str | None
    url: str | None
    options: dict[str, Any]


def read_component(field: str, raw: object, base: Path) -> Parts:
    """Read a component given as URL, path, type name, table or `Component`.

    Args:
        field: `metadata_store`, `artifact_store` or `orchestrator`.
        base: the folder that relative paths start from.

    Raises:
        SettingsInvalid: it is none of these; the message does not say where it stands.
    """
    if isinstance(raw, Component):
        return Parts(raw.type, raw.url, dict(raw.options))
    if isinstance(raw, PurePath):
        return _read_path(field, str(raw), base)
    if isinstance(raw, str):
        return _read_text(field, raw, base)
    if isinstance(raw, Mapping):
        return _read_table(field, raw, base)
    raise SettingsInvalid(
        f"{field} is {shown(raw)}; it must be a URL, a type name, or a table with 'type' or 'url'"
    )


def _read_table(field: str, raw: Mapping[str, object], base: Path) -> Parts:
    options: dict[str, Any] = {str(key): value for key, value in raw.items()}
    given, url, more = (options.pop(name, None) for name in ("type", "url", "options"))
    if isinstance(more, Mapping):
        options.update(more)
    elif more is not None:
        raise SettingsInvalid(f"{field}.options must be a table")
    _check_texts(field, options)
    if given is None and url is None:
        return Parts(None, None, options)
    if not isinstance(given, str | None) or not isinstance(url, str | None):
        raise SettingsInvalid(f"{field}: 'type' and 'url' must be texts")
    parts = Parts(given, None, {}) if url is None else _read_text(field, url, base)
    if given is not None and not _TYPE.fullmatch(given):
        raise SettingsInvalid(f"{field}: {shown(given)} is not a type name")
    return Parts(given or parts.type, parts.url, options)


def _check_texts(name: str, data: object) -> None:
    if isinstance(data, str):
        secrets.check_references(data)
    elif isinstance(data, Mapping):
        for key, value in data.items():
            _check_texts(f"{name}.{key}", value)
    elif isinstance(data, list | tuple):
        for value in data:
            _check_texts(name, value)
    elif data is not None and not isinstance(data, bool | int | float):
        raise SettingsInvalid(f"{name} is {shown(data)}; options are texts, numbers and tables")


def _read_text(field: str, raw: str, base: Path) -> Parts:
    text = secrets.resolve(raw) if is_variable(raw) else raw
    if not text.strip():
        raise SettingsInvalid(f"{field} is empty; give a URL or a type name")
    if len(text) > _MAX_LENGTH or not text.isprintable():
        raise SettingsInvalid(
            f"{field} is {shown(secrets.mask(text))}; it may have at most {_MAX_LENGTH} "
            "characters and no control characters"
        )
    secrets.check_references(text)
    if "://" in text:
        return _read_url(field, text, base)
    if _PATH.match(text) or "/" in text or "\\" in text:
        return _read_path(field, text, base)
    if _TYPE.fullmatch(text):
        return Parts(text, None, {})
    raise SettingsInvalid(
        f"{field} is {shown(text)}; it must be a URL, a path such as './folder', or a type name"
    )


def _read_url(field: str, text: str, base: Path) -> Parts:
    scheme, _, rest = text.partition("://")
    if not _SCHEME.fullmatch(scheme):
        raise SettingsInvalid(f"{field}: {shown(secrets.mask(text))} is not a URL")
    type_ = scheme_type(scheme.lower())
    if type_ == "file":
        if not rest.startswith("/"):
            raise SettingsInvalid(
                f"{field}: a file URL starts with file:/// ; write a relative folder as './folder'"
            )
        return _read_path(field, url2pathname(rest), base)
    if type_ == "sqlite":
        return Parts(type_, _sqlite_url(field, scheme, rest, base), {})
    try:
        _ = urlsplit(secrets.without_references(text)).port
    except ValueError:
        # Not the parser's words: they may quote a part of a password.
        raise SettingsInvalid(
            f"{field}: {shown(secrets.mask(text))} is not a URL: its host or port is wrong, or "
            "characters such as / : @ # in a password are not written as %2F %3A %40 %23"
        ) from None
    return Parts(type_, text, {})


def _sqlite_url(field: str, scheme: str, rest: str, base: Path) -> str:
    if rest and not rest.startswith("/"):
        raise SettingsInvalid(
            f"{field}: write sqlite:///relative/path or sqlite:////absolute/path, "
            f"not {shown(f'{scheme}://{rest}')}"
        )
    name, mark, query = rest[1:].partition("?")
    if name in ("", ":memory:") or name.startswith("file:"):
        return f"{scheme}://{rest}"
    return f"{scheme}:///{_absolute(name, base).as_posix()}{mark}{query}"


def _absolute(name: str, base: Path) -> Path:
    try:
        return Path(os.path.normpath(base / Path(name).expanduser()))
    except RuntimeError as error:  # no home folder for ~
        raise SettingsInvalid(f"{shown(name)}: {error}") from error


def _read_path(field: str, text: str, base: Path) -> Parts:
    type_ = _FILES.get(field)
    if type_ is None:
        raise SettingsInvalid(f"{field} is {shown(text)}; it must be a type name such as 'local'")
    return Parts(type_, path_url(type_, _absolute(text, base)), {})


def path_url(type_: str, path: Path) -> str:
    """Return the URL of a local file or folder: `sqlite:///…` or `file:///…`.

    Raises:
        SettingsInvalid: the name cannot be written in the locale's encoding, or a SQLite file
            lies below a folder with `?` in its name, which no URL can say.
    """
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise SettingsInvalid(
            f"{str(path)!a} cannot be a file name here: the locale's encoding is "
            f"{error.encoding}; set LC_ALL to a UTF-8 locale, or PYTHONUTF8=1"
        ) from None
    if type_ != "sqlite":
        return path.as_uri()
    if "?" in str(path):
        raise SettingsInvalid(f"a SQLite file cannot lie in {path}: its name has a '?'")
    return f"sqlite:///{path.as_posix()}"


def _path_of(url: str) -> Path | None:
    scheme, _, rest = url.partition("://")
    if scheme == "file":
        return Path(url2pathname(rest))
    name = rest[1:].partition("?")[0]
    if scheme_type(scheme) != "sqlite" or name in ("", ":memory:") or name.startswith("file:"):
        return None
    return Path(name)

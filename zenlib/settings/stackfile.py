"""Writing configuration files: comments and layout are kept, and a change is made whole or not."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import tomlkit
from tomlkit.exceptions import TOMLKitError

from zenlib import places, secrets, textfiles
from zenlib.errors import Conflict, Invalid, NotFound, SettingsInvalid, ZenlibError
from zenlib.settings import files
from zenlib.settings.component import (
    Component,
    check_type,
    is_type_name,
    is_variable,
    password_name,
    path_url,
    read_component,
)
from zenlib.settings.fields import check_name
from zenlib.wording import nearest, shown

Table = MutableMapping[str, Any]
NewTable = Callable[[], Any]


def target(start: Path | None = None, *, user: bool = False) -> Path:
    """Return the file that a change goes to.

    That is the project's configuration file, the one to be made in the project's root, or the
    user's own: when asked for, or where there is no project.

    Raises:
        SettingsInvalid: the project's file is wrong.
    """
    if user:
        return places.user_file()
    if (file := files.project_file(start)) is not None:
        return file.path
    root = places.project_root(start)
    return root / places.PROJECT_FILE if root is not None else places.user_file()


def portable(field: str, text: str, file: Path) -> str:
    """Return a component's text as it is written into `file`.

    A path below the file's folder becomes relative to it, so that the project can be moved; any
    other becomes absolute.

    Raises:
        SettingsInvalid: it is no component, or there is no adapter for it.
    """
    if is_variable(text):
        return text  # what it stands for is nobody's business before it is used
    parts = read_component(field, text, Path.cwd())
    assert parts.type is not None
    check_type(field, parts.type)
    path = Component(type=parts.type, url=parts.url).path
    if path is None:
        return text
    if path.is_relative_to(file.parent) and path != file.parent:
        inside = path.relative_to(file.parent).as_posix()
        query = text.partition("?")[1:] if parts.type == "sqlite" and "://" in text else ("", "")
        return f"sqlite:///{inside}{''.join(query)}" if parts.type == "sqlite" else f"./{inside}"
    return parts.url or path_url(parts.type, path)


def store_password(text: str) -> tuple[str, str]:
    """Move a URL's password out of it; return the URL with a reference, and where it is kept.

    Raises:
        Invalid: the URL must be percent-encoded first.
        SettingsInvalid, Denied, Unavailable: the secret cannot be kept.
    """
    password = secrets.literal_password(text)
    if password is None:
        if secrets.mask(text) != text:
            raise Invalid(
                f"{secrets.mask(text)}: write / : @ in a password as %2F %3A %40, and a secret "
                "in a URL's query as ${secret:name} or ${env:NAME}"
            )
        return text, ""
    scheme, _, rest = text.partition("://")
    login, _, host = rest.partition("/")[0].rpartition("@")
    user = login.partition(":")[0]
    bare = f"{scheme}://{user}@{host}{rest[len(login) + 1 + len(host) :]}"
    if secrets.mask(bare) != bare:
        raise Invalid(f"{secrets.mask(bare)}: write a secret in a URL's query as ${{secret:name}}")
    name = password_name(bare)
    where = secrets.local.store(name, unquote(password))
    return bare.replace(f"{user}@", f"{user}:${{secret:{name}}}@", 1), where


def prepare(field: str, text: str, file: Path) -> tuple[str, str]:
    """Return a component's text as it may be written into `file`, and where its password went.

    Raises:
        SettingsInvalid, Invalid, Denied, Unavailable: as `portable` and `store_password`.
    """
    return store_password(portable(field, text, file))


def check_new(file: Path, name: str) -> None:
    """Raise unless a stack of this name can be registered in the file."""
    check_name(name)
    known = files.read_file(file)
    if known is not None and name in known.stacks:
        raise Conflict(
            f"the stack {name!r} is registered already ({known.place('stacks', name)}); "
            f"change it with: zenlib stack update {name}"
        )


def register(file: Path, name: str, fields: Mapping[str, object]) -> None:
    """Describe a new stack in the file.

    Raises:
        Conflict: the file describes it already.
        SettingsInvalid, Denied, Unavailable: the name or the file is wrong, or cannot be written.
    """

    def change(table: Table, new: NewTable) -> None:
        check_new(file, name)  # again, now that nobody else writes
        _stack(table, name, new).update(fields)

    _edit(file, change)


def update(file: Path, name: str, fields: Mapping[str, object]) -> None:
    """Change fields of a stack; a stack that the file does not describe yet is added.

    Raises:
        SettingsInvalid, Denied, Unavailable: the name or the file is wrong, or cannot be written.
    """
    check_name(name)

    def change(table: Table, new: NewTable) -> None:
        stack = _stack(table, name, new)
        for field, value in fields.items():
            stack[field] = value

    _edit(file, change)


def set_option(file: Path, name: str, field: str, option: str, value: object) -> None:
    """Set one option of a stack's component; which component it is stays as it is.

    Raises:
        SettingsInvalid, Denied, Unavailable: the file is wrong, or cannot be written.
    """

    def change(table: Table, new: NewTable) -> None:
        stack = _stack(table, name, new)
        old = stack.get(field)
        if not isinstance(old, MutableMapping):
            fresh = {} if new is dict else tomlkit.inline_table()
            if old is not None:
                fresh["type" if is_type_name(old) else "url"] = str(old)
            stack[field] = fresh
        stack[field][option] = value

    _edit(file, change)


def activate(file: Path, name: str) -> None:
    """Make a stack the active one.

    Raises:
        SettingsInvalid, Denied, Unavailable: the file is wrong, or cannot be written.
    """
    check_name(name)

    def change(table: Table, _new: NewTable) -> None:
        table["stack"] = name

    _edit(file, change)


def deactivate(file: Path, name: str) -> None:
    """Take back the choice of a stack as the active one, if the file made it.

    Raises:
        SettingsInvalid, Denied, Unavailable: the file is wrong, or cannot be written.
    """

    def change(table: Table, _new: NewTable) -> None:
        if table.get("stack") == name:
            del table["stack"]

    _edit(file, change)


def delete(file: Path, name: str) -> None:
    """Remove a stack's description.

    Raises:
        NotFound: the file does not describe it.
        SettingsInvalid, Denied, Unavailable: the file is wrong, or cannot be written.
    """

    def change(table: Table, _new: NewTable) -> None:
        known = table.get("stacks", {})
        if name not in known:
            raise NotFound(f"{file} describes no stack {shown(name)}{nearest(name, known)}")
        del known[name]
        if not known:
            del table["stacks"]

    _edit(file, change)


def _stack(table: Table, name: str, new: NewTable) -> Any:
    """Return the table of a stack, made when missing."""
    if "stacks" not in table:
        table["stacks"] = {} if new is dict else tomlkit.table(is_super_table=True)
    if name not in table["stacks"]:
        table["stacks"][name] = new()
    return table["stacks"][name]


def _inner(table: Table, prefix: files.Key, new: NewTable) -> Any:
    for part in prefix:
        if part not in table:
            table[part] = new()
        table = table[part]
    return table


def _edit(file: Path, change: Callable[[Table, NewTable], None]) -> None:
    """Apply a change to the file's text, holding its lock.

    The change is made twice, to the text and to plain data, and both must agree: a layout that
    the editor gets wrong is refused instead of damaged.
    """
    prefix: files.Key = ("tool", "zenlib") if file.name == "pyproject.toml" else ()
    with textfiles.locked(file):
        text = files.read_text(file) if file.exists() else ""
        files.parse(file, text, prefix)
        wanted: dict[str, Any] = copy.deepcopy(tomllib.loads(text))
        change(_inner(wanted, prefix, dict), dict)
        try:
            document = tomlkit.parse(text)
            change(_inner(document, prefix, tomlkit.table), tomlkit.table)
            edited = tomlkit.dumps(document)
            agrees = tomllib.loads(edited) == wanted
        except ZenlibError:
            raise
        except (TOMLKitError, ValueError, TypeError, KeyError) as error:
            raise SettingsInvalid(_by_hand(file)) from error
        if not agrees:
            raise SettingsInvalid(_by_hand(file))
        files.parse(file, edited, prefix)
        textfiles.replace(file, edited)


def _by_hand(file: Path) -> str:
    return (
        f"{file}: its layout cannot be changed automatically and was left as it is; "
        "change it in an editor, or move the tables of zenlib next to each other"
    )

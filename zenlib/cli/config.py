"""`zenlib config`: read, write and explain settings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from zenlib import secrets
from zenlib.cli.completion import stack_names
from zenlib.cli.frame import Group
from zenlib.cli.output import Output
from zenlib.cli.tables import Column
from zenlib.cli.written import tell
from zenlib.errors import Invalid, NotFound
from zenlib.settings import Explained, explain, stackfile
from zenlib.settings.fields import COMPONENTS, FIELDS, read_option, read_simple, unknown_key
from zenlib.wording import shown

_user = click.option(
    "--user", is_flag=True, help="Write your own configuration, not the project's."
)
_stack = click.option(
    "--stack", metavar="NAME", shell_complete=stack_names, help="Of this stack, not the active one."
)
_KEYS = ("stack", *FIELDS)


@click.group(cls=Group)
def config() -> None:
    """Read, write and explain settings."""


def _active(name: str | None) -> str:
    return str(explain(name)[0].value)


def _write(out: Output, key: str, text: str, name: str | None, user: bool) -> None:
    """Write a component of the active stack, or of the one named."""
    name = _active(name)
    file = stackfile.target(user=user)
    value, where = stackfile.prepare(key, text, file)
    stackfile.update(file, name, {key: value})
    if where:
        out.note(f"the password is kept in {where}")
    tell(out, file, name, [key])


@config.group()
def metadata() -> None:
    """Where history is kept."""


@metadata.command("set")
@click.argument("what", metavar="sqlite|mysql|URL")
@click.argument("path", required=False)
@click.option("--host", default="localhost", show_default=True, help="Of the MySQL server.")
@click.option("--port", default=3306, show_default=True, type=click.IntRange(1, 65535))
@click.option("--username", help="Of the MySQL user.")
@click.option("--passwd", help="Asked for, unseen, when left out. Kept in the keyring.")
@click.option("--database", default="zenlib", show_default=True)
@_stack
@_user
@click.pass_obj
def set_metadata(
    out: Output,
    what: str,
    path: str | None,
    host: str,
    port: int,
    username: str | None,
    passwd: str | None,
    database: str,
    stack: str | None,
    user: bool,
) -> None:
    """Keep history in a SQLite file, a MySQL database, or at a URL.

    \b
    zenlib config metadata set sqlite history.db
    zenlib config metadata set mysql --host db.internal --username zen --database ml
    zenlib config metadata set mysql://zen@db.internal/ml
    """
    _check_combination(what, path, username, passwd)
    if what == "sqlite":
        text = "sqlite" if path is None else str(Path(path).expanduser().absolute())
    elif what == "mysql":
        assert username is not None
        text = _mysql_url(username, _password(passwd), host, port, database)
    else:
        text = what
    _write(out, "metadata_store", text, stack, user)


def _check_combination(
    what: str, path: str | None, username: str | None, passwd: str | None
) -> None:
    if what == "mysql" and not username:
        raise click.UsageError("mysql needs --username (and --host, --port, --database)")
    if what != "mysql" and (username or passwd):
        raise click.UsageError("--username and --passwd go with 'mysql'")
    if what != "sqlite" and path is not None:
        raise click.UsageError("only 'sqlite' is followed by a path")


def _password(given: str | None) -> str:
    """Return the password: the option's, or typed unseen, or one line of a pipe."""
    if given is not None:
        return given
    if sys.stdin is not None and sys.stdin.isatty():
        typed: str = click.prompt(
            "Password", hide_input=True, default="", show_default=False, err=True
        )
        return typed
    line = sys.stdin.readline() if sys.stdin is not None else ""
    if not line:
        raise click.UsageError("no password: type it, pipe it in, or give --passwd")
    return line.rstrip("\r\n")


def _mysql_url(username: str, password: str, host: str, port: int, database: str) -> str:
    login = quote(username, safe="")
    if password:
        login += ":" + quote(password, safe="")
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    number = "" if port == 3306 else f":{port}"
    return f"mysql://{login}@{host}{number}/{quote(database, safe='')}"


@config.group()
def artifacts() -> None:
    """Where artifacts are kept."""


@artifacts.command("set")
@click.argument("url")
@_stack
@_user
@click.pass_obj
def set_artifacts(out: Output, url: str, stack: str | None, user: bool) -> None:
    """Keep artifacts in a folder or a bucket.

    \b
    zenlib config artifacts set ./artifacts
    zenlib config artifacts set s3://bucket/folder
    """
    _write(out, "artifact_store", url, stack, user)


def _find(key: str, rows: Sequence[Explained]) -> Explained:
    for row in rows:
        if row.key == key and not row.note:
            return row
    if key.partition(".")[0] in COMPONENTS and "." in key:
        raise NotFound(f"{shown(key)} is not set")
    raise Invalid(unknown_key(key, _KEYS))


@config.command()
@click.argument("key", shell_complete=lambda _c, _p, text: [k for k in _KEYS if k.startswith(text)])
@_stack
@click.pass_obj
def get(out: Output, key: str, stack: str | None) -> None:
    """Print the value that holds for KEY, such as 'cache' or 'orchestrator.workers'."""
    row = _find(key, explain(stack))
    text = str(row.value).lower() if isinstance(row.value, bool) else str(row.value)
    out.object({"key": row.key, "value": row.value, "source": row.source}, text)


@config.command("set")
@click.argument(
    "key", shell_complete=lambda _c, _p, text: [k for k in FIELDS if k.startswith(text)]
)
@click.argument("value")
@_stack
@_user
@click.pass_obj
def set_(out: Output, key: str, value: str, stack: str | None, user: bool) -> None:
    """Set KEY of the active stack: cache, pickle, durability, orchestrator, or an option of a
    component, such as orchestrator.workers.
    """
    field, dot, option = key.partition(".")
    if key == "stack":
        raise Invalid("the active stack is chosen with: zenlib stack set NAME")
    if field not in FIELDS or (dot and (field not in COMPONENTS or not option)):
        raise Invalid(unknown_key(key, FIELDS))
    if key in COMPONENTS:
        _write(out, key, value, stack, user)
        return
    parsed = _option(key, value) if dot else read_simple(key, value, text=True)
    name = _active(stack)
    file = stackfile.target(user=user)
    if dot:
        stackfile.set_option(file, name, field, option, parsed)
    else:
        stackfile.update(file, name, {key: parsed})
    tell(out, file, name, [key])


def _option(key: str, value: str) -> Any:
    secrets.check_references(value)
    if secrets.mask_all(value, key) != value:
        raise Invalid(
            f"{key} looks like a secret, which no settings file holds; "
            "write ${env:NAME} or ${secret:name}"
        )
    return read_option(value)


@config.command("explain")
@_stack
@click.pass_obj
def explain_(out: Output, stack: str | None) -> None:
    """Show each value, where it comes from, and what it overrides."""
    out.table(
        explain(stack),
        [
            Column("KEY", "key", lambda row: "bright_black" if row["note"] else None),
            Column("VALUE", "value"),
            Column("FROM", "source"),
            Column("", "note", lambda _: "bright_black"),
        ],
    )

"""`zenlib stack`: describe stacks in configuration files and choose the active one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from zenlib.cli.completion import stack_names
from zenlib.cli.frame import Group
from zenlib.cli.output import Output
from zenlib.cli.tables import Column
from zenlib.cli.written import tell
from zenlib.errors import Conflict, NotFound
from zenlib.settings import StackInfo, stackfile, stacks
from zenlib.settings.fields import COMPONENTS
from zenlib.settings.files import configuration_files
from zenlib.wording import nearest, shown

_user = click.option(
    "--user", is_flag=True, help="Write your own configuration, not the project's."
)
_name = click.argument("name", shell_complete=stack_names)


def _components(function: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--orchestrator", metavar="TYPE", help="Where steps run, such as 'local'."),
        click.option("--artifact-store", metavar="URL", help="A folder, s3://…, gs://…"),
        click.option("--metadata-store", metavar="URL", help="sqlite:///…, mysql://…"),
    ):
        function = option(function)
    return function


@click.group(cls=Group)
def stack() -> None:
    """Choose where history and artifacts are kept and where steps run."""


def _find(name: str) -> StackInfo:
    known = {info.name: info for info in stacks()}
    if name not in known:
        listed = ", ".join(known)
        raise NotFound(f"no stack is called {shown(name)}{nearest(name, known)}; known: {listed}")
    return known[name]


def _prepared(given: Mapping[str, str | None], file: Path, out: Output) -> dict[str, object]:
    fields: dict[str, object] = {}
    for field, text in given.items():
        if text is not None:
            fields[field], where = stackfile.prepare(field, text, file)
            if where:
                out.note(f"the password is kept in {where}")
    return fields


@stack.command()
@click.argument("name")
@_components
@_user
@click.pass_obj
def register(out: Output, /, name: str, user: bool, **given: str | None) -> None:
    """Describe a new stack; what is left out has its default."""
    file = stackfile.target(user=user)
    stackfile.check_new(file, name)
    stackfile.register(file, name, _prepared(given, file, out))
    tell(out, file, name, list(given))
    if not _find(name).active:
        out.note(f"to use it: zenlib stack set {name}")


@stack.command("set")
@_name
@_user
@click.pass_obj
def set_(out: Output, name: str, user: bool) -> None:
    """Make a stack the active one."""
    _find(name)
    file = stackfile.target(user=user)
    stackfile.activate(file, name)
    tell(out, file, name, ["stack"])


def _row(info: StackInfo) -> dict[str, Any]:
    values = {
        field: value.model_dump() if field in COMPONENTS else value
        for field, value in info.values.items()
    }
    return {"name": info.name, "active": info.active, **values, "source": info.source}


def _component(field: str) -> Callable[[Mapping[str, Any]], object]:
    return lambda row: row[field]["url"] or row[field]["type"]


@stack.command("list")
@click.pass_obj
def list_(out: Output) -> None:
    """List the stacks of the project and of the user."""
    mark = "●" if out.glyphs else "*"
    out.table(
        [_row(info) for info in stacks()],
        [
            Column("", lambda row: mark if row["active"] else ""),
            Column("NAME", "name", lambda row: "green" if row["active"] else None),
            Column("METADATA", _component("metadata_store")),
            Column("ARTIFACTS", _component("artifact_store")),
            Column("ORCHESTRATOR", _component("orchestrator")),
            Column("FROM", "source"),
        ],
    )


@stack.command()
@click.argument("name", required=False, shell_complete=stack_names)
@click.pass_obj
def describe(out: Output, name: str | None) -> None:
    """Show a stack; the active one when NAME is left out."""
    info = _find(name) if name is not None else next(i for i in stacks() if i.active)
    row = _row(info)
    if out.json:
        out.object(row)
        return
    for field in COMPONENTS:
        options = row[field]["options"]
        row.update({f"{field}.{key}": value for key, value in options.items()})
        row[field] = _component(field)(row)
    out.object(row)


def _described_in(name: str, user: bool) -> Path:
    """Return the file to change: the one that describes the stack, the project's first."""
    if user:
        return stackfile.target(user=True)
    for file in configuration_files():
        if name in file.stacks:
            return file.path
    return stackfile.target()


@stack.command()
@_name
@_components
@_user
@click.pass_obj
def update(out: Output, /, name: str, user: bool, **given: str | None) -> None:
    """Change components of a stack."""
    if not any(given.values()):
        raise click.UsageError(
            "nothing to change; give --metadata-store, --artifact-store or --orchestrator"
        )
    _find(name)
    file = _described_in(name, user)
    stackfile.update(file, name, _prepared(given, file, out))
    tell(out, file, name, [field for field, text in given.items() if text is not None])


@stack.command()
@_name
@click.option("--force", is_flag=True, help="Also when it is the active one.")
@_user
@click.pass_obj
def delete(out: Output, name: str, force: bool, user: bool) -> None:
    """Remove a stack's description; history and artifacts stay where they are."""
    if _find(name).active and not force and name != "default":
        raise Conflict(
            f"the stack {name!r} is the active one; choose another with "
            "`zenlib stack set`, or add --force"
        )
    file = _described_in(name, user)
    stackfile.delete(file, name)
    rest = configuration_files()
    if name != "default" and not any(name in other.stacks for other in rest):
        for other in rest:
            if other.active == name:
                stackfile.deactivate(other.path, name)
    if out.json:
        out.object({"name": name, "file": str(file)})
    out.note(f"removed from {file}")

"""`zenlib artifacts`: list, show and get artifacts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from zenlib.cli.frame import Group
from zenlib.cli.history import MAX_ID, artifact_names, client, stack_option
from zenlib.cli.output import Output
from zenlib.cli.tables import Column
from zenlib.errors import NotFound
from zenlib.wording import shown

if TYPE_CHECKING:
    from zenlib.client import Client
    from zenlib.views import Artifact

_VERSION = re.compile(r"(.+)@(\d{1,9})", re.DOTALL)
_artifact = click.argument("artifact", metavar="NAME[@VERSION]|ID", shell_complete=artifact_names)


@click.group(cls=Group)
def artifacts() -> None:
    """List, show and get artifacts: what steps gave.

    An artifact is named by NAME (its newest version), NAME@VERSION, its id, or the beginning of
    its id. None of these commands runs code that an artifact contains.
    """


def find_artifact(asked: Client, text: str) -> Artifact:
    """Return the artifact that is meant.

    Raises:
        NotFound: there is none.
        Invalid: several ids begin so.
    """
    versioned = _VERSION.fullmatch(text)
    if versioned is not None and int(versioned[2]) < 2**31:
        try:
            return asked.artifact(versioned[1], int(versioned[2]))
        except NotFound:
            if not asked.artifacts(text, limit=1):  # a name may look like a version, too
                raise
    if len(text) > 255:  # longer than any name
        raise NotFound(f"there is no artifact {shown(text, MAX_ID)}")
    return asked.artifact(text)


@artifacts.command("list")
@click.option("--name", metavar="NAME", shell_complete=artifact_names, help="Only its versions.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@stack_option
@click.pass_obj
def list_(out: Output, name: str | None, limit: int, stack: str | None) -> None:
    """List artifacts, newest first.

    With --json: an array of artifact records without their content, each with `created_us` and
    `facts` (its shape, rows or value in a few words).
    """
    found = client(stack).artifacts(name, limit=limit)
    rows = [_listed(artifact) for artifact in found]
    empty = "there is no artifact yet" if name is None else f"no artifact is called {shown(name)}"
    out.table(rows, _columns(), empty=empty)


def _listed(artifact: Artifact) -> dict[str, Any]:
    from zenlib.cli.facts import facts
    from zenlib.hashing import id_time_us

    row = artifact.record.model_dump(mode="json", exclude={"content"})
    told = facts(artifact.record, sized=False)
    return {**row, "created_us": id_time_us(artifact.id), "facts": told}


def _columns() -> list[Column]:
    from zenlib.execution import now_us
    from zenlib.words import ago, short_id, size

    now = now_us()

    def bytes_of(row: Mapping[str, Any]) -> str:
        return size(row["size_bytes"]) if row["size_bytes"] else "–"

    return [
        Column("NAME", lambda row: f"{row['name']}@{row['number']}"),
        Column("TYPE", lambda row: row["type"].removeprefix("builtins.")),
        Column("CONTENT", "facts"),
        Column("SIZE", bytes_of, right=True),
        Column("DIGEST", lambda row: row["digest"][:11]),
        Column("MADE", lambda row: ago(row["created_us"], now)),
        Column("RUN", lambda row: short_id(row["run_id"])),
    ]


@artifacts.command()
@_artifact
@stack_option
@click.pass_obj
def show(out: Output, artifact: str, stack: str | None) -> None:
    """Show what is known of an artifact, without opening it.

    With --json: the artifact's record with `created_us`, `node` (the step that made it) and
    `preview` (a small value as text, else null).
    """
    from zenlib.cli import showing

    asked = client(stack)
    found = find_artifact(asked, artifact)
    data = showing.artifact_json(asked, found)
    if out.json:
        out.object(data)
    else:
        showing.show_artifact(out, found, data)


@artifacts.command()
@_artifact
@click.option("--output", "-o", metavar="PATH", help="Where to; - for stdout.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@stack_option
@click.pass_obj
def get(out: Output, artifact: str, output: str | None, force: bool, stack: str | None) -> None:
    """Write the stored bytes of an artifact to PATH, after verifying them.

    One file becomes a file, a folder or a value of several files a folder. A small value that
    lies in the record is JSON, printed when no PATH is given. Without PATH, files are written here
    under the artifact's name; when PATH is a folder, into it. Nothing is replaced without
    --force, and a folder never.

    With --json: `name`, `number`, `digest`, `size_bytes`, `path` (null for what is printed) and
    `value` (what is printed, else null).

    Exit code: 7 when stored bytes are missing or changed; then nothing is written.
    """
    from zenlib.cli import getting

    asked = client(stack)
    getting.get(out, asked.stack.shelf, find_artifact(asked, artifact), output, force=force)

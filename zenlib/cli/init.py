"""`zenlib init`: make a folder a project."""

from __future__ import annotations

from pathlib import Path

import click

from zenlib import places, textfiles
from zenlib.cli.frame import Command
from zenlib.cli.output import Output
from zenlib.errors import Conflict
from zenlib.settings import files

_TEMPLATE = """\
# Settings of this project. `zenlib config explain` shows each value and where it comes from.
# Nothing has to be set: history and artifacts lie in the folder .zen beside this file.

# stack = "prod"                                  # the active stack

# [stacks.prod]
# metadata_store = "mysql://zen@db.internal/zenlib"   # password: zenlib config metadata set mysql
# artifact_store = "s3://ml-artifacts/prod"
# orchestrator = { type = "local", workers = 4 }
# cache = true                                    # use results of earlier runs
# pickle = "own"                                  # own, never, all: whose pickles are opened
# durability = "run"                              # run, step: when results are forced to the disk
"""


@click.command(cls=Command)
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@click.pass_obj
def init(out: Output, folder: Path) -> None:
    """Make FOLDER (this one, when left out) a project.

    History and artifacts of its runs are then kept in FOLDER/.zen, and settings in
    FOLDER/zenlib.toml. What is there already stays as it is.
    """
    root = folder.absolute()
    created = make_project(root)
    words = ", ".join(created) if created else "nothing: it is a project already"
    out.object({"folder": str(root), "created": created}, f"{root}: made {words}")


def make_project(root: Path) -> list[str]:
    """Make what a project needs and lacks; return the names of what was made.

    Raises:
        Conflict: something else is in the way.
        Denied, Unavailable: the folder cannot be written.
        SettingsInvalid: its `pyproject.toml` is wrong.
    """
    zen = root / places.PROJECT_FOLDER
    created = []
    try:
        if not zen.is_dir():
            created.append(f"{places.PROJECT_FOLDER}/")
        zen.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise Conflict(f"cannot make {zen}: a file is in the way") from error
    except OSError as error:
        raise textfiles.cannot("make", zen, error) from error
    textfiles.create(zen / ".gitignore", "*\n")
    # A zenlib.toml would hide the table of pyproject.toml.
    if files.read_file(root / "pyproject.toml") is None and textfiles.create(
        root / places.PROJECT_FILE, _TEMPLATE
    ):
        created.append(places.PROJECT_FILE)
    return created

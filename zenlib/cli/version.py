"""`zenlib version`."""

from __future__ import annotations

import platform

import click

from zenlib._version import __version__
from zenlib.cli.frame import Command
from zenlib.cli.output import Output


@click.command(cls=Command)
@click.pass_obj
def version(out: Output) -> None:
    """Print the version."""
    facts = {"version": __version__, "python": platform.python_version()}
    out.object(facts, f"zenlib {__version__}")

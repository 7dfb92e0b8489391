"""The table of commands."""

from __future__ import annotations

import click

from zenlib._version import __version__
from zenlib.cli.frame import EXIT_CODES, LazyGroup
from zenlib.cli.output import Output

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("zenlib.cli.init:init", "Make this folder a project."),
    "run": ("zenlib.cli.run:run", "Run a pipeline of a Python file."),
    "runs": ("zenlib.cli.runs:runs", "List, show, compare and explain runs."),
    "artifacts": ("zenlib.cli.artifacts:artifacts", "List, show and get artifacts."),
    "stack": ("zenlib.cli.stack:stack", "Choose where history and artifacts are kept."),
    "config": ("zenlib.cli.config:config", "Read, write and explain settings."),
    "completion": ("zenlib.cli.completion:completion", "Print a shell's completion script."),
    "version": ("zenlib.cli.version:version", "Print the version."),
}
"""Command -> where it is, and its line of help."""


def _version(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        out = ctx.obj
        assert isinstance(out, Output)
        out.object({"version": __version__}, f"zenlib {__version__}")
        ctx.exit()


_CODES = "\n".join(f"  {code:>3}  {words}" for code, words in EXIT_CODES.items())


@click.group(
    "zenlib",
    cls=LazyGroup,
    table=COMMANDS,
    epilog="\b\nExit codes:\n" + _CODES,
    context_settings={"max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Print the version.",
)
def cli() -> None:
    """Pipelines of plain functions that remember, explain, and never do the same work twice."""

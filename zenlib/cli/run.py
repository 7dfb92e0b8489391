"""`zenlib run`: run a pipeline of a Python file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from zenlib.cli.completion import stack_names
from zenlib.cli.frame import Command
from zenlib.cli.output import Output


def _targets(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a file, and behind its colon a pipeline; the file is read, not run."""
    file, mark, name = incomplete.partition(".py:")
    if not mark:
        return [CompletionItem(incomplete, type="file")]
    from zenlib.cli.loading import names_in

    try:
        names = names_in(Path(f"{file}.py").read_text("utf-8"))
    except (OSError, ValueError, SyntaxError):  # completion says nothing
        return []
    return [CompletionItem(f"{file}.py:{each}") for each in names if each.startswith(name)]


@click.command(cls=Command)
@click.argument("target", metavar="FILE[:PIPELINE]", shell_complete=_targets)
@click.option(
    "--param",
    "-p",
    "given",
    metavar="NAME=VALUE",
    multiple=True,
    help="A parameter of the pipeline; NAME:=JSON gives it exactly. May be repeated.",
)
@click.option("--stack", metavar="NAME", shell_complete=stack_names, help="The stack to run on.")
@click.option("--no-cache", is_flag=True, help="Take no earlier results; compute all of it.")
@click.option("--dry-run", is_flag=True, help="Tell what would run, and why; run nothing.")
@click.option(
    "--fail",
    type=click.Choice(["fast", "finish"]),
    help="After a failure start nothing more, or finish what does not depend on it.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Steps side by side, at most.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="To find the run by. May be repeated.")  # fmt: skip
@click.option("--pdb", is_flag=True, help="Stop in the debugger where a step raises.")
@click.option("--quiet", "-q", is_flag=True, help="Show no progress; errors all the same.")
@click.pass_obj
def run(out: Output, /, target: str, **options: Any) -> int:
    """Run a pipeline of a Python file, or of a module by its dotted name.

    PIPELINE may be left out when the file has only one. The file is imported, so what stands
    below `if __name__ == "__main__"` does not run.

    A VALUE is read by the parameter's annotation: numbers, true and false, texts as they are,
    dates, paths, enums; lists, dictionaries, dataclasses and models as JSON; null where None is
    allowed. Without an annotation: JSON where it is JSON, else text.

    Progress, and what the steps print, goes to stderr. With --json, stdout gets the run's record
    as one object: the fields of a run, `took_us` and `steps` (the records of its steps). With
    --dry-run and --json: `pipeline`, `stack` and `steps` with `node`, `verdict`, `reasons`,
    `last_us` (how long it took last time), `items`, `since` and `diff`.

    Exit code: 0 completed, 1 a step failed, 2 wrong use or an error in the file, 130 interrupted.
    """
    if options["pdb"] and out.json:
        raise click.UsageError("--pdb needs the terminal to itself: leave --json out")
    from zenlib.cli.invocation import Invocation  # on use: `--help` stays quick

    return Invocation(out, target, **options).run()

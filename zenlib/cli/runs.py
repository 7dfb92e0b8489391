"""`zenlib runs`: list, show, compare and explain runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from zenlib.cli.frame import Group
from zenlib.cli.history import client, find_run, pipeline_names, run_ids, stack_option
from zenlib.cli.output import STATUSES, Output, status_text
from zenlib.cli.tables import Column
from zenlib.errors import Invalid

if TYPE_CHECKING:
    from zenlib.client import Client
    from zenlib.views import Run

COUNTED = 5_000
"""The steps of listed runs are counted when there are at most so many."""

_run = click.argument("run", shell_complete=run_ids)
_diff = click.option("--diff", is_flag=True, help="Show the changed source too.")


@click.group(cls=Group)
def runs() -> None:
    """List, show, compare and explain runs.

    RUN is a run's id, the beginning of one, `latest`, or `latest~1` for the one before.
    """


@runs.command("list")
@click.option("--pipeline", metavar="NAME", shell_complete=pipeline_names, help="Only its runs.")
@click.option("--status", type=click.Choice(list(STATUSES)), help="Only runs with this status.")
@click.option("--tag", metavar="TAG", help="Only runs that have it.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@stack_option
@click.pass_obj
def list_(
    out: Output,
    pipeline: str | None,
    status: str | None,
    tag: str | None,
    limit: int,
    stack: str | None,
) -> None:
    """List runs, newest first.

    With --json: an array of run records without their plans, each with `took_us` and `counts`
    (status -> number of steps; null where they are too many to be counted quickly).
    """
    asked = client(stack)
    found = asked.runs(pipeline, status, tag=tag, limit=limit)
    counts = step_counts(asked, found)
    rows = [
        {
            **run.record.model_dump(mode="json", exclude={"plan"}),
            "took_us": run.took_us,
            "counts": counts.get(run.id),
        }
        for run in found
    ]
    filtered = pipeline is not None or status is not None or tag is not None
    out.table(
        rows,
        _columns(out, [run.id for run in found]),
        empty="no run matches" if filtered else "there is no run yet",
    )


def _columns(out: Output, ids: list[str]) -> list[Column]:
    from zenlib.execution import now_us
    from zenlib.words import ago, duration, short_id

    now = now_us()

    def status(row: Mapping[str, Any]) -> str:
        return status_text(row["status"], glyphs=out.glyphs)

    def id_of(row: Mapping[str, Any]) -> str:
        # Two runs of one millisecond need more letters than that.
        return max(short_id(row["id"]), short_id(row["id"], ids), key=len)

    return [
        Column("RUN", id_of),
        Column("PIPELINE", "pipeline"),
        Column("STATUS", status, lambda row: STATUSES[row["status"]][1]),
        Column("STARTED", lambda row: ago(row["started_us"], now)),
        Column("TOOK", lambda row: duration(row["took_us"])),
        Column("STEPS", lambda row: _counted(row["counts"], out.glyphs)),
        Column("STACK", "stack"),
        Column("TAGS", lambda row: ", ".join(row["tags"])),
    ]


def _counted(counts: Mapping[str, int] | None, glyphs: bool) -> str:
    if counts is None:
        return "?"
    words = []
    for status, (glyph, _) in STATUSES.items():
        if counts.get(status):
            word = "ran" if status == "completed" else glyph if glyphs else status
            words.append(f"{counts[status]} {word}")
    return " ".join(words) if glyphs else ", ".join(words)


def step_counts(asked: Client, found: list[Run]) -> dict[str, dict[str, int]]:
    """Return for each run how many of its steps have which status; in one question for all."""
    from zenlib.records import StepRun

    counted, room = [], COUNTED
    for run in found:
        room -= len(run.record.plan.get("nodes", ()))
        if room < 0:
            break
        counted.append(run)
    ids = [run.id for run in counted]
    page = asked.stack.metadata.find(StepRun, {"run_id": ids}, limit=10_000)
    if page.cursor is not None:  # mapped steps of many items
        return {}
    mine: dict[str, list[StepRun]] = {id: [] for id in ids}
    for step_run in page.items:
        mine[step_run.run_id].append(step_run)
    for run in counted:
        run.__dict__["step_runs"] = mine[run.id]
    return {run.id: told for run in counted if (told := _statuses(run)) is not None}


def _statuses(run: Run) -> dict[str, int] | None:
    counts: dict[str, int] = {}
    try:
        steps = run.steps
    except Invalid:  # a plan that a newer zenlib wrote
        return None
    for step in steps.values():
        counts[step.status] = counts.get(step.status, 0) + 1
    return counts


@runs.command()
@_run
@click.option("--dag/--no-dag", default=None, help="Draw the steps; when left out, if they fit.")
@stack_option
@click.pass_obj
def show(out: Output, run: str, dag: bool | None, stack: str | None) -> None:
    """Show a run: its parameters, its steps, and how it failed.

    With --json: the run's record with `took_us` and `steps`, the records of its steps, each with
    `took_us`.
    """
    from zenlib.cli import showing

    found = find_run(client(stack), run)
    if out.json:
        out.object(showing.run_json(found))
    else:
        showing.show_run(out, found, dag=dag)


@runs.command()
@click.argument("first", metavar="RUN", shell_complete=run_ids)
@click.argument("second", metavar="RUN", shell_complete=run_ids)
@_diff
@stack_option
@click.pass_obj
def compare(out: Output, first: str, second: str, diff: bool, stack: str | None) -> None:
    """Show what differs between two runs.

    With --json: `a` and `b` (the ids), `changes` (`section`, `name`, `old`, `new`, `note`) and
    `diff`, the changed source as a unified diff.
    """
    from zenlib.cli import showing

    asked = client(stack)
    found = asked.compare(find_run(asked, first), find_run(asked, second))
    if out.json:
        out.object(found.to_json())
    else:
        showing.show_comparison(out, found, diff=diff)


@runs.command()
@_run
@click.argument("step", required=False)
@_diff
@stack_option
@click.pass_obj
def why(out: Output, run: str, step: str | None, diff: bool, stack: str | None) -> None:
    """Say why each step of a run ran, or did not; or why STEP did.

    With --json: an array with `node`, `verdict`, `reasons`, `since` (the step run that it was
    compared with) and `diff` for each step; one such object when STEP is given.
    """
    from zenlib.cli import showing

    found = find_run(client(stack), run)
    told = [found.why(step)] if step is not None else [found.why(node) for node in found.steps]
    if not out.json:
        showing.show_reasons(out, told, diff=diff)
    elif step is not None:
        out.object(told[0].to_json())
    else:
        out.table([each.to_json() for each in told], [])

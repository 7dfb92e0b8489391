"""How a run, a comparison and reasons look in the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from zenlib import execution, explain, records
from zenlib.cli import failures, lines
from zenlib.cli.facts import outputs, preview, type_of
from zenlib.cli.lines import say
from zenlib.cli.output import STATUSES, Output, status_text
from zenlib.cli.tables import Column
from zenlib.client import Client
from zenlib.comparison import Change, Comparison
from zenlib.diagram.cells import printable
from zenlib.diagram.text import text as draw
from zenlib.explain import Why
from zenlib.hashing import id_time_us
from zenlib.records import Status, StepRun
from zenlib.views import Artifact, Run, StepResult
from zenlib.words import ago, duration, size

DRAWN_STEPS, DRAWN_ROWS = 20, 24
"""A run of more steps, or a taller picture, is drawn only when asked for."""

EXPLAINED_STEPS = 50
"""In the table of a longer run the reasons are left out; `zenlib runs why` has them."""


def run_json(run: Run) -> dict[str, Any]:
    """Return a run and its steps as JSON data: their records, and `took_us` of each."""
    steps = [
        {**record.model_dump(mode="json"), "took_us": record.ended_us - record.started_us}
        for record in run.step_runs
    ]
    return {**run.record.model_dump(mode="json"), "took_us": run.took_us, "steps": steps}


def instant(us: int) -> str:
    """Return a moment in the local time zone, to the second."""
    return datetime.fromtimestamp(us / 1e6, UTC).astimezone().isoformat(" ", "seconds")


def show_run(out: Output, run: Run, *, dag: bool | None) -> None:
    """Print a run."""
    told = status_text(run.status, glyphs=out.glyphs)
    colour = STATUSES[run.status][1]
    say(out, f"{run.pipeline} · {told} · run {run.id}", colour)
    lines.columns(out, [*_facts(run)])
    out.line()
    if dag is not False:
        _draw(out, run, asked=bool(dag))
    _steps(out, run)
    for node, step in run.all_steps.items():
        if step.failure is not None:
            out.line()
            say(out, f"{node} failed after {duration(step.took_us)}", "red", indent=2)
            for row in failures.block(step.failure, step.record, full=out.full):
                depth = len(row) - len(row.lstrip(" "))
                say(out, row.strip(), indent=4 + depth)


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    record = run.record
    yield "started", f"{instant(record.started_us)}, {ago(record.started_us, execution.now_us())}"
    yield "took", duration(run.took_us) + ("" if record.ended_us else " so far")
    yield "stack", record.stack
    if record.tags:
        yield "tags", ", ".join(record.tags)
    for name, data in record.params.items():
        yield "parameter", f"{name} = {explain.show_param({'value': data})}"
    words = [
        f"{n} {record.environment[n]}" for n in ("zenlib", "python") if n in record.environment
    ]
    yield "with", ", ".join((*words, str(record.environment.get("platform", ""))))


def _draw(out: Output, run: Run, *, asked: bool) -> None:
    if not asked and len(run.plan.nodes) > DRAWN_STEPS:
        return
    picture = draw(run.graph(), out.width or 100, unicode=out.glyphs, color=out.colour)
    rows = picture.split("\n")[1:]  # the first is the pipeline's name again
    if asked or len(rows) <= DRAWN_ROWS:
        for row in rows:
            out.line(row)
        out.line()


def _steps(out: Output, run: Run) -> None:
    reasons = len(run.all_steps) <= EXPLAINED_STEPS
    rows = [_row(out, step, reasons=reasons) for step in run.steps.values()]
    columns = [
        Column("STEP", "step"),
        Column("STATUS", "status", lambda row: row["colour"]),
        Column("TIME", "time"),
        *([Column("WHY", "why")] if reasons else []),
        Column("OUTPUTS", "outputs"),
    ]
    out.table(rows, columns)


def _row(out: Output, step: StepResult, *, reasons: bool) -> dict[str, str]:
    ran = step.status in (Status.COMPLETED, Status.FAILED, Status.CANCELLED)
    name = f"{step.node} ×{len(step.items)}" if step.items else step.node
    gave = "" if step.items else outputs(_artifacts(step))
    row = {
        "step": name,
        "status": status_text(step.status, glyphs=out.glyphs),
        "time": duration(step.took_us) if ran else "",
        "why": "; ".join(step.why().reasons) if reasons else "",
        "outputs": gave,
    }
    shown = {key: printable(text, out.glyphs) for key, text in row.items()}
    return {**shown, "colour": STATUSES[step.status][1]}


def _artifacts(step: StepResult) -> dict[str, records.Artifact]:
    return {name: artifact.record for name, artifact in step.outputs.items()}


def show_comparison(out: Output, found: Comparison, *, diff: bool) -> None:
    """Print what differs between two runs."""
    if not found:
        out.line("no difference")
        return
    text = found.diff()
    rows, section = [], ""
    left = max(len(change.old) for change in found.changes)
    for change in found.changes:
        head = change.section if change.section != section else ""
        section = change.section
        rows.append((head, change.name, _change(change, left)))
    if text and not diff:
        last = max(at for at, change in enumerate(found.changes) if change.section == "code")
        rows[last] = (*rows[last][:2], f"{rows[last][2]}  (--diff shows it)")
    lines.columns(out, rows)
    if diff and text:
        out.line()
        lines.diff(out, text)


def _change(change: Change, left: int) -> str:
    values = f"{change.old:<{min(left, 40)}}  →  {change.new}" if change.old or change.new else ""
    return "  ".join(part for part in (values, change.note) if part)


_COLOURS = {"ran": "green", "would run": "green"} | {s: look[1] for s, look in STATUSES.items()}


def show_reasons(out: Output, told: Sequence[Why], *, diff: bool) -> None:
    """Print why steps ran, or did not."""
    rows = [(why.node, why.verdict, "; ".join(why.reasons)) for why in told]
    lines.columns(out, rows, [_COLOURS.get(why.verdict) for why in told])
    text = "\n".join(dict.fromkeys(found for why in told if (found := why.diff())))
    if diff and text:
        out.line()
        lines.diff(out, text)


def artifact_json(asked: Client, artifact: Artifact) -> dict[str, Any]:
    """Return an artifact as JSON data: its record, when and by which step it was made, a preview."""
    record = artifact.record
    found = asked.stack.metadata.find(StepRun, {"id": record.step_run_id}, limit=1).items
    return {
        **record.model_dump(mode="json"),
        "created_us": id_time_us(record.id),
        "node": found[0].node if found else None,
        "preview": preview(record),
    }


def show_artifact(out: Output, artifact: Artifact, data: dict[str, Any]) -> None:
    """Print what is known of an artifact."""
    record = artifact.record
    say(out, f"{record.name} · version {record.number} · {type_of(record)}")
    made = data["created_us"]
    rows = [
        ("id", record.id),
        ("digest", record.digest),
        ("size", f"{size(record.size_bytes)} ({record.size_bytes} bytes)"),
        ("serializer", record.serializer),
        ("made", f"{instant(made)}, {ago(made, execution.now_us())}"),
        ("by", f"step {data['node'] or '?'} of run {record.run_id or '?'}"),
        ("stored at", artifact.uri),
        *(
            (f"· {name}", json.dumps(value, ensure_ascii=False))
            for name, value in record.metadata.items()
        ),
    ]
    if not record.size_bytes:
        rows[2] = ("size", "lies in the record")
    lines.columns(out, rows)
    if data["preview"] is not None:
        out.line()
        say(out, data["preview"], indent=2)

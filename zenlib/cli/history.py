"""What the commands about runs and artifacts share: which stack, which run, and completion."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from zenlib.cli.completion import stack_names
from zenlib.errors import NotFound
from zenlib.wording import shown

if TYPE_CHECKING:
    from zenlib.client import Client
    from zenlib.views import Run

stack_option = click.option(
    "--stack", metavar="NAME", shell_complete=stack_names, help="Instead of the active stack."
)
MAX_ID = 80
_BEFORE = re.compile(r"latest~(\d{1,6})")


def client(stack: str | None) -> Client:
    """Return a client of a stack, or of the active one."""
    from zenlib.client import Client  # on use: `--help` and completion stay quick

    return Client(stack)


def find_run(asked: Client, text: str) -> Run:
    """Return the run that is meant: an id, the beginning of one, `latest` or `latest~1`.

    Raises:
        NotFound: there is none.
        Invalid: there are several.
    """
    if len(text) > MAX_ID:
        raise NotFound(f"no run has the id {shown(text)}")
    before = _BEFORE.fullmatch(text)
    if before is None:
        return asked.run(text)
    place = int(before[1])
    found = asked.runs(limit=place + 1) if place < 10_000 else []
    if len(found) <= place:
        raise NotFound(f"there is no run {text}: the history has {len(found) or 'fewer'} runs")
    return found[place]


# Completion. While a shell waits for it nothing may be said: an error completes to nothing.

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _quietly(find: Callable[[Client, str], Iterable[tuple[str, str]]]) -> Complete:
    def complete(
        ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = dict(find(client(ctx.params.get("stack")), incomplete))
        except Exception:  # noqa: BLE001 - see above
            return []
        return [CompletionItem(n, help=h) for n, h in found.items() if n.startswith(incomplete)]

    return complete


def _runs(asked: Client, _incomplete: str) -> Iterable[tuple[str, str]]:
    from zenlib.words import short_id

    yield "latest", "the newest run"
    for run in asked.runs(limit=50):
        yield short_id(run.id), f"{run.pipeline}, {run.status}"


def _pipelines(asked: Client, _incomplete: str) -> Iterable[tuple[str, str]]:
    return ((run.pipeline, "") for run in asked.runs(limit=200))


def _artifacts(asked: Client, _incomplete: str) -> Iterable[tuple[str, str]]:
    return ((artifact.name, artifact.type) for artifact in asked.artifacts(limit=200))


run_ids = _quietly(_runs)
pipeline_names = _quietly(_pipelines)
artifact_names = _quietly(_artifacts)

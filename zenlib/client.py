"""Asking questions: which runs and artifacts there are, and what differs between two runs."""

from __future__ import annotations

from typing import Any

from zenlib import comparison, records
from zenlib.comparison import Comparison
from zenlib.errors import Invalid, NotFound
from zenlib.records import Status
from zenlib.settings import Stack, load_stack
from zenlib.stack import OpenStack, open_stack
from zenlib.stores.base import Span
from zenlib.views import Artifact, Run


class Client:
    """Answers questions about the history of a stack.

    Args:
        stack: a name, a `Stack`, or None for the active one.

    >>> import tempfile
    >>> from zenlib import Stack
    >>> folder = tempfile.mkdtemp()
    >>> client = Client(Stack(metadata_store=f"{folder}/m.db", artifact_store=f"{folder}/a"))
    >>> client.runs()
    []
    """

    def __init__(self, stack: str | Stack | None = None) -> None:
        self.stack: OpenStack = open_stack(stack if isinstance(stack, Stack) else load_stack(stack))

    def runs(
        self,
        pipeline: str | None = None,
        status: str | Status | None = None,
        *,
        tag: str | None = None,
        limit: int = 50,
    ) -> list[Run]:
        """Return runs, newest first.

        Args:
            pipeline: only of this pipeline.
            status: only with this status.
            tag: only those that have it.
            limit: at most so many.

        Raises:
            Invalid: there is no such status.
        """
        where: dict[str, object] = {}
        if pipeline is not None:
            where["pipeline"] = pipeline
        if status is not None:
            if status not in [*Status]:
                raise Invalid(f"no status {status!r}; there are {', '.join(Status)}")
            where["status"] = str(status)
        found: list[Run] = []
        cursor = None
        while len(found) < limit:
            page = self.stack.metadata.find(
                records.Run, where, order="-id", limit=min(max(limit, 1), 10_000), cursor=cursor
            )
            found += [Run(self.stack, run) for run in page.items if tag is None or tag in run.tags]
            cursor = page.cursor
            if cursor is None:
                break
        return found[:limit]

    def run(self, id: str) -> Run:
        """Return the run with this id, or the only one whose id begins or ends with it.

        `latest` is the newest run.

        Raises:
            NotFound: there is none.
            Invalid: there are several.
        """
        metadata = self.stack.metadata
        if id == "latest":
            newest = metadata.find(records.Run, order="-id", limit=1).items
            if not newest:
                raise NotFound("there is no run yet")
            return Run(self.stack, newest[0])
        return Run(self.stack, _one(metadata, records.Run, id, "run"))

    def artifact(self, name: str, version: int | None = None) -> Artifact:
        """Return an artifact by its name and version (the newest if None), or by its id.

        Raises:
            NotFound: there is none.
        """
        where: dict[str, object] = {"name": name}
        if version is not None:
            where["number"] = version
        found = self.stack.metadata.find(records.Artifact, where, order="-number", limit=1).items
        if found:
            return Artifact(self.stack, found[0])
        if version is None and len(name) >= 6:
            try:
                return Artifact(self.stack, _one(self.stack.metadata, records.Artifact, name, ""))
            except NotFound:
                pass
        which = f"artifact {name!r}" + (f" version {version}" if version is not None else "")
        raise NotFound(f"there is no {which}; `zenlib artifacts list` shows those there are")

    def artifacts(self, name: str | None = None, *, limit: int = 50) -> list[Artifact]:
        """Return artifacts, newest first."""
        where = {} if name is None else {"name": name}
        page = self.stack.metadata.find(records.Artifact, where, order="-id", limit=limit)
        return [Artifact(self.stack, found) for found in page.items]

    def compare(self, run_a: str | Run, run_b: str | Run) -> Comparison:
        """Return what differs between two runs: parameters, code, inputs, metrics, outputs."""
        a = run_a if isinstance(run_a, Run) else self.run(run_a)
        b = run_b if isinstance(run_b, Run) else self.run(run_b)
        sides = [
            comparison.Side(
                run.record, {name: s.record for name, s in run.all_steps.items() if s.record}
            )
            for run in (a, b)
        ]
        return comparison.compare(self.stack.metadata, sides[0], sides[1])


def _one(metadata: Any, kind: Any, id: str, word: str) -> Any:
    """Return the one record whose id is, or begins with, `id`."""
    text = id.strip().lower()
    if not text or not all(letter in "0123456789abcdef-" for letter in text):
        raise NotFound(f"no {word} has the id {id!r:.80}")
    found = metadata.find(kind, {"id": Span.prefix(_dashed(text))}, limit=2).items
    if not found:
        raise NotFound(f"no {word} has an id that begins with {id!r}")
    if len(found) > 1 and found[0].id != text:
        raise Invalid(f"several {word}s have ids that begin with {id!r}: give more characters")
    return found[0]


def _dashed(text: str) -> str:
    """Return the beginning of a UUID with its dashes, given with or without them."""
    plain = text.replace("-", "")
    parts = [plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:32]]
    return "-".join(part for part in parts if part)

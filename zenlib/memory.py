"""What earlier runs of a pipeline computed, read a run at a time instead of a step at a time."""

from __future__ import annotations

from zenlib import lookup
from zenlib.records import Run, Status, StepRun
from zenlib.serializers.base import Content
from zenlib.stores.base import MetadataStore

FOLLOWED = 8
"""How many runs are read, at most: where hits come from many, each is looked up by its key."""


class Memory:
    """Cache key -> step run, for the runs that a run is likely to take its hits from.

    Nothing is read before something suggests that it will be of use.

    Args:
        pipeline: the name of the run's pipeline.
        run_id: the run's own id.
        metadata: where the records are.

    Attributes:
        runs: cache key -> step run.
        took_us: node -> how long it took the last time, in microseconds.
    """

    def __init__(self, pipeline: str, run_id: str, metadata: MetadataStore) -> None:
        self.runs: dict[str, StepRun] = {}
        self.took_us: dict[str, int] = {}
        self._pipeline = pipeline
        self._metadata = metadata
        self._own = run_id
        self._contents: dict[str, Content] = {}
        self._unread: set[str] = set()
        self._read: set[str] = set()
        self._awake = False

    def wake(self) -> None:
        """Read the last run of the pipeline."""
        if self._awake:
            return
        self._awake = True
        page = self._metadata.find(Run, {"pipeline": self._pipeline}, order="-id", limit=2)
        for run in page.items:
            if run.id != self._own:
                self._read_run(run.id, last=True)
                return

    def follow(self, hit: StepRun) -> None:
        """Read the last run, and the run that a hit was found in: the next may be there too."""
        self.wake()
        source = hit.key.get("from_run", hit.run_id)
        if hit.key["id"] not in self.runs and len(self._read) < FOLLOWED:
            self._read_run(source)

    def _read_run(self, run_id: str, *, last: bool = False) -> None:
        if run_id in self._read:
            return
        self._read.add(run_id)
        for step_run in self._metadata.find(StepRun, {"run_id": run_id}, limit=10_000).items:
            if step_run.status in (Status.COMPLETED, Status.CACHED) and "id" in step_run.key:
                # A result without a cache key of its own may not be reused; a hit never has one.
                reusable = step_run.cache_key or step_run.status is Status.CACHED
                if reusable and self.runs.setdefault(step_run.key["id"], step_run) is step_run:
                    self._unread.update(o.artifact for o in step_run.outputs.values())
                if last:
                    took = step_run.key.get("took_us", step_run.ended_us - step_run.started_us)
                    self.took_us[step_run.node] = took

    def content(self, artifact: str) -> Content | None:
        """Return how an output is stored; those of all runs read so far are looked up together."""
        if artifact in self._unread:
            found = lookup.artifacts_of(self._metadata, self._unread)
            self._contents.update((id, Content.from_json(a.content)) for id, a in found.items())
            self._unread.clear()
        return self._contents.get(artifact)

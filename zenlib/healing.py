"""Hits whose files turn out to be damaged when somebody loads them: computed again, once.

A look-up compares names and sizes only; reading every byte of every hit would cost more than many
steps. So a changed byte is found by the step that loads the value, and the run then takes the hit
back, executes its step, and gives what that makes to the step that asked.
"""

from __future__ import annotations

from collections.abc import Iterable

from zenlib.errors import CorruptArtifact
from zenlib.execution import Call, Done
from zenlib.hashing import Digest
from zenlib.hints import type_name
from zenlib.keys import Stored
from zenlib.records import Failure
from zenlib.shelf import Shelf

_CORRUPT = type_name(CorruptArtifact)


class Hits:
    """The results of earlier runs that a run has taken, and those of them that are damaged."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._taken: dict[str, tuple[Call, Done]] = {}
        self._damaged: set[Digest] = set()
        self._tried: set[str] = set()

    def add(self, call: Call, done: Done) -> None:
        """Remember that the result of a call was taken from an earlier run."""
        self._taken[call.name] = call, done

    def examine(self, inputs: Iterable[Stored]) -> set[Digest]:
        """Return the files of these inputs that are damaged, or were before a repair."""
        found = set()
        for stored in inputs:
            for file in stored.content.blobs() if stored.content else ():
                try:
                    self._shelf.blobs.path(file.digest)
                except CorruptArtifact:
                    self._damaged.add(file.digest)
                if file.digest in self._damaged:
                    found.add(file.digest)
        return found

    def first_try(self, name: str) -> bool:
        """Whether this is the first time that a call is tried again for the sake of its inputs."""
        first = name not in self._tried
        self._tried.add(name)
        return first

    def withdraw(self, digests: set[Digest]) -> list[tuple[Call, Done]]:
        """Forget, and return, the hits that have any of these files among their outputs."""
        found = [
            (call, done)
            for call, done in self._taken.values()
            if any(
                file.digest in digests
                for stored in done.outputs.values()
                if stored.content is not None
                for file in stored.content.blobs()
            )
        ]
        for call, _ in found:
            del self._taken[call.name]
        return found


def is_corruption(failure: Failure) -> bool:
    """Whether a call failed because stored bytes are not those that were recorded."""
    return failure.type == _CORRUPT

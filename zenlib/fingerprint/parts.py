"""A fingerprint as data: the parts that a step is made of, each with its digest and its text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from zenlib.hashing import Digest, digest_of


@dataclass(frozen=True)
class Part:
    """One thing that a step is made of.

    Attributes:
        name: such as `features.clean`, `features.RATE`, `features.fit(lr)` for a default,
            `features.scale.<locals>.inner[factor]` for a closure's cell, or `numpy`.
        kind: step, function, class, module, constant, closure, default, distribution or file.
        digest: of its meaning; the parts it refers to are in it by name only.
        source: its text for people; empty if there is none.
        where: `features.py:14`, relative to the project, with forward slashes.
        value: a short text of a constant, or the version of a distribution.
    """

    name: str
    kind: str
    digest: str
    source: str = ""
    where: str = ""
    value: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the part as JSON data; of its text, the digest only (`Fingerprint.sources`)."""
        return {
            "name": self.name,
            "kind": self.kind,
            "digest": self.digest,
            "source": digest_of(self.source.encode()) if self.source else "",
            "where": self.where,
            "value": self.value,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], sources: Mapping[str, str] | None = None) -> Self:
        """Return the part that `to_json` was called on, its text looked up in `sources`."""
        fields = {name: str(data.get(name, "")) for name in cls.__dataclass_fields__}
        fields["source"] = (sources or {}).get(fields["source"], "")
        return cls(**fields)


@dataclass(frozen=True)
class Fingerprint:
    """What a step is made of.

    Attributes:
        parts: sorted by name, each name once.
        unknown: what could not be followed or hashed, in sentences. If there is any, the step
            equals no other, and its results are not reused.
        digest: of all that the step reaches, free of names, places and layout.
    """

    parts: tuple[Part, ...]
    unknown: tuple[str, ...]
    digest: Digest

    @property
    def exact(self) -> bool:
        """Whether equal digests mean equal code."""
        return not self.unknown

    def sources(self) -> dict[str, str]:
        """Return the texts of the parts by digest, as `Part.to_json` names them."""
        return self._sources

    @cached_property
    def _sources(self) -> dict[str, str]:
        return {digest_of(p.source.encode()): p.source for p in self.parts if p.source}

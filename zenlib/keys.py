"""The cache key of one execution: what it is made of, kept in parts so that each can be named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from zenlib import values
from zenlib.hashing import compact_json, digest_json, digest_of
from zenlib.plan import Node
from zenlib.serializers.base import Content

FORMAT = 1
"""Counted up when the rules for keys change: old results are then computed again, never mixed up."""

SHOWN = 200
"""The longest JSON text of a parameter that is kept in the record for people, in characters."""


@dataclass(frozen=True)
class Literal:
    """An argument that was given when the plan was made.

    Attributes:
        data: encoded by `zenlib.values`.
        files: the digests of what the paths in it lead to, in their order.
        doubt: why some of that has no digest; then the argument equals no other.
    """

    data: Any
    files: tuple[str, ...] = ()
    doubt: str = ""

    def identity(self) -> Any:
        """Return what counts for the key."""
        return ["value", compact_json(self.data), *self.files]


@dataclass(frozen=True)
class Stored:
    """An argument that is a stored value.

    Attributes:
        digest: of the content.
        content: how to load it; None while nobody had to.
        artifact: the id of its artifact; empty for a part of one, or for a plan's own object.
        source: where it came from, for people: `fit.model`.
    """

    digest: str
    content: Content | None
    artifact: str = ""
    source: str = ""

    def identity(self) -> Any:
        """Return what counts for the key."""
        return self.digest


@dataclass(frozen=True)
class Group:
    """Several arguments together, in a list, tuple, dictionary or class."""

    kind: str
    items: tuple[Argument, ...]
    names: tuple[str, ...] = ()

    def identity(self) -> Any:
        """Return what counts for the key."""
        return [self.kind, self.names, [item.identity() for item in self.items]]


Argument = Literal | Stored | Group


def paths_in(data: Any) -> list[str]:
    """Return the paths in an encoded value, in order.

    >>> from pathlib import Path
    >>> from zenlib import values
    >>> paths_in(values.encode({"files": [Path("a.csv"), "b.csv"]}))
    ['a.csv']
    """
    if isinstance(data, list):
        return [found for item in data for found in paths_in(item)]
    if not isinstance(data, dict):
        return []
    if data.get("$") == "path" and data["v"][0] == "Path":
        return [str(values.decode(data))]
    return [found for item in data.values() for found in paths_in(item)]


def doubts_in(arguments: Iterable[Argument]) -> tuple[str, ...]:
    """Return what keeps arguments from being known exactly."""
    found = []
    for argument in arguments:
        if isinstance(argument, Literal) and argument.doubt:
            found.append(argument.doubt)
        elif isinstance(argument, Group):
            found += doubts_in(argument.items)
    return tuple(found)


def stored_in(argument: Argument) -> list[Stored]:
    """Return every stored value in an argument."""
    if isinstance(argument, Stored):
        return [argument]
    if isinstance(argument, Group):
        return [found for item in argument.items for found in stored_in(item)]
    return []


def key_parts(
    node: Node, arguments: Mapping[str, Argument], code: str, unknown: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the parts of a key, and under `id` the key itself.

    Args:
        node: the node that is executed.
        arguments: parameter -> what it is given.
        code: the digest of the step's fingerprint, or `version:…` if the user gave one.
        unknown: what keeps the fingerprint from being exact; then the key equals no other.
    """
    ignored = node.options.get("ignore", ())
    params, inputs, files, counted = {}, {}, {}, {}
    for name, argument in arguments.items():
        identity = argument.identity()
        if name not in ignored:
            counted[name] = identity
        if isinstance(argument, Literal):
            params[name] = _shown(argument.data)
            if argument.files:
                files[name] = list(argument.files)
        elif isinstance(argument, Stored):
            inputs[name] = [argument.digest, argument.source]
        else:
            sources = ", ".join(found.source for found in stored_in(argument)[:3])
            inputs[name] = [digest_json(identity), sources]
    outputs = [[spec.name, spec.type] for spec in node.outputs]
    parts: dict[str, Any] = {"code": code, "params": params, "inputs": inputs, "outputs": outputs}
    if files:
        parts["files"] = files
    if ignored:
        parts["ignored"] = list(ignored)
    if unknown:
        parts["unknown"] = list(unknown)
    parts["id"] = digest_json([FORMAT, code, sorted(counted.items()), outputs])
    return parts


def _shown(data: Any) -> Any:
    """Return a parameter as the record keeps it: itself if short, else its digest."""
    text = compact_json(data)
    if len(text) <= SHOWN:
        return {"value": data}
    return {"digest": digest_of(text.encode("ascii")), "start": text[:SHOWN]}

"""What an artifact contains, in a few words, read from its record alone: no artifact is opened."""

from __future__ import annotations

import json
from typing import Any

from zenlib.records import Artifact
from zenlib.words import size

PREVIEW = 2_000
"""How many characters of a small value are shown at most."""


def facts(artifact: Artifact, limit: int = 40, *, sized: bool = True) -> str:
    """Return shape, rows or length, and the size; of a small value, the value itself.

    >>> record = Artifact(name="x", digest="b3:", size_bytes=920_064, serializer="numpy",
    ...     type="numpy.ndarray", content={}, metadata={"shape": [1797, 64], "dtype": "float64"})
    >>> facts(record)
    '1797 × 64 float64, 0.9 MB'
    """
    value = preview(artifact)
    if value is not None and len(value) <= limit and "\n" not in value:
        return value
    told = artifact.metadata
    parts = [_extent(told) or type_of(artifact)]
    if artifact.size_bytes and sized:
        parts.append(size(artifact.size_bytes))
    return ", ".join(parts)


def type_of(artifact: Artifact) -> str:
    """Return the type's name as people write it."""
    return artifact.type.removeprefix("builtins.")


def _extent(told: dict[str, Any]) -> str:
    if isinstance(told.get("shape"), list):
        shape = " × ".join(str(length) for length in told["shape"]) or "scalar"
        return f"{shape} {told.get('dtype', '')}".strip()
    words = [
        f"{told[name]} {name}"
        for name in ("rows", "columns", "batches", "files")
        if isinstance(told.get(name), int)
    ]
    if not words and isinstance(told.get("length"), int):
        words = [f"length {told['length']}"]
    return " × ".join(words)


def preview(artifact: Artifact, limit: int = PREVIEW) -> str | None:
    """Return a small JSON value that lies in the record as text; None if it is none.

    Nothing of it is built or imported: a date or a dataclass is shown by what it is made of.
    """
    data = artifact.content.get("data")
    if artifact.serializer != "json" or not isinstance(data, str) or artifact.content.get("files"):
        return None
    try:
        text = json.dumps(_untagged(json.loads(data)), ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _untagged(data: Any) -> Any:
    """Return encoded data without the tags that say which Python type it had."""
    if isinstance(data, list):
        return [_untagged(item) for item in data]
    if not isinstance(data, dict):
        return data
    if data.keys() != {"$", "v"}:
        return {key: _untagged(item) for key, item in data.items()}
    inner = data["v"]
    if data["$"] == "dict" and isinstance(inner, list):
        return [_untagged(pair) for pair in inner]
    if data["$"] in ("dataclass", "namedtuple", "model", "enum") and isinstance(inner, list):
        return _untagged(inner[1] if len(inner) > 1 else inner)
    return _untagged(inner)


def outputs(artifacts: dict[str, Artifact], limit: int = 3) -> str:
    """Return what a step gave: output name -> artifact, in words."""
    told = [
        facts(artifact) if name == "output" else f"{name} {facts(artifact)}"
        for name, artifact in artifacts.items()
    ]
    more = f"; and {len(told) - limit} more" if len(told) > limit else ""
    return "; ".join(told[:limit]) + more

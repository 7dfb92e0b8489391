"""What commands say after they have changed a configuration file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zenlib.cli.output import Output
from zenlib.errors import ZenlibError
from zenlib.settings import explain


def tell(out: Output, file: Path, name: str, keys: Sequence[str]) -> None:
    """Say which file was written, and whether something stronger hides the change."""
    if out.json:
        out.object({"name": name, "file": str(file)})
    out.note(f"written to {file}")
    try:
        rows = explain(None if "stack" in keys else name)
    except ZenlibError as error:
        out.warning(str(error))
        return
    for row in rows:
        if row.key in keys and not row.note and row.source.startswith("environment "):
            variable = row.source.removeprefix("environment ")
            out.warning(f"{variable} is set and wins over the file: {row.key} is {row.value}")

"""polars frames and series as Arrow IPC files, as polars writes them."""

from __future__ import annotations

from typing import Any

import polars as pl

from zenlib import values
from zenlib.errors import NotSerializable
from zenlib.serializers.base import Content, Reader, Serializer, Writer

_NAME = "data.arrow"


class Polars(Serializer):
    """Keeps `DataFrame` and `Series`; how they are divided into chunks is not kept."""

    name = "polars"

    def fits(self, value: object) -> bool:
        """Whether it is a frame or a series."""
        return type(value) in (pl.DataFrame, pl.Series)

    def dump(self, value: Any, writer: Writer) -> Any:
        """Write an IPC file; the data is None for a frame, and the name for a series."""
        series = isinstance(value, pl.Series)
        frame = value.alias("value").to_frame() if series else value
        for name, kind in frame.schema.items():
            if _has_objects(kind):
                raise NotSerializable(f"column {name!r} holds Python objects")
        writer.describe(rows=frame.height, columns=frame.width)
        with writer.open(_NAME) as file:
            frame.rechunk().write_ipc(file)
        if series:
            return {"name": values.encode(value.name)}
        return {"rows": frame.height} if frame.width == 0 and frame.height else None

    def load(self, content: Content, reader: Reader) -> Any:
        """Return the frame or series; its buffers lie in the file."""
        frame = pl.read_ipc(reader.path(_NAME))
        if isinstance(content.data, dict) and "name" in content.data:
            return frame.to_series(0).alias(values.decode(content.data["name"]))
        if content.data is not None:
            return pl.DataFrame(height=content.data["rows"])
        return frame


def _has_objects(kind: Any) -> bool:
    if kind == pl.Object:
        return True
    if isinstance(kind, pl.Struct):
        return any(_has_objects(field.dtype) for field in kind.fields)
    inner = getattr(kind, "inner", None)
    return inner is not None and _has_objects(inner)

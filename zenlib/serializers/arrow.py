"""Arrow tables, batches, arrays and schemas as IPC files, memory-mapped when read."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from zenlib.errors import Denied, Invalid, NotSerializable
from zenlib.serializers.base import Content, Reader, Serializer, Writer

NAME = "data.arrow"
_KINDS = ("Table", "RecordBatch", "Schema", "ChunkedArray")


class Arrow(Serializer):
    """Keeps Arrow data as it lies, its division into chunks included.

    Only the dictionaries of several chunks become one, which the file format asks for.
    """

    name = "arrow"

    def fits(self, value: object) -> bool:
        """Whether it is a table, batch, schema or array."""
        return type(value).__name__ in _KINDS or isinstance(value, pa.Array)

    def dump(self, value: Any, writer: Writer) -> Any:
        """Write an IPC file; the data says what of it is the value."""
        kind = "Array" if isinstance(value, pa.Array) else type(value).__name__
        table = _as_table(value, kind)
        write_ipc(table, writer)
        writer.describe(rows=table.num_rows, columns=table.num_columns)
        return kind

    def load(self, content: Content, reader: Reader) -> Any:
        """Return the value; its buffers lie in the file."""
        table = read_ipc(pa.memory_map(str(reader.path(NAME))))
        match content.data:
            case "Table":
                return table
            case "Schema":
                return table.schema
            case "ChunkedArray":
                return table.column(0)
            case "RecordBatch" | "Array":
                batches = table.to_batches()
                batch = batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)
                return batch if content.data == "RecordBatch" else batch.column(0)
        raise Invalid(f"not the record of Arrow data: {content.data!r:.80}")


def _as_table(value: Any, kind: str) -> Any:
    if kind == "Table":
        return value
    if kind == "RecordBatch":
        return pa.Table.from_batches([value])
    if kind == "Schema":
        return value.empty_table()
    return pa.table({"value": value})


def write_ipc(table: Any, writer: Writer, name: str = NAME) -> None:
    """Write a table as an IPC file, its buffers without a copy.

    Raises:
        NotSerializable: a column is of an extension type, which could run code when it is read.
    """
    for field in table.schema:
        if _has_extension(field.type):
            raise NotSerializable(
                f"column {field.name!r} has the extension type {field.type}; cast it to its storage"
            )
    table = table.unify_dictionaries()
    try:
        with writer.open(name) as file, pa.ipc.new_file(file, table.schema) as out:
            out.write_table(table)
    except pa.ArrowInvalid as error:
        raise NotSerializable(f"Arrow cannot write it: {error}") from error


def read_ipc(source: Any) -> Any:
    """Return the table of an IPC file.

    Raises:
        Denied: a column is of an extension type.
    """
    with pa.ipc.open_file(source) as file:
        for field in file.schema:
            if _has_extension(field.type):
                raise Denied(f"column {field.name!r:.80} has an extension type, never loaded")
        return file.read_all()


def _has_extension(kind: Any) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return not kind.extension_name.startswith("arrow.")  # those of Arrow itself
    if pa.types.is_dictionary(kind):
        return _has_extension(kind.value_type)
    if pa.types.is_nested(kind):
        return any(_has_extension(kind.field(i).type) for i in range(kind.num_fields))
    return False

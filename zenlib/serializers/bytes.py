"""Long byte strings, as they are."""

from __future__ import annotations

from typing import Any

from zenlib.errors import Invalid
from zenlib.serializers.base import Content, Reader, Serializer, Writer

_NAME = "bytes"
_KINDS = {"bytes": bytes, "bytearray": bytearray}


class Bytes(Serializer):
    """Keeps `bytes` and `bytearray` in one file."""

    name = "bytes"

    def fits(self, value: object) -> bool:
        """Whether it is a byte string of exactly these types."""
        return type(value) in (bytes, bytearray)

    def dump(self, value: Any, writer: Writer) -> Any:
        """Write the bytes; the data is the name of the type."""
        with writer.open(_NAME) as file:
            file.write(value)
        return type(value).__name__

    def load(self, content: Content, reader: Reader) -> Any:
        """Return the bytes."""
        kind = _KINDS.get(content.data)
        if kind is None:
            raise Invalid(f"not the record of bytes: type {content.data!r:.80}")
        found = reader.path(_NAME).read_bytes()
        return found if kind is bytes else kind(found)

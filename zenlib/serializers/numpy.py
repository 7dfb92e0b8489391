"""NumPy arrays as `.npy` files, written without a copy and memory-mapped read-only."""

from __future__ import annotations

import ast
import errno
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from zenlib.errors import CorruptArtifact, Denied, NotSerializable
from zenlib.serializers.base import Content, Reader, Serializer, Writer

_MAPPED_BYTES = 256 << 10  # below, reading is faster than mapping, which also holds a descriptor
_STRIDED_ITEMS = 1 << 20
_HEADER_BYTES = 1 << 20


class Numpy(Serializer):
    """Keeps arrays of numbers, times, strings of fixed length and records; masked ones too.

    Loading gives a read-only `ndarray`; a `memmap` comes back as one. The order of memory
    (C or Fortran) is part of the value, as it is for `numpy.save`: an array and its copy in the
    other order have different digests. Arrays that are neither are written in C order.
    """

    name = "numpy"

    def fits(self, value: object) -> bool:
        """Whether it is an array whose items are plain bytes."""
        if type(value) is np.ma.MaskedArray:
            return _is_plain(value.dtype) and value.dtype.names is None
        return type(value) in (np.ndarray, np.memmap) and _is_plain(value.dtype)  # type: ignore[attr-defined]

    def dump(self, value: Any, writer: Writer) -> Any:
        """Write one file, and one more for the mask of a masked array."""
        writer.describe(shape=list(value.shape), dtype=str(value.dtype))
        if type(value) is not np.ma.MaskedArray:
            write_npy(value, writer, "array.npy")
            return None
        write_npy(value.data, writer, "array.npy")
        if value.mask is not np.ma.nomask:
            write_npy(value.mask, writer, "mask.npy")
        fill = np.asarray(value.fill_value, dtype=value.dtype)
        write_npy(fill, writer, "fill.npy")
        return {"masked": True, "hard": bool(value.hardmask)}

    def load(self, content: Content, reader: Reader) -> Any:
        """Return the array, read-only."""
        array = read_npy(reader.path("array.npy"))
        if content.data is None:
            return array
        has_mask = "mask.npy" in content.files
        return np.ma.MaskedArray(
            array,
            mask=read_npy(reader.path("mask.npy")) if has_mask else np.ma.nomask,
            fill_value=read_npy(reader.path("fill.npy"))[()],
            hard_mask=bool(content.data["hard"]),
        )


def _is_plain(dtype: np.dtype[Any]) -> bool:
    if dtype.hasobject or dtype.kind not in "biufcmMSUV":
        return False
    return bool(npy.descr_to_dtype(npy.dtype_to_descr(dtype)) == dtype) if dtype.names else True


def write_npy(array: Any, writer: Writer, name: str) -> None:
    """Write an array as a `.npy` file: the header, then its memory as it lies.

    The format is that of NumPy's NEP 1, version 1.0, or 3.0 for long headers.

    Raises:
        NotSerializable: its items are Python objects.
    """
    if array.dtype.hasobject:
        raise NotSerializable(f"an array of type {array.dtype} holds Python objects")
    array = without_gaps(array)
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    with writer.open(name) as file:
        file.write(_header(array, fortran))
        for piece in _pieces(array.T if fortran else array):
            file.write(piece)


def without_gaps(array: Any) -> Any:
    """Return an array of records with zeros between its fields, where memory holds anything."""
    if _used_bytes(array.dtype) == array.dtype.itemsize:
        return array
    clean = np.zeros(array.shape, array.dtype)
    _fill(clean, array)
    return clean


def _used_bytes(dtype: Any) -> int:
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return int(math.prod(shape)) * _used_bytes(base)
    if dtype.names is None:
        return int(dtype.itemsize)
    return sum(_used_bytes(dtype.fields[name][0]) for name in dtype.names)


def _fill(target: Any, source: Any) -> None:
    if source.dtype.names is None:
        target[...] = source
    else:
        for name in source.dtype.names:
            _fill(target[name], source[name])


def _header(array: Any, fortran: bool) -> bytes:
    text = repr(
        {
            "descr": npy.dtype_to_descr(array.dtype),
            "fortran_order": fortran,
            "shape": array.shape,
        }
    )
    if text.isascii() and len(text) < 60_000:
        version, length_bytes = b"\x01\x00", 2
    else:
        version, length_bytes = b"\x03\x00", 4
    content = text.encode("utf-8")
    before = 6 + 2 + length_bytes
    padding = -(before + len(content) + 1) % 64  # the array begins at a multiple of 64 bytes
    content += b" " * padding + b"\n"
    return b"\x93NUMPY" + version + len(content).to_bytes(length_bytes, "little") + content


def _pieces(array: Any) -> Iterator[Any]:
    """Yield the bytes of an array in C order: one view if they lie so, else copies of pieces."""
    if array.nbytes == 0:
        return
    if array.flags.c_contiguous:
        yield np.ascontiguousarray(array).reshape(-1).view(np.ndarray).view(np.uint8)
        return
    flags = ["external_loop", "buffered", "zerosize_ok"]
    for piece in np.nditer(array, flags=flags, buffersize=_STRIDED_ITEMS, order="C"):  # type: ignore[call-overload]
        yield piece.tobytes("C")


def read_npy(path: Path) -> Any:
    """Return the array of a `.npy` file, read-only; large ones are mapped, not read.

    Raises:
        Denied: it holds pickled Python objects.
        CorruptArtifact: the header does not fit the size of the file.
    """
    with path.open("rb") as file:
        shape, fortran, dtype = _read_header(file)
        offset = file.tell()
    if dtype.hasobject:
        raise Denied(f"{path} holds pickled objects: arrays of objects are never loaded")
    count = math.prod(shape)
    if offset + count * dtype.itemsize != path.stat().st_size:
        raise CorruptArtifact(f"{path} claims {count} items, which its size does not fit")
    order: Any = "F" if fortran else "C"
    if count * dtype.itemsize >= _MAPPED_BYTES:
        try:
            mapped = np.memmap(path, dtype, "r", offset, shape, order)
            return mapped.view(np.ndarray)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise  # out of descriptors: read it instead
    if count * dtype.itemsize == 0:
        array = np.empty(shape, dtype, order)
    else:
        array = np.fromfile(path, dtype, count, offset=offset).reshape(shape, order=order)
    array.flags.writeable = False
    return array


def _read_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    start = file.read(8)
    if start[:6] != b"\x93NUMPY" or start[6:] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise CorruptArtifact(f"not a .npy file, or one of an unknown version: {start!r}")
    length = int.from_bytes(file.read(2 if start[6] == 1 else 4), "little")
    if length > _HEADER_BYTES:
        raise CorruptArtifact(f"not a .npy file: a header of {length} bytes")
    try:
        text = file.read(length).decode("utf-8" if start[6] == 3 else "latin-1")
        header = ast.literal_eval(text)
        shape, fortran = header["shape"], header["fortran_order"]
        dtype = np.dtype(npy.descr_to_dtype(header["descr"]))
    except (ValueError, TypeError, KeyError, SyntaxError, MemoryError, RecursionError) as error:
        raise CorruptArtifact(f"not a .npy file: {error}") from error
    if type(shape) is not tuple or not all(type(n) is int and n >= 0 for n in shape):
        raise CorruptArtifact(f"not a .npy file: shape {shape!r:.200}")
    return shape, bool(fortran), dtype

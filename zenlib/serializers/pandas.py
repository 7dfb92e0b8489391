"""pandas frames, series and indexes as Arrow IPC files, exactly."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.tseries.frequencies import to_offset

from zenlib import values
from zenlib.errors import CorruptArtifact, Invalid, NotSerializable
from zenlib.hashing import compact_json
from zenlib.instances import type_name
from zenlib.serializers.arrow import NAME, read_ipc, write_ipc
from zenlib.serializers.base import Content, Reader, Serializer, Writer

_INLINE_BYTES = 2048
_MANY_COLUMNS = 200
_ARROW_KINDS = "biuf"  # numbers whose memory is the same in NumPy and Arrow


class Pandas(Serializer):
    """Keeps `DataFrame`, `Series` and every kind of `Index`.

    Columns of numbers and times are written without a copy and loaded as private pages of the
    file: they can be changed, and the file cannot be changed by that. Columns of objects are kept
    if each object is data (`zenlib.values`).
    """

    name = "pandas"

    def fits(self, value: object) -> bool:
        """Whether it is a frame, a series or an index of pandas itself."""
        if isinstance(value, pd.Index):
            return type(value).__module__.partition(".")[0] == "pandas"
        return type(value) in (pd.DataFrame, pd.Series)

    def dump(self, value: Any, writer: Writer) -> Any:
        """Write the columns to one file; the data says what they make."""
        if isinstance(value, pd.Index):
            return _dump_index(value, writer)
        _check_extras(value)
        writer.part(value.index)
        data: dict[str, Any] = {"attrs": compact_json(values.encode(value.attrs, place="attrs"))}
        if isinstance(value, pd.Series):
            writer.describe(rows=len(value), dtype=str(value.dtype))
            data |= {"kind": "Series", "name": values.encode(value.name, place="name")}
            columns = _Columns(writer, [value.array])
        else:
            writer.describe(rows=len(value), columns=value.shape[1])
            writer.part(value.columns)
            data |= {"kind": "DataFrame"}
            columns = _Columns(writer, (value.iloc[:, i].array for i in range(value.shape[1])))
        columns.write()
        return data | {"columns": columns.notes}

    def load(self, content: Content, reader: Reader) -> Any:
        """Return the frame, series or index."""
        data = content.data
        parts = iter(content.parts)
        try:
            kind = data["kind"]
            if kind not in ("DataFrame", "Series"):
                return _load_index(content, reader)
            index = reader.part(next(parts))
            labels = reader.part(next(parts)) if kind == "DataFrame" else None
            arrays = _read_columns(data["columns"], parts, reader)
            if labels is None:
                [array] = arrays
                name = values.decode(data["name"])
                made: Any = pd.Series(
                    array, index=index, name=name, dtype=_given(array), copy=False
                )
            else:
                made = _frame(arrays, index, labels)
            made.attrs = values.parse(data["attrs"])
            return made
        except (KeyError, TypeError, StopIteration) as error:
            raise Invalid(f"not the record of a pandas value: {error!r}") from error


def _check_extras(value: Any) -> None:
    if not value.flags.allows_duplicate_labels:
        raise NotSerializable("its flag allows_duplicate_labels=False is not kept")


def _given(array: Any) -> Any:
    """Return the type that pandas must be told, so that it does not guess one from objects."""
    return object if isinstance(array, np.ndarray) and array.dtype.kind == "O" else None


def _frame(arrays: list[Any], index: Any, labels: Any) -> Any:
    """Build a frame from columns without a copy; very many are gathered, which makes it faster."""
    columns = {
        number: pd.Series(array, index=index, dtype=object) if _given(array) else array
        for number, array in enumerate(arrays)
    }
    frame = pd.DataFrame(columns, index=index, copy=len(arrays) > _MANY_COLUMNS)
    frame.columns = labels
    return frame


# Columns: each an Arrow array, and a note how to make the pandas array of it again.


class _Columns:
    def __init__(self, writer: Writer, arrays: Iterable[Any]) -> None:
        self.notes: list[Any] = []
        self._writer = writer
        self._arrays = [self._encode(array) for array in arrays]

    def write(self) -> None:
        names = [str(number) for number in range(len(self._arrays))]
        if names:
            write_ipc(pa.table(self._arrays, names=names), self._writer)

    def _encode(self, array: Any) -> Any:
        made, note = _encode(array, self._writer)
        self.notes.append(note)
        return made


def _encode(array: Any, writer: Writer) -> tuple[Any, dict[str, Any]]:
    """Return an Arrow array and a note; what they leave out goes into parts."""
    dtype = array.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        writer.part(dtype.categories)
        return _numbers(array.codes), {"as": "category", "ordered": bool(dtype.ordered)}
    if isinstance(dtype, pd.IntervalDtype):
        writer.part(pd.Index(array.left))
        writer.part(pd.Index(array.right))
        return pa.nulls(len(array)), {"as": "interval", "closed": dtype.closed}
    if isinstance(dtype, pd.StringDtype):
        missing = "nan" if dtype.na_value is np.nan else "NA"
        note = {"as": "string", "storage": dtype.storage, "missing": missing}
        return _strings(array, note)
    if isinstance(dtype, pd.ArrowDtype):
        return pa.chunked_array(array.__arrow_array__()).combine_chunks(), {"as": "arrow"}
    if isinstance(array, pd.arrays.NumpyExtensionArray) or isinstance(dtype, np.dtype):
        return _encode_numpy(np.asarray(array))
    name = _dtype_name(dtype)
    if isinstance(dtype, pd.DatetimeTZDtype | pd.PeriodDtype):
        return _numbers(array.asi8), {"as": "times", "dtype": name}
    if isinstance(array, pd.arrays.IntegerArray | pd.arrays.FloatingArray | pd.arrays.BooleanArray):
        return pa.array(array), {"as": "masked", "dtype": name}
    raise NotSerializable(f"columns of type {dtype} ({type_name(array)}) are not known")


def _encode_numpy(array: Any) -> tuple[Any, dict[str, Any]]:
    dtype = array.dtype
    if dtype.kind == "O":
        return _encode_objects(array)
    if dtype.char in "gG" or dtype.kind not in "biufcmM" or not dtype.isnative:
        raise NotSerializable(f"columns of type {dtype} are not known")
    note = {"as": "numpy", "dtype": dtype.str[1:]}
    if dtype.kind == "c":
        parts = np.ascontiguousarray(array).view(f"f{dtype.itemsize // 2}")
        return pa.FixedSizeListArray.from_arrays(_numbers(parts), 2), note
    if dtype.kind in "mM":
        return _numbers(np.ascontiguousarray(array).view("i8")), note
    return _numbers(array), note


def _numbers(array: Any) -> Any:
    """Return an Arrow array over the same memory, where both agree on it; NaN stays a number."""
    array = np.ascontiguousarray(array)
    if array.dtype.kind == "b":
        return pa.array(array)
    buffer = pa.py_buffer(array.view(np.uint8))
    return pa.Array.from_buffers(pa.from_numpy_dtype(array.dtype), len(array), [None, buffer])


def _strings(array: Any, note: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    try:
        made = pa.array(array, from_pandas=True)
        chunks = made if isinstance(made, pa.ChunkedArray) else pa.chunked_array([made])
        return chunks.cast(pa.large_string()).combine_chunks(), note
    except (pa.ArrowInvalid, UnicodeEncodeError) as error:
        raise NotSerializable(f"a string is no valid Unicode: {error}") from error


def _encode_objects(array: Any) -> tuple[Any, dict[str, Any]]:
    """Keep strings and None as strings, anything else as the JSON text of each item."""
    if all(item is None or type(item) is str for item in array):
        try:
            return pa.array(array, pa.large_string(), from_pandas=False), {"as": "text"}
        except (pa.ArrowInvalid, UnicodeEncodeError):
            pass  # lone surrogates, which JSON texts can hold
    texts = [
        values.canonical(item, place=f"row {number}", files=False)
        for number, item in enumerate(array)
    ]
    return pa.array(texts, pa.large_binary()), {"as": "objects"}


def _dtype_name(dtype: Any) -> str:
    name = str(dtype)
    try:
        if pd.api.types.pandas_dtype(name) == dtype:
            return name
    except (TypeError, ValueError):
        pass
    raise NotSerializable(f"columns of type {dtype} are not known")


# Columns, read.


def _read_columns(notes: list[Any], parts: Any, reader: Reader) -> list[Any]:
    if not notes:
        return []
    memory = _private_pages(reader.path(NAME))
    buffer = pa.py_buffer(memory)
    table = read_ipc(buffer)
    if table.num_columns != len(notes):
        raise CorruptArtifact("the number of columns differs from that of the record")
    return [
        _decode(_one_chunk(table.column(number)), note, (memory, buffer.address), parts, reader)
        for number, note in enumerate(notes)
    ]


def _private_pages(path: Path) -> mmap.mmap:
    """Map a file so that changes stay in this process and never reach the file."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def _one_chunk(column: Any) -> Any:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.array([], column.type) if column.num_chunks == 0 else column.combine_chunks()


def _decode(array: Any, note: Any, where: tuple[Any, int], parts: Any, reader: Reader) -> Any:
    match note["as"]:
        case "numpy":
            return _decode_numpy(array, np.dtype(note["dtype"]), where)
        case "text":
            return array.to_numpy(zero_copy_only=False)
        case "objects":
            items = np.empty(len(array), dtype=object)
            for number, text in enumerate(array):
                items[number] = values.parse(text.as_py())
            return items
        case "category":
            dtype = pd.CategoricalDtype(reader.part(next(parts)), note["ordered"])
            return pd.Categorical.from_codes(_memory(array, where), dtype=dtype, validate=True)
        case "interval":
            left, right = reader.part(next(parts)), reader.part(next(parts))
            return pd.arrays.IntervalArray.from_arrays(left, right, closed=note["closed"])
        case "string":
            missing: Any = np.nan if note["missing"] == "nan" else pd.NA
            kind: Any = pd.StringDtype(note["storage"], na_value=missing)
            return kind.__from_arrow__(array)
        case "arrow":
            kind = pd.ArrowDtype(array.type)
            return kind.__from_arrow__(pa.chunked_array([array]))
        case "masked":
            kind = pd.api.types.pandas_dtype(note["dtype"])
            return kind.__from_arrow__(array)
        case "times":
            return _decode_times(_memory(array, where), pd.api.types.pandas_dtype(note["dtype"]))
    raise Invalid(f"not the record of a pandas column: {note!r:.200}")


def _decode_numpy(array: Any, dtype: Any, where: tuple[Any, int]) -> Any:
    if dtype.kind == "b":
        return array.to_numpy(zero_copy_only=False).copy()
    if dtype.kind == "c":
        return _memory(array.flatten(), where).view(dtype)
    return _memory(array, where).view(dtype)


def _decode_times(numbers: Any, dtype: Any) -> Any:
    if isinstance(dtype, pd.PeriodDtype):
        return pd.arrays.PeriodArray(numbers, dtype=dtype)
    instants = pd.DatetimeIndex(numbers.view(f"M8[{dtype.unit}]"), copy=False)
    return instants.tz_localize("UTC").tz_convert(dtype.tz).array


def _memory(array: Any, where: tuple[Any, int]) -> Any:
    """Return the NumPy array that lies at the same place of the mapped file."""
    memory, address = where
    dtype = np.dtype(array.type.to_pandas_dtype())
    if len(array) == 0:
        return np.empty(0, dtype)
    _, data = array.buffers()
    offset = data.address - address + array.offset * dtype.itemsize
    return np.frombuffer(memory, dtype, len(array), offset)


# Indexes.


def _dump_index(index: Any, writer: Writer) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": type(index).__name__}
    data["names"] = [values.encode(name, place="the index's name") for name in index.names]
    writer.describe(rows=len(index))
    if isinstance(index, pd.MultiIndex):
        for level, codes in zip(index.levels, index.codes, strict=True):
            writer.part(level)
            writer.part(np.asarray(codes))
        return data
    if isinstance(index, pd.RangeIndex):
        return data | {"range": [index.start, index.stop, index.step]}
    freq = (
        getattr(index, "freq", None)
        if isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex)
        else None
    )
    if freq is not None:
        if to_offset(freq.freqstr) != freq:
            raise NotSerializable(f"the index's frequency {freq!r} has no exact name")
        data["freq"] = freq.freqstr
    inline = _inline(index)
    if inline is not None:
        return data | inline
    columns = _Columns(writer, [index.array])
    columns.write()
    return data | {"columns": columns.notes}


def _inline(index: Any) -> dict[str, Any] | None:
    """Return the labels of a short index as data, if that is exact."""
    if len(index) > _INLINE_BYTES or type(index) is not pd.Index or index.dtype.kind not in "iufbO":
        return None
    if isinstance(index.dtype, pd.StringDtype):
        note: dict[str, Any] = {
            "storage": index.dtype.storage,
            "nan": index.dtype.na_value is np.nan,
        }
        labels = [
            None if missing else label for label, missing in zip(index, index.isna(), strict=True)
        ]
    elif isinstance(index.dtype, np.dtype):
        note, labels = {"dtype": index.dtype.str}, index.tolist()
    else:
        return None
    try:
        text = values.canonical(labels, place="the index", files=False)
    except NotSerializable:
        if index.dtype == object:
            raise
        return None
    return {"labels": text.decode("ascii"), **note} if len(text) <= _INLINE_BYTES else None


def _load_index(content: Content, reader: Reader) -> Any:
    data = content.data
    names = [values.decode(name) for name in data["names"]]
    parts = iter(content.parts)
    if data["kind"] == "MultiIndex":
        loaded = [reader.part(part) for part in parts]
        return pd.MultiIndex(levels=loaded[::2], codes=loaded[1::2], names=names)
    [name] = names
    if "range" in data:
        start, stop, step = data["range"]
        return pd.RangeIndex(start, stop, step, name=name)
    if "labels" in data:
        return _labels(data, name)
    [array] = _read_columns(data["columns"], parts, reader)
    made: Any = pd.Index(
        array,
        name=name,
        dtype=_given(array),
        copy=False,
    )
    if "freq" in data:
        made.freq = to_offset(data["freq"])
    return made


def _labels(data: dict[str, Any], name: Any) -> Any:
    labels = values.parse(data["labels"])
    if "storage" in data:
        dtype: Any = pd.StringDtype(data["storage"], na_value=np.nan if data["nan"] else pd.NA)
    else:
        dtype = np.dtype(data["dtype"])
    if dtype.kind == "O":
        items = np.empty(len(labels), dtype=object)
        items[:] = labels
        labels = items
    return pd.Index(labels, dtype=dtype, name=name)

"""Every serializer of zenlib against the published suite."""

import datetime as dt
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse
from sklearn.cluster import KMeans
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from zenlib.serializers.arrow import Arrow
from zenlib.serializers.bytes import Bytes
from zenlib.serializers.containers import Batches, BatchesSerializer, Container
from zenlib.serializers.json import Json
from zenlib.serializers.numpy import Numpy
from zenlib.serializers.pandas import Pandas
from zenlib.serializers.path import PathContent
from zenlib.serializers.pickle import Pickle
from zenlib.serializers.polars import Polars
from zenlib.serializers.sklearn import Sklearn
from zenlib.testing.serializers import SerializerSuite

RNG = 20


def same_arrays(a, b):
    if type(a) is not type(b) or a.dtype != b.dtype or a.shape != b.shape:
        return False
    if isinstance(a, np.ma.MaskedArray):
        return (
            np.array_equal(a.mask, b.mask)
            and a.data.tobytes() == b.data.tobytes()
            and a.fill_value == b.fill_value
        )
    return a.tobytes() == b.tobytes() and a.flags.f_contiguous == b.flags.f_contiguous


class TestJson(SerializerSuite):
    serializer = Json

    def examples(self):
        return {
            "inline": {"b": [1, 2.5, None], "a": ("x", {1, 2})},
            "file": {"text": "x" * 5000, "list": list(range(1000))},
            "text": "äöü\ud800" * 3000,
            "bytes": b"\0\xff",
            "time": dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC),
            "scalar": np.float32(0.1),
        }


class TestBytes(SerializerSuite):
    serializer = Bytes

    def examples(self):
        return {"bytes": bytes(range(256)) * 50, "bytearray": bytearray(5000)}


class TestNumpy(SerializerSuite):
    serializer = Numpy
    same = staticmethod(same_arrays)

    def examples(self):
        rng = np.random.default_rng(RNG)
        small = rng.random((30, 4))
        return {
            "c": small,
            "fortran": np.asfortranarray(small),
            "strided": np.ascontiguousarray(small[::2, ::-1]),
            "zero dimensions": np.array(3.5),
            "empty": np.zeros((0, 3), dtype="f4"),
            "bool": small > 0.5,
            "big-endian": small.astype(">f8"),
            "complex": small + 1j,
            "half": small.astype("f2"),
            "datetime": np.array(["2020-01-01", "NaT"], dtype="M8[us]"),
            "timedelta": np.array([1, 2], dtype="m8[s]"),
            "text": np.array(["a", "ä\0b", ""]),
            "bytes": np.array([b"a", b""]),
            "records": np.array([(1, 2.5), (3, np.nan)], dtype=[("a", "i4"), ("ü", "f8")]),
            "aligned": np.zeros(4, dtype=np.dtype([("a", "u1"), ("b", "f8")], align=True)),
            "nan": np.array([np.nan, -0.0, np.inf]),
            "masked": np.ma.array([1, 2, 3], mask=[0, 1, 0], fill_value=7),
            "nothing masked": np.ma.array([1.5, 2]),
            "large": rng.random(100_000),
        }


class TestContainer(SerializerSuite):
    serializer = Container

    def same(self, a, b):
        if isinstance(a, np.ndarray):
            return same_arrays(a, b)
        if type(a) is not type(b):
            return False
        if isinstance(a, dict):
            return list(a) == list(b) and self.same(list(a.values()), list(b.values()))
        if isinstance(a, list | tuple):
            return len(a) == len(b) and all(map(self.same, a, b))
        return a == b

    def examples(self):
        one, two = np.arange(5), np.ones((2, 2))
        return {
            "list": [one, 1, "x", [two]],
            "tuple": (one, {"a": two}),
            "dict": {"z": one, "a": two, 3: None, (1, "t"): one},
        }


class TestBatches(SerializerSuite):
    serializer = BatchesSerializer

    def examples(self):
        import tempfile

        from zenlib.artifacts.blobs import Blobs
        from zenlib.artifacts.local import LocalStore
        from zenlib.shelf import Shelf

        shelf = Shelf(Blobs(LocalStore(tempfile.mkdtemp())))
        kept = shelf.save_batches(np.full(10, number) for number in range(3))
        return {"arrays": shelf.load(kept.content)}

    def same(self, a, b):
        return type(a) is type(b) is Batches and all(map(same_arrays, a, b))

    def _touch(self, value):
        list(value)


class TestPath(SerializerSuite):
    serializer = PathContent

    def examples(self):
        import tempfile

        top = Path(tempfile.mkdtemp()) / "top"
        (top / "sub" / "empty").mkdir(parents=True)
        (top / "a b.txt").write_text("text")
        (top / "sub" / "same.txt").write_text("text")
        (top / "sub" / "ünï.bin").write_bytes(bytes(5000))
        (top / "run.sh").write_text("#!/bin/sh")
        (top / "run.sh").chmod(0o755)
        return {"folder": top, "file": top / "a b.txt"}

    def same(self, a, b):
        return type(a) is type(b) and a.name == b.name and contents(a) == contents(b)


def contents(top):
    if top.is_file():
        return top.read_bytes()
    return {
        path.relative_to(top).as_posix(): path.read_bytes() if path.is_file() else None
        for path in top.rglob("*")
    }


class TestArrow(SerializerSuite):
    serializer = Arrow

    def same(self, a, b):
        return type(a) is type(b) and a.equals(b)

    def examples(self):
        table = pa.table(
            {
                "n": [1, None, 3],
                "s": ["a", "b", None],
                "l": [[1], [], None],
                "d": pa.array(["x", "y", "x"]).dictionary_encode(),
                "t": pa.array([0, 1, None], pa.timestamp("us", "Europe/Paris")),
            }
        ).replace_schema_metadata({"k": "v"})
        return {
            "table": table,
            "empty table": table.slice(0, 0),
            "chunks": pa.concat_tables([table, table]),
            "batch": table.to_batches()[0],
            "empty batch": pa.record_batch({"a": pa.array([], pa.int8())}),
            "array": pa.array([1.5, None]),
            "empty array": pa.array([], pa.string()),
            "chunked array": pa.chunked_array([[1], [2, 3]]),
            "schema": table.schema,
            "uuid": pa.array([b"0123456789abcdef"], pa.uuid()),
        }


class TestPandas(SerializerSuite):
    serializer = Pandas

    def same(self, a, b):
        if type(a) is not type(b):
            return False
        if isinstance(a, pd.Index):
            pd.testing.assert_index_equal(a, b, exact=True, check_exact=True)
            return getattr(a, "freq", None) == getattr(b, "freq", None)
        check = (
            pd.testing.assert_frame_equal
            if isinstance(a, pd.DataFrame)
            else pd.testing.assert_series_equal
        )
        check(a, b, check_exact=True, check_freq=True)
        return type(a.index) is type(b.index) and a.attrs == b.attrs

    def examples(self):
        days = pd.date_range("2020-01-01", periods=4, tz="Europe/Paris")
        frame = pd.DataFrame(
            {
                "float": [1.0, np.nan, -0.0, 4],
                "half": np.arange(4, dtype="f2"),
                "int": np.arange(4, dtype="i1"),
                "unsigned": np.arange(4, dtype="u8"),
                "bool": [True, False, True, False],
                "complex": [1j, 2, 3, 4],
                "text": ["x", None, "z", "ü"],
                "object": np.array([1, "a", None, (2.5, "b")], dtype=object),
                "strings and None": pd.Series(["a", None, "b", "c"], dtype=object),
                "strings and nan": pd.Series(["a", np.nan, "b", "\ud800"], dtype=object),
                "category": pd.Categorical(
                    ["u", "v", None, "u"], categories=["v", "u", "w"], ordered=True
                ),
                "zone": days,
                "naive": days.tz_localize(None),
                "seconds": days.tz_localize(None).astype("M8[s]"),
                "delta": pd.to_timedelta([1, None, 3, 4]),
                "Int64": pd.array([1, None, 3, 4], dtype="Int64"),
                "Float32": pd.array([1.5, None, 3, 4], dtype="Float32"),
                "boolean": pd.array([True, None, False, True], dtype="boolean"),
                "string": pd.array(["a", None, "c", "d"], dtype="string"),
                "python string": pd.array(["a", None, "c", "d"], dtype="string[python]"),
                "arrow": pd.array([1, None, 3, 4], dtype="int64[pyarrow]"),
                "period": pd.period_range("2020", periods=4, freq="M"),
                "interval": pd.interval_range(0, 4, closed="left"),
            }
        )
        numbers = pd.DataFrame(np.arange(12.0).reshape(4, 3), columns=["x", "x", 3])
        numbers.columns.name = "label"
        numbers.attrs = {"source": ("a", 1)}
        levels = frame.set_index(["category", "text", "zone"])[["float"]]
        return {
            "everything": frame,
            "numbers": numbers,
            "by time": numbers.set_index(days),
            "levels": levels,
            "columns with levels": pd.DataFrame(
                [[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["p", None])
            ),
            "empty": pd.DataFrame(),
            "no columns": pd.DataFrame(index=range(3)),
            "no rows": frame.iloc[:0],
            "slice": frame.iloc[1:3],
            "many columns": pd.DataFrame(np.ones((3, 300))),
            "series": pd.Series([1.5, 2], index=["a", "b"], name=("n", 1)),
            "empty series": pd.Series([], dtype="f8"),
            "range": pd.RangeIndex(5, 50, 5, name="r"),
            "index": pd.Index([1, 2], name="i"),
            "long index": pd.Index(np.arange(5000) * 7),
            "labels": pd.Index(["a", None, "c"]),
            "object labels": pd.Index(["a", 1, None, (1, 2)], dtype=object),
            "times": days,
            "months": pd.date_range("2020", periods=3, freq="MS"),
            "deltas": pd.timedelta_range("1D", periods=3),
            "categories": pd.CategoricalIndex(["a", "b", "a"]),
            "intervals": pd.IntervalIndex.from_breaks([0, 1, 2]),
            "periods": pd.period_range("2020", periods=2, freq="D"),
        }


class TestPolars(SerializerSuite):
    serializer = Polars

    def same(self, a, b):
        same_names = not isinstance(a, pl.Series) or a.name == b.name
        schema = a.schema == b.schema if isinstance(a, pl.DataFrame) else a.dtype == b.dtype
        return type(a) is type(b) and same_names and schema and a.equals(b)

    def examples(self):
        frame = pl.DataFrame(
            {
                "n": [1, None],
                "s": ["a", "ü"],
                "c": pl.Series(["x", "y"], dtype=pl.Categorical),
                "e": pl.Series(["x", "y"], dtype=pl.Enum(["y", "x"])),
                "t": [dt.datetime(2020, 1, 1), None],
                "l": [[1], [2, 3]],
                "st": [{"a": 1}, None],
                "d": pl.Series([1, 2]).cast(pl.Decimal(10, 2)),
                "du": [dt.timedelta(seconds=1), None],
            }
        ).with_columns(pl.col("t").dt.replace_time_zone("Europe/Paris").alias("z"))
        return {
            "frame": frame,
            "chunks": pl.concat([frame, frame], rechunk=False),
            "empty": pl.DataFrame(),
            "no rows": frame.clear(),
            "series": pl.Series("name", [1.5, None]),
            "empty series": pl.Series([], dtype=pl.Int8),
        }


class TestSklearn(SerializerSuite):
    serializer = Sklearn

    def data(self):
        rng = np.random.default_rng(RNG)
        x = rng.random((40, 3))
        return x, (x[:, 0] > 0.5).astype(int)

    def examples(self):
        x, y = self.data()
        with threadpool_limits(1):
            return {
                "linear": make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y),
                "forest": RandomForestRegressor(3, random_state=0).fit(x, y),
                "boosting": HistGradientBoostingClassifier(max_iter=3, random_state=0).fit(x, y),
                "clusters": KMeans(2, n_init=1, random_state=0).fit(x),
                "not fitted": LogisticRegression(C=2.0),
                "sparse": scipy.sparse.csr_matrix(np.eye(3)),
            }

    def same(self, a, b):
        if type(a) is not type(b):
            return False
        if scipy.sparse.issparse(a):
            return a.dtype == b.dtype and (a != b).nnz == 0
        if not hasattr(a, "n_features_in_"):
            return a.get_params() == b.get_params()
        x, _ = self.data()
        return np.array_equal(a.predict(x), b.predict(x))


class TestPickle(SerializerSuite):
    serializer = Pickle

    def examples(self):
        return {"counter": Counter("abca"), "ordered": OrderedDict(b=[1, "x"], a=2)}

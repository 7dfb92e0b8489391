"""Frames of any shape and type come back exactly."""

import tempfile

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.extra.pandas import column, data_frames, indexes, range_indexes

from zenlib.artifacts.blobs import Blobs
from zenlib.artifacts.local import LocalStore
from zenlib.shelf import Shelf

SHELF = Shelf(Blobs(LocalStore(tempfile.mkdtemp())), pickle="never")

TEXT = st.text(st.characters(exclude_categories=()), max_size=5)
COLUMNS = st.lists(
    st.sampled_from(["f8", "f4", "i8", "u1", "?", "c16", "M8[ns]", "m8[ns]", "object", "text"]),
    max_size=5,
)


@st.composite
def frames(draw):
    kinds = draw(COLUMNS)
    columns = []
    for number, kind in enumerate(kinds):
        if kind == "text":
            columns.append(column(str(number), dtype=object, elements=TEXT | st.none()))
        elif kind == "object":
            items = st.none() | st.integers() | TEXT | st.floats() | st.booleans()
            columns.append(column(str(number), dtype=object, elements=items))
        else:
            columns.append(
                column(str(number), dtype=kind, elements=hnp.from_dtype(hnp.np.dtype(kind)))
            )
    index = range_indexes(max_size=6) | indexes(dtype="f8", max_size=6)
    frame = draw(data_frames(columns, index=index))
    frame.columns = draw(
        st.lists(TEXT | st.integers() | st.none(), min_size=len(kinds), max_size=len(kinds)).map(
            lambda labels: pd.Index(labels, dtype=object)
        )
    )
    return frame


@given(frames())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_frame_comes_back_exactly(frame):
    content = SHELF.save(frame).content
    loaded = SHELF.load(content)
    pd.testing.assert_frame_equal(frame, loaded, check_exact=True, check_column_type="exact")
    assert list(map(type, frame.columns)) == list(map(type, loaded.columns))
    assert SHELF.digest(loaded) == content.digest

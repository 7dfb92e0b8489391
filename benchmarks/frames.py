"""A data frame of a million rows handed from step to step, against Arrow IPC by hand."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from arrays import forget
from measure import interleaved, tree_cpu_s
from report import Row

from zenlib import pipeline, step

ROWS = {False: 1_000_000, True: 100_000}
WORDS = ("alpha", "beta", "gamma", "delta")


def frame_of(start: int, rows: int) -> pd.DataFrame:
    """Return a frame of 20 columns: 13 floats, 4 integers, a Boolean, a category and a text."""
    numbers = np.arange(start, start + rows)
    columns: dict[str, object] = {f"float{i}": numbers * (i + 0.5) for i in range(13)}
    columns |= {f"integer{i}": numbers + i for i in range(4)}
    columns["even"] = numbers % 2 == 0
    columns["category"] = pd.Categorical.from_codes(numbers % 4, WORDS)
    columns["text"] = np.array(WORDS, dtype=object)[numbers % 4]
    return pd.DataFrame(columns)


@step
def make(start: int, rows: int) -> pd.DataFrame:
    return frame_of(start, rows)


@step
def total(frame: pd.DataFrame) -> float:
    return float(frame["float0"].sum())


@pipeline(progress=False)
def summing(start: int, rows: int):
    return total(make(start, rows))


def by_hand(start: int, rows: int, *, durable: bool) -> float:
    """Do the same without zenlib; `durable` forces the file to disk as each zenlib run does."""
    path = Path("raw.arrow")
    table = pa.Table.from_pandas(frame_of(start, rows))
    with path.open("wb") as file:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        if durable:
            os.fsync(file.fileno())
    del table
    with pa.memory_map(str(path)) as source:
        found = float(pa.ipc.open_file(source).read_all().to_pandas()["float0"].sum())
    path.unlink()
    return found


def rows(*, small: bool) -> list[Row]:
    """Measure on one disk; making the frame and both conversions are in all figures."""
    count = ROWS[small]
    starts = itertools.count()
    assert summing(1, 1000).outputs.load() == by_hand(1, 1000, durable=False)

    def through_zenlib() -> None:
        summing(next(starts), count)
        forget()

    actions = (
        through_zenlib,
        lambda: by_hand(next(starts), count, durable=False),
        lambda: by_hand(next(starts), count, durable=True),
    )
    interleaved(1, *actions)  # touches the memory
    ours, raw, durable = interleaved(5, *actions, clock=tree_cpu_s)
    title = f"data frame of {count:,} × 20"
    base = "Arrow IPC write + read"
    return [
        Row(f"{title}, CPU", ours.cpu_s, "s CPU", base, raw.cpu_s, 1.25),
        Row(f"{title}, wall", ours.wall_s, "s", f"{base}, with fsync", durable.wall_s, 1.25),
        Row(f"{title}, wall", ours.wall_s, "s", f"{base}, no fsync", raw.wall_s),
    ]

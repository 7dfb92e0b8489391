"""A large array made by one step and summed by the next, against NumPy by hand."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from measure import interleaved, tree_cpu_s, warm_environment
from report import Row

from zenlib import pipeline, step

MIB = 1 << 20
ITEMS = {False: 1024 * MIB // 8, True: 128 * MIB // 8}
"""Number of float64 items: 1 GiB, or 128 MiB with --small."""


@step
def make(start: int, items: int) -> np.ndarray:
    return np.arange(start, start + items, dtype=np.float64)


@step
def total(array: np.ndarray) -> float:
    return float(array.sum())


@pipeline(progress=False)
def summing(start: int, items: int):
    return total(make(start, items))


def by_hand(start: int, items: int, *, durable: bool) -> float:
    """Do the same without zenlib; `durable` forces the file to disk as each zenlib run does."""
    path = Path("raw.npy")
    array = np.arange(start, start + items, dtype=np.float64)
    with path.open("wb") as file:
        np.save(file, array)
        if durable:
            os.fsync(file.fileno())
    del array
    found = float(np.load(path).sum())
    path.unlink()
    return found


def blobs() -> list[Path]:
    """Return the files of all artifacts, below the home folder of the benchmark."""
    home = Path(os.environ["ZENLIB_HOME"])
    return [p for p in home.rglob("b3/**/*") if p.is_file()]


def bytes_kept() -> int:
    """Return the size of all artifacts on disk."""
    return sum(path.stat().st_size for path in blobs())


def forget() -> None:
    """Remove the files of earlier runs.

    So that memory and disk are used again by whoever comes next, as they are by `by_hand`: pages
    that a virtual machine never touched before cost many times as much as used ones.
    """
    for path in blobs():
        path.chmod(0o600)
        path.unlink()


def peak_mib() -> float:
    """Return the largest resident memory of this process so far."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / MIB
    if sys.platform == "linux":  # `ru_maxrss` would begin with what the parent had at the fork
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB


def memory_mib(items: int) -> tuple[float, float]:
    """Return the peak of a new process: with all libraries loaded, and after the pipeline."""
    code = (
        "import arrays\n"
        "arrays.summing(0, 1000)\n"
        "print(arrays.peak_mib())\n"
        f"arrays.summing(77, {items})\n"
        "print(arrays.peak_mib())"
    )
    environment = warm_environment() | {"PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    before, after = map(float, done.stdout.split())
    return before, after


def rows(*, small: bool) -> list[Row]:
    """Measure on one disk; making and summing the array are in all figures."""
    items = ITEMS[small]
    array_mib = items * 8 / MIB
    starts = itertools.count()
    assert summing(1, 1000).outputs.load() == by_hand(1, 1000, durable=False)

    def through_zenlib() -> None:
        summing(next(starts), items)
        forget()

    actions = (
        through_zenlib,
        lambda: by_hand(next(starts), items, durable=False),
        lambda: by_hand(next(starts), items, durable=True),
    )
    interleaved(1, *actions)  # touches the memory
    ours, raw, durable = interleaved(7, *actions, clock=tree_cpu_s)
    loaded, peak = memory_mib(items)
    before = bytes_kept()
    assert before >= items * 8  # of the process whose memory was measured
    summing.with_options(cache=False)(77, items)
    title = f"array of {array_mib:.0f} MiB: make, keep, sum"
    base = "numpy.save + load + sum"
    return [
        Row(f"{title}, CPU", ours.cpu_s, "s CPU", base, raw.cpu_s, 1.25),
        Row(f"{title}, wall", ours.wall_s, "s", f"{base}, with fsync", durable.wall_s, 1.25),
        Row(f"{title}, wall", ours.wall_s, "s", f"{base}, no fsync", raw.wall_s),
        Row("peak memory of the process", peak, "MiB", target=array_mib + 64),
        Row("… before the array, libraries loaded", loaded, "MiB"),
        Row("the same content again: new bytes", bytes_kept() - before, "bytes", target=0),
    ]

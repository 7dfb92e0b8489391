"""Steps that do not wait for each other: the overhead of many, the speed-up of long ones."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor

from measure import cost, interleaved, tree_cpu_s
from report import Row

from zenlib import pipeline, step

WORKERS = 2
SPIN_S = 0.5
SPINS = 8


def spin(seconds: float) -> float:
    """Use this many seconds of CPU time, however long that takes on a busy machine."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(1000))
    return seconds


@step
def nothing(x: int) -> int:
    return x


@pipeline(progress=False)
def wide(start: int, n: int):
    return [nothing(start + i) for i in range(n)]


@step
def busy(seconds: float, number: int) -> float:
    return spin(seconds)


@pipeline(progress=False)
def long(start: int):
    return [busy(SPIN_S, start + i) for i in range(SPINS)]


starts = itertools.count(1_000_000, 1_000_000)


def rows(*, small: bool) -> list[Row]:
    """Measure with two workers; worker processes are warm except where it says cold."""
    os.environ["ZENLIB_ORCHESTRATOR__WORKERS"] = str(WORKERS)
    wide(next(starts), 10)
    cold = cost(lambda: long(next(starts)))  # opens the worker process
    many = interleaved(5, lambda: wide(next(starts), 200), clock=tree_cpu_s)[0]
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=spawning) as pool:

        def by_hand() -> None:
            list(pool.map(spin, [SPIN_S] * SPINS))

        by_hand()
        ours, raw = interleaved(
            2 if small else 3, lambda: long(next(starts)), by_hand, clock=tree_cpu_s
        )
    ideal_s = SPINS * SPIN_S / WORKERS
    title = f"{SPINS} steps of {SPIN_S} s CPU, {WORKERS} workers"
    share = "of ideal speed-up"
    return [
        Row("200 independent steps, wall, each", many.wall_s * 5, "ms", target=2),
        Row("200 independent steps, CPU, each", many.cpu_s * 5, "ms CPU", target=2),
        Row(title, ideal_s / ours.wall_s, share, target=0.9, at_least=True),
        Row(f"{title}: wall", ours.wall_s, "s", "raw process pool", raw.wall_s, 1 / 0.9),
        Row("the raw process pool itself", ideal_s / raw.wall_s, share),
        Row(f"{title}, cold", ideal_s / cold.wall_s, share),
    ]

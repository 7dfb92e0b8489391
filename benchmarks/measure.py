"""How the benchmarks measure: wall and CPU time, the smallest of interleaved repetitions."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

if sys.platform != "win32":
    import resource


def children_cpu_s() -> float:
    """Return the CPU seconds of the children that this process has waited for."""
    if sys.platform == "win32":
        # Windows keeps no account of ended children. Commands are waited for while nothing else
        # is done, so there the wall clock stands in.
        return time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cpu_s() -> float:
    """Return the CPU seconds of this process and of the children it has waited for."""
    own = time.process_time()
    return own if sys.platform == "win32" else own + children_cpu_s()


_looking_s = 0.0


def tree_cpu_s() -> float:
    """Return `cpu_s()` and the CPU seconds of the children that still live (warm workers).

    What it costs to look at the children is left out.
    """
    import psutil

    global _looking_s
    began = cpu_s()
    living_s = 0.0
    for child in psutil.Process().children(recursive=True):
        try:
            living_s += sum(child.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue  # it ended and was waited for between the two looks
    now = cpu_s()
    _looking_s += now - began
    return now + living_s - _looking_s


class Cost(NamedTuple):
    """What one execution cost."""

    wall_s: float
    cpu_s: float


def cost(action: Callable[[], object], clock: Callable[[], float] = cpu_s) -> Cost:
    """Return what an action cost; earlier rubbish is collected before, and files are flushed."""
    gc.collect()
    if hasattr(os, "sync"):
        os.sync()  # else the pages that an earlier action left are written during this one
    wall, cpu = time.perf_counter(), clock()
    action()
    return Cost(time.perf_counter() - wall, clock() - cpu)


def interleaved(
    times: int, *actions: Callable[[], object], clock: Callable[[], float] = cpu_s
) -> list[Cost]:
    """Run the actions in turn, A B A B …, and return the smallest costs of each.

    On a shared machine noise only ever adds, and it adds to neighbours in time alike: the
    smallest of several is the best estimate, and turns keep one subject from a quiet minute
    that the other did not have.
    """
    found: list[list[Cost]] = [[] for _ in actions]
    for _ in range(times):
        for action, costs in zip(actions, found, strict=True):
            costs.append(cost(action, clock))
    return [Cost(*map(min, zip(*costs, strict=True))) for costs in found]


def command(*words: str, **environment: str) -> Callable[[], object]:
    """Return an action that runs a command, which must succeed."""
    environment = warm_environment() | environment
    return lambda: subprocess.run(words, check=True, capture_output=True, env=environment)


def warm_environment() -> dict[str, str]:
    """Return the environment of a usual interpreter: compiled modules are written and found."""
    unset = ("PYTHONDONTWRITEBYTECODE", "PYTHONPROFILEIMPORTTIME", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if name not in unset}

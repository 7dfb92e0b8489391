"""What every script of `peers/` does: measure a chain of steps and print one line of JSON.

Standard library only, since those scripts run in environments of their own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from measure import interleaved, warm_environment


def imported(statement: str, *, times: int = 5) -> tuple[float, int]:
    """Return the CPU seconds and the number of loaded modules of an import statement.

    In a fresh interpreter each time, after one that wrote the compiled modules. The start of the
    interpreter itself is not in the seconds; its modules are in the number.
    """
    code = (
        "import sys, time\nbefore = time.process_time()\n"
        f"{statement}\n"
        "print(time.process_time() - before, len(sys.modules))"
    )
    seconds: list[float] = []
    for _ in range(times + 1):
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env=warm_environment(),
        )
        taken, modules = done.stdout.split()[-2:]
        seconds.append(float(taken))
    return min(seconds[1:]), int(modules)


def peer(
    distribution: str,
    statement: str,
    fresh: Callable[[int], object],
    hits: Callable[[int], object] | None,
    note: str,
    *,
    times: int = 3,
) -> None:
    """Measure a chain of tracked steps and print the JSON line that `peers.py` reads.

    In a warm process: chains of 10 and of 100 steps in turn, the smallest CPU time of each (this
    process and the children it waited for); a step costs (cpu(100) - cpu(10)) / 90, so that
    whatever a run costs by itself cancels.

    Args:
        distribution: whose version is named.
        statement: the import that a user of the tool begins with.
        fresh: runs a chain of n steps, none of which was seen before.
        hits: runs a chain of n steps again; None when the tool has no such thing.
        note: what a reader must know to compare.
    """

    def per_step_ms(chain: Callable[[int], object]) -> float:
        short, long = interleaved(times, lambda: chain(10), lambda: chain(100))
        return round((long.cpu_s - short.cpu_s) / 90 * 1000, 3)

    fresh(10)  # whatever is made at first use
    step_cpu_ms, hit_cpu_ms = per_step_ms(fresh), None
    if hits is not None:
        hits(10), hits(100)  # these compute what the following ones find
        hit_cpu_ms = per_step_ms(hits)
    import_cpu_s, import_modules = imported(statement, times=3)
    line = {
        "peer": Path(sys.argv[0]).stem,
        "version": version(distribution),
        "import_cpu_s": round(import_cpu_s, 4),
        "import_modules": import_modules,
        "step_cpu_ms": step_cpu_ms,
        "hit_cpu_ms": hit_cpu_ms,
        "note": note,
    }
    print(json.dumps(line), flush=True)

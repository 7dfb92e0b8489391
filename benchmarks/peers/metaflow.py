"""Metaflow: a linear flow of 100 steps on the local datastore; each step is a process."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from peer import peer

folder = Path(tempfile.mkdtemp())
environment = os.environ | {
    "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(folder),
    "METAFLOW_DEFAULT_METADATA": "local",
    "METAFLOW_USER": "bench",
    "METAFLOW_HOME": str(folder),
}


def flow_of(n: int) -> Path:
    """Write a flow of n steps; its graph is read from source, so it cannot be built in a loop."""
    lines = ["from metaflow import FlowSpec, step", "", f"class Chain{n}(FlowSpec):"]
    names = ["start", *(f"s{i}" for i in range(1, n - 1)), "end"]
    for i, name in enumerate(names):
        then = f"self.next(self.{names[i + 1]})" if i + 1 < n else "pass"
        lines += ["    @step", f"    def {name}(self):", f"        self.x = {i}", f"        {then}"]
    lines += ["", "if __name__ == '__main__':", f"    Chain{n}()", ""]
    path = folder / f"chain{n}.py"
    path.write_text("\n".join(lines))
    return path


flows = {n: flow_of(n) for n in (10, 100)}


def fresh(n: int) -> None:
    command = [sys.executable, str(flows[n]), "--quiet", "run"]
    subprocess.run(command, check=True, capture_output=True, env=environment, cwd=folder)


peer(
    "metaflow",
    "from metaflow import FlowSpec, step",
    fresh=fresh,
    hits=None,
    note="no reuse of results between runs; one process per step",
    times=1,
)

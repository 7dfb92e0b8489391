"""What zenlib costs: one table per subject, as ratios to a baseline measured in the same minute.

python benchmarks/bench.py [--only startup|chains|parallel|arrays|frames]… [--small] [--json]
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import warm_environment
from report import Row, table

SUBJECTS = {
    "startup": "Starting",
    "chains": "A chain of steps that do nothing",
    "parallel": "Independent steps",
    "arrays": "A large array",
    "frames": "A large data frame",
}


def in_own_process(subject: str, *, small: bool) -> list[Row]:
    """Measure a subject in a new process and a home folder of its own, which is deleted after."""
    command = [sys.executable, str(Path(__file__).resolve()), "--child", subject]
    with tempfile.TemporaryDirectory(prefix="zenlib-bench-", ignore_cleanup_errors=True) as folder:
        home = str(Path(folder).resolve())
        kept = {k: v for k, v in warm_environment().items() if not k.startswith("ZENLIB_")}
        done = subprocess.run(
            [*command, "--small"] if small else command,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            cwd=home,
            env=kept | {"ZENLIB_HOME": home},
        )
    return [Row(**row) for row in json.loads(done.stdout.splitlines()[-1])]


def measured(subject: str, *, small: bool) -> list[Row]:
    """Measure a subject in this process."""
    return importlib.import_module(subject).rows(small=small)


def main() -> None:
    """Print the tables; a missed target is said, and is no error: figures depend on the machine."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=list(SUBJECTS), metavar="SUBJECT")
    parser.add_argument("--small", action="store_true", help="128 MiB and 100,000 rows")
    parser.add_argument("--json", action="store_true", help="print one JSON array instead")
    parser.add_argument("--child", choices=list(SUBJECTS), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        rows = measured(chosen.child, small=chosen.small)
        print(json.dumps([vars(row) for row in rows]))
        return
    found: dict[str, list[Row]] = {}
    for subject in chosen.only or SUBJECTS:
        print(f"measuring {subject} …", file=sys.stderr)
        found[subject] = in_own_process(subject, small=chosen.small)
        if not chosen.json:
            print(f"## {SUBJECTS[subject]}\n\n{table(found[subject])}\n", flush=True)
    every = [row for rows in found.values() for row in rows]
    if chosen.json:
        print(json.dumps([row.to_json() for row in every], indent=2))
    missed = [row.subject for row in every if row.met is False]
    if missed:
        print(f"{len(missed)} targets missed: {'; '.join(missed)}", file=sys.stderr)


if __name__ == "__main__":
    main()

"""Where the command `zenlib` starts: the version is told without loading anything else."""

from __future__ import annotations

import os
import sys

from zenlib._version import __version__


def main() -> int:
    """Run the command line with `sys.argv` and return its exit code."""
    if sys.argv[1:] not in (["--version"], ["version"]):
        from zenlib.cli.main import cli

        return int(cli.main(prog_name="zenlib", standalone_mode=False) or 0)
    try:
        sys.stdout.write(f"zenlib {__version__}\n")
        sys.stdout.flush()
    except (AttributeError, OSError):  # no standard output, or nobody reads it any more
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
    return 0

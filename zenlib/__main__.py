"""`python -m zenlib` is the command `zenlib`."""

from __future__ import annotations

import sys

from zenlib.cli.entry import main

if __name__ == "__main__":
    sys.exit(main())

"""Print the digest of the step of each project folder given, in a process of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from project_files import fingerprint_of

if __name__ == "__main__":
    print(json.dumps([fingerprint_of(Path(root)).digest for root in sys.argv[1:]]))

"""What it costs to import zenlib, to decorate two functions, and to ask for the version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from measure import children_cpu_s, command, interleaved, warm_environment
from report import Row

TIMES = 20
DECORATING = """
from zenlib import step, pipeline
@step
def one(x: int) -> int:
    return x
@pipeline
def whole(x: int = 1):
    return one(x)
"""


FIRST_RUN = "import chains; chains.chain(1, 1)"


def modules(code: str) -> int:
    """Return how many modules are loaded after some code."""
    counted = code + "\nimport sys\nprint(len(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", counted],
        check=True,
        capture_output=True,
        text=True,
        env=warm_environment(),
    )
    return int(done.stdout)


def rows(*, small: bool) -> list[Row]:
    """Measure new processes against one that does nothing."""
    script = Path(sys.executable).with_name("zenlib.exe" if sys.platform == "win32" else "zenlib")
    actions = [
        command(sys.executable, "-c", "pass"),
        command(sys.executable, "-c", "import zenlib"),
        command(sys.executable, "-c", DECORATING),
        command(str(script), "--version"),
        command(sys.executable, "-c", FIRST_RUN, PYTHONPATH=str(Path(__file__).parent)),
    ]
    for action in actions:
        action()  # writes the compiled modules
    bare, importing, decorating, version, first = (
        found.cpu_s * 1000 for found in interleaved(TIMES, *actions, clock=children_cpu_s)
    )
    base = "bare interpreter"
    return [
        Row("import zenlib: modules loaded", modules("import zenlib"), "modules", target=120),
        Row("import zenlib", importing, "ms CPU", base, bare, 2),
        Row("import and decorate: modules", modules(DECORATING), "modules", target=120),
        Row("import and decorate", decorating, "ms CPU", base, bare, 2),
        Row("zenlib --version", version, "ms CPU", base, bare, 3),
        Row("a script that runs a pipeline of one step", first, "ms CPU", base, bare),
    ]

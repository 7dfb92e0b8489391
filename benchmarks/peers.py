"""Zenlib beside its peers: CPU per tracked step, per cache hit, and of the import.

Each peer gets an environment of its own under `benchmarks/.envs/`, made by uv at first use, and
runs in a home folder of its own that is deleted afterwards. `--only NAME` (repeatable) picks some.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import warm_environment
from report import markdown, number

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE / ".envs"
SECONDS = 900

PEERS = {
    "zenlib": (),  # the environment that runs this script
    "joblib": ("joblib",),
    "hamilton": ("sf-hamilton",),
    "prefect": ("prefect", "fastapi==0.139.*"),  # the oldest it allows; its server needs that one
    "kedro": ("kedro",),
    "redun": ("redun",),
    "dagster": ("dagster",),
    "zenml": ("zenml[local]",),
    "metaflow": ("metaflow",),
}


class Absent(Exception):
    """Why a peer has no figures."""


def uv() -> str:
    """Return the path of uv: beside this interpreter, or on PATH."""
    beside = Path(sys.executable).with_name("uv.exe" if sys.platform == "win32" else "uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise Absent("uv was not found: `pip install uv`")
    return found


def done(command: list[str], **options: object) -> str:
    """Return what a command prints; what it complains of, shortened, when it fails."""
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=True, **options
        )
    except subprocess.TimeoutExpired:
        raise Absent(f"still running after {SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        complaint = (error.stderr or error.stdout or "").strip().splitlines()
        last = next(
            (line.strip(" │╰╯─") for line in reversed(complaint) if line.strip(" │╰╯─")), ""
        )
        raise Absent(f"exit code {error.returncode}: {last[:160]}") from None
    except OSError as error:
        raise Absent(str(error)) from None
    return ran.stdout


def interpreter(name: str) -> str:
    """Return the interpreter of a peer's environment, which is made unless it is there."""
    wanted = PEERS[name]
    if not wanted:
        return sys.executable
    folder = ENVIRONMENTS / name
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    made = folder / "requirements.txt"  # written last: an environment without it is half-made
    if not (made.exists() and made.read_text() == "\n".join(wanted)):
        tool = uv()
        print(f"installing {' '.join(wanted)} …", file=sys.stderr)
        done([tool, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        # Compiled at once: else the first of the processes measured would pay for it.
        options = ["--quiet", "--compile-bytecode", "--python", str(python)]
        done([tool, "pip", "install", *options, *wanted])
        made.write_text("\n".join(wanted))
    return str(python)


def figures(name: str) -> dict[str, object]:
    """Return what the script of a peer printed; it has everything but the code in a temp home."""
    python = interpreter(name)
    print(f"measuring {name} …", file=sys.stderr)
    home = tempfile.mkdtemp(prefix=f"zenlib-bench-{name}-")
    places = ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "TMPDIR", "TEMP", "TMP")
    environment = {k: v for k, v in warm_environment().items() if not k.startswith("XDG_")}
    environment |= dict.fromkeys(places, home)
    environment |= {"PYTHONPATH": str(HERE), "NO_COLOR": "1", "ZENLIB_HOME": home}
    try:
        # -P: a script named like the peer must not be found in the place of the peer.
        command = [python, "-P", str(HERE / "peers" / f"{name}.py")]
        printed = done(command, cwd=home, env=environment)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    lines = [line for line in printed.splitlines() if line.startswith('{"peer"')]
    if not lines:
        raise Absent("the script printed no figures")
    return json.loads(lines[-1])


def cell(value: object, base: object) -> str:
    """Return a figure, and how many times the base it is."""
    if value is None:
        return "–"
    times = f" ({number(value / base)} ×)" if base else ""
    return number(value) + times


def line_of(row: dict[str, object], base: dict[str, object]) -> list[str]:
    """Return the cells of one peer; ratios are against zenlib measured in the same call."""
    if "absent" in row:
        return [row["peer"], "", "", "", "", f"not measured: {row['absent']}"]
    own = base if row["peer"] != "zenlib" else {}
    return [
        f"{row['peer']} {row['version']}",
        cell(row["step_cpu_ms"], own.get("step_cpu_ms")),
        cell(row["hit_cpu_ms"], own.get("hit_cpu_ms")),
        cell(row["import_cpu_s"], None),
        str(row["import_modules"]),
        row["note"],
    ]


HEAD = ["peer", "ms per step", "ms per hit", "import, s", "modules", "note"]


def main() -> None:
    """Measure the peers one after the other and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=list(PEERS), metavar="NAME")
    parser.add_argument("--json", action="store_true", help="print one JSON array instead")
    chosen = parser.parse_args()
    rows = []
    for name in chosen.only or PEERS:
        try:
            rows.append(figures(name))
        except Absent as why:
            rows.append({"peer": name, "absent": str(why)})
    if chosen.json:
        print(json.dumps(rows, indent=2))
        return
    base = next((r for r in rows if r["peer"] == "zenlib" and "absent" not in r), {})
    print("CPU time, chain of 100 steps; in brackets: times zenlib\n")
    print(markdown(HEAD, [line_of(row, base) for row in rows]))


if __name__ == "__main__":
    main()

"""Every example runs as it is, in a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def run(name: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *words],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize("name", [p.name for p in sorted(EXAMPLES.glob("*.py"))])
def test_an_example_runs_as_it_is(name, tmp_path):
    done = run(name, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout


def test_the_demo_keeps_its_project_in_a_folder_that_is_given(tmp_path):
    done = run("demo.py", tmp_path, "here")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "here" / ".zen" / "metadata.db").is_file()
    assert "All as expected" in done.stdout


def test_the_demo_fails_when_a_step_runs_that_should_not(tmp_path):
    changed = (EXAMPLES / "digits.py").read_text("utf-8").replace("@step\n", "@step(cache=False)\n")
    (tmp_path / "digits.py").write_text(changed, "utf-8")
    demo = tmp_path / "demo.py"
    demo.write_text((EXAMPLES / "demo.py").read_text("utf-8"), "utf-8")
    done = run(str(demo), tmp_path)
    assert done.returncode == 1
    assert "the demo failed" in done.stderr


def test_an_example_gives_the_same_again_from_the_cache(tmp_path):
    first, second = run("batches.py", tmp_path), run("batches.py", tmp_path)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert first.stdout == second.stdout

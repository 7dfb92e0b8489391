import os
import subprocess
import sys

import pytest

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX streams")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(shell, zen):
    found = zen("completion", shell)
    assert found.code == 0
    assert "_ZENLIB_COMPLETE" in found.out
    assert found.err == ""
    assert zen("completion", shell, "--json").json["script"].strip("\n") == found.out.strip("\n")


def complete(place, *words, cursor=None):
    env = {**os.environ, "_ZENLIB_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["zenlib", *words]), "COMP_CWORD": str(len(words) if cursor is None else cursor)}  # fmt: skip
    done = subprocess.run([sys.executable, "-m", "zenlib"], env=env, capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_commands_options_and_stack_names_are_completed(place):
    (place / "zenlib.toml").write_text("[stacks.production]\n[stacks.preview]\n[stacks.dev]\n")
    assert complete(place, "st") == ["stack"]
    assert complete(place, "stack", "set", "pr") == ["preview", "production"]
    assert complete(place, "stack", "list", "--js") == ["--json"]
    assert complete(place, "config", "get", "dur") == ["durability"]
    (place / "zenlib.toml").write_text("[broken")
    assert complete(place, "stack", "set", "pr") == []


@posix
def test_bash_accepts_the_script(zen, place):
    (place / "script").write_text(zen("completion", "bash").out)
    done = subprocess.run(["bash", "--norc", "-c", "source ./script && complete -p zenlib"], capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "_zenlib_completion" in done.stdout

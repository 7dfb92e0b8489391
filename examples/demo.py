"""The whole story in a minute: train, train again, change one number, compare.

    make demo                          in a temporary folder that is removed afterwards
    python examples/demo.py FOLDER     in a folder of yours, which keeps the history

It runs the pipeline of `examples/digits.py` through the command line, as you would, in a project of
its own. It ends with an error if anything is not as it says.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from zenlib import Client, Run

FIRST, SECOND = "c=0.01", "c=0.1"
ALL = ("load", "split", "fit", "evaluate")


def main() -> int:
    """Run the story and check it."""
    if len(sys.argv) > 1:
        return story(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return story(Path(folder))


def story(folder: Path) -> int:
    """Show each part in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_name("digits.py"), folder)
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith("ZENLIB_")]:
        del os.environ[name]  # the demo shows what a newcomer sees
    os.environ["ZENLIB_HOME"] = str(folder.resolve() / ".zen" / "home")
    zenlib("init", show=False)

    say("1. Train a classifier on scikit-learn's handwritten digits.")
    zenlib("run", "digits.py:training", "--param", FIRST)
    expect(newest(), ran=ALL)

    say("2. The same again: nothing has changed, so nothing runs.")
    zenlib("run", "digits.py:training", "--param", FIRST)
    expect(newest(), ran=())

    say("3. One parameter is changed. What would run, and why?")
    zenlib("run", "digits.py:training", "--param", SECOND, "--dry-run")

    say("4. Only what depends on it runs.")
    zenlib("run", "digits.py:training", "--param", SECOND)
    run = newest()
    expect(run, ran=("fit", "evaluate"))
    zenlib("runs", "why", "latest")

    say("5. What differs between the two runs?")
    zenlib("runs", "compare", "latest~1", "latest")
    changes = Client().compare(Client().runs()[1], run).changes
    check({"parameters", "metrics"} <= {change.section for change in changes}, "compare")

    say("6. The graph of the last run.")
    print(run.diagram(width=shutil.get_terminal_size().columns))

    say("7. Any output can be loaded again, at any time.")
    outputs = run.outputs.load()
    show('>>> Client().run("latest").outputs["model"].load()')
    print(outputs["model"])
    show('>>> Client().run("latest").outputs["accuracy"].load()')
    print(outputs["accuracy"])
    check(outputs["accuracy"] > 0.9, "the accuracy is above 0.9")
    check(run.steps["evaluate"].metrics["accuracy"] == outputs["accuracy"], "the metric")

    say("All as expected. Next: docs/quickstart.md, and the other files in examples/.")
    return 0


def zenlib(*words: str, show: bool = True) -> None:
    """Run a command of zenlib, and show it as one would type it."""
    if show:
        print(f"\n$ zenlib {' '.join(words)}", flush=True)
    output = None if show else subprocess.DEVNULL
    done = subprocess.run([sys.executable, "-m", "zenlib", *words], stdout=output, check=False)
    check(done.returncode == 0, f"`zenlib {' '.join(words)}` ends well")


def newest() -> Run:
    """Return the run that has just ended."""
    return Client().run("latest")


def expect(run: Run, *, ran: tuple[str, ...]) -> None:
    """Stop unless exactly these steps ran, and all others were hits."""
    found = {name: result.status.value for name, result in run.steps.items()}
    wanted = {name: "completed" if name in ran else "cached" for name in ALL}
    check(found == wanted, f"the steps should be {wanted}, and are {found}")


def check(ok: bool, what: str) -> None:
    """Stop with an error unless it is so."""
    if not ok:
        sys.exit(f"\nthe demo failed: {what}")


def say(text: str) -> None:
    """Write a headline."""
    bold = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    print(f"\n\x1b[1m{text}\x1b[0m" if bold else f"\n{text}", flush=True)


def show(text: str) -> None:
    """Write a line of code."""
    print(f"\n{text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""A step that fails now and then, one that hangs, one that would take Python with it, and hooks.

Shown here: `Retry`, `timeout`, `isolated`, `on_failure` and `on_success`, `fail="finish"`, and
what is left after a failure. The data are the wines that come with scikit-learn.
"""

import os
import time
from pathlib import Path
from tempfile import gettempdir
from typing import Annotated

import numpy as np
from sklearn.datasets import load_wine

from zenlib import Client, Retry, StepFailed, context, log, pipeline, step


@step(cache=False, retries=Retry(3, on=ConnectionError, delay=0.05))
def download() -> tuple[Annotated[np.ndarray, "x"], Annotated[np.ndarray, "y"]]:
    """Read the data; the first two tries fail, as a network does."""
    if context().attempt < 3:
        raise ConnectionError("the line is bad")
    return load_wine(return_X_y=True)


def tell(result) -> None:
    """Say that a step failed; a hook gets the step's result."""
    print(f"  hook: {result.node} {result.status}: {result.failure.type}")


@step(timeout=0.5, on_failure=tell)
def hang(x: np.ndarray) -> float:
    """Take far too long."""
    time.sleep(60)
    return float(x.mean())


@step(isolated=True, on_failure=tell)
def crash(x: np.ndarray) -> float:
    """End the process at once, as broken native code does: the caller survives it."""
    if not Path(gettempdir(), "no such file").exists():
        os._exit(3)
    return float(x.mean())


@step
def count(y: np.ndarray) -> list[int]:
    """Count the wines of each kind; it does not depend on what fails."""
    counts = np.bincount(y).tolist()
    log(kinds=len(counts))
    return counts


@pipeline(fail="finish")
def wines():
    """Do all that can be done."""
    x, y = download()
    return hang(x), crash(x), count(y)


if __name__ == "__main__":
    try:
        wines()
    except StepFailed as error:
        print(f"StepFailed: {error}\n")
        run = Client().run(error.run_id)
    print(run.diagram(), "\n")
    for name, result in run.steps.items():
        print(f"{name}: {result.status}, {len(result.attempts)} tries")
    print("kept all the same:", run.steps["count"].output.load())

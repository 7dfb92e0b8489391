"""A small project for the commands that run pipelines and look at their history."""

import linecache
import sys
import textwrap
from pathlib import Path

import pytest

TRAIN = """
from typing import Annotated

from zenlib import log, pipeline, step


@step
def load(n: int = 10) -> list[int]:
    print("loading", n)
    return list(range(n))


@step
def split(rows: list[int]) -> tuple[Annotated[list[int], "train"], Annotated[list[int], "test"]]:
    return rows[:-2], rows[-2:]


@step
def fit(rows: list[int], lr: float) -> Annotated[dict, "model"]:
    if lr > 5:
        raise ValueError("lr is too large")
    log(loss=1 / lr)
    return {"weight": sum(rows) * lr}


@step
def evaluate(model: dict, test: list[int]) -> float:
    return model["weight"] * len(test)


@pipeline
def training(lr: float = 0.5, n: int = 10):
    train, test = split(load(n))
    return evaluate(fit(train, lr), test)


if __name__ == "__main__":
    training()
"""


class Project:
    """Files in a folder, and the command line in this process."""

    def __init__(self, folder: Path, zen):
        self.folder, self.zen = folder, zen

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(textwrap.dedent(text), "utf-8")
        self.forget()
        return path

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text("utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def forget(self) -> None:
        """Unload the project's modules, as a new process would begin without them."""
        linecache.clearcache()
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file and Path(file).is_relative_to(self.folder):
                del sys.modules[name]

    def run(self, *args):
        self.forget()
        return self.zen("run", *args)


@pytest.fixture
def project(place, zen):
    """A folder with `train.py`, whose pipeline is `training`."""
    path = sys.path[:]
    made = Project(place, zen)
    made.write("train.py", TRAIN)
    yield made
    made.forget()
    sys.path[:] = path

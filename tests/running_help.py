"""Steps and helpers that several files of tests use."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple, TypedDict

from zenlib import (
    Stack,
    pipeline,
    step,
)


class Calls:
    """What steps did, noted in a file: a list in a global would be a part of their code."""

    def append(self, text: str) -> None:
        with open(os.environ["CALLS"], "a") as out:
            out.write(text + "\n")

    def clear(self) -> None:
        Path(os.environ["CALLS"]).write_text("")

    def list(self) -> "list[str]":
        return Path(os.environ["CALLS"]).read_text().splitlines()


calls = Calls()


def run_of(body, *args, **options):
    options.setdefault("name", "p")
    return pipeline(**options)(body)(*args)


def statuses(run) -> dict[str, str]:
    return {name: str(found.status) for name, found in run.all_steps.items()}


@step
def number(n: int = 1) -> int:
    return n


@step
def double(n: int) -> int:
    return 2 * n


@step
def total(numbers: list[int]) -> int:
    return sum(numbers)


class Pair(NamedTuple):
    left: int
    right: str


@dataclass
class Model:
    weights: list[float]
    rmse: float


class Table(TypedDict):
    rows: int
    name: str


@step
def pair() -> Pair:
    return Pair(1, "one")


@step
def model() -> Model:
    return Model([0.5], 0.25)


@step
def table() -> Table:
    return {"rows": 3, "name": "t"}


@step
def both(n: int) -> tuple[Annotated[int, "half"], Annotated[str, "name"]]:
    return n // 2, str(n)


@step
def describe(a: Pair, b: Model, c: Table) -> str:
    assert type(a) is Pair
    assert type(b) is Model
    return f"{a.left} {b.rmse} {c['rows']}"


@step
def checked(n: int, limit: int = 100) -> int:
    calls.append(f"checked {n}")
    if n >= limit:
        raise ValueError(f"{n} is too much")
    return 10 * n


def in_process(**options):
    return Stack(orchestrator={"type": "local", "workers": 1}, **options)


@step
def broken(n: int = 0) -> int:
    raise ValueError("what a pity")

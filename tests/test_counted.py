"""Fast paths, guarded by counting work: transactions, questions, bytes."""

import numpy as np
import pytest

from zenlib import Stack, pipeline, step
from zenlib.settings import load_stack
from zenlib.stack import open_stack


@step
def plus(n: int, salt: int = 0) -> int:
    return n + 1


def chain(length: int, salt: int = 0):
    value = 0
    for _ in range(length):
        value = plus(value, salt)
    return value


def row(length: int):
    return [plus(1000 + n) for n in range(length)]


ALONE = {"orchestrator": {"type": "local", "workers": 1}}


@pytest.fixture(autouse=True)
def _a_store_that_exists():
    counted(chain, 1, salt=-1)


def counted(body, *args, **kwargs):
    stack = load_stack(**ALONE)
    metadata = open_stack(stack).metadata
    before = metadata.statistics
    pipeline(name=body.__name__, stack=stack)(body)(*args, **kwargs)
    after = metadata.statistics
    return (
        after.transactions - before.transactions,
        after.statements - before.statements,
    )


def test_each_step_that_runs_is_exactly_one_write_transaction():
    short, _ = counted(chain, 5, salt=1)
    long, _ = counted(chain, 25, salt=2)
    assert long - short == 20


def test_a_run_adds_two_transactions_to_those_of_its_steps():
    transactions, _ = counted(chain, 10, salt=3)
    assert transactions == 10 + 2


@pytest.mark.parametrize("body", [chain, row])
def test_hits_cost_neither_transactions_nor_statements_of_their_own(body):
    for length in (10, 100):
        counted(body, length)
    few = counted(body, 10)
    counted(body, 100)
    many = counted(body, 100)
    assert few == counted(body, 10) or few[0] == 3
    assert many[0] == few[0] == 3
    assert many[1] <= few[1] + 2


def test_looking_up_a_level_takes_as_many_statements_as_looking_up_one():
    def fresh(length: int, start: int):
        return [plus(start + n) for n in range(length)]

    def per_level(length: int, start: int) -> int:
        _, statements = counted(fresh, length, start)
        return statements

    per_level(5, 5_000)
    few, many = per_level(5, 10_000), per_level(55, 20_000)
    per_step = (many - few) / 50
    # For each step: its own look-up under its claim, and the two inserts of its one transaction.
    assert per_step == 3


def test_the_same_content_again_writes_no_new_bytes(tmp_path):
    stack = Stack(metadata_store=tmp_path / "m.db", artifact_store=tmp_path / "a", **ALONE)

    @step
    def make(n: int) -> np.ndarray:
        return np.zeros(50_000)

    blobs = open_stack(stack).shelf.blobs
    pipeline(stack=stack)(lambda: make(1))()
    assert blobs.written_bytes >= 400_000
    before = blobs.written_bytes
    pipeline(stack=stack)(lambda: make(2))()
    assert blobs.written_bytes == before


def test_a_value_that_was_just_written_is_hashed_once_only(tmp_path):
    stack = Stack(metadata_store=tmp_path / "m.db", artifact_store=tmp_path / "a", **ALONE)

    @step
    def make() -> np.ndarray:
        return np.ones(50_000)

    @step
    def use(data: np.ndarray) -> float:
        return float(data.sum())

    blobs = open_stack(stack).shelf.blobs
    pipeline(stack=stack)(lambda: use(make()))()
    assert blobs.hashed_bytes == blobs.written_bytes


def test_planning_asks_the_store_nothing():
    metadata = open_stack(load_stack(**ALONE)).metadata
    before = metadata.statistics
    pipeline(chain).plan(10)
    assert metadata.statistics == before

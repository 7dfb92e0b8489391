"""Running: what becomes of values between steps, and of results between runs."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from running_help import (
    Model,
    Pair,
    both,
    calls,
    describe,
    double,
    model,
    number,
    pair,
    run_of,
    statuses,
    table,
    total,
)

import zenlib
from zenlib import (
    Stack,
    Status,
    pipeline,
    step,
)


@dataclass
class Computed:
    n: int
    doubled: int = field(init=False)

    def __post_init__(self):
        self.doubled = 2 * self.n


@step
def computed() -> Computed:
    return Computed(2)


def test_several_outputs_are_handed_on_whole_or_one_by_one():
    def body():
        one, name = both(4)
        found = model()
        return describe(pair(), found, table()), double(one), name, found.rmse

    run = run_of(body)
    assert run.status is Status.COMPLETED
    assert run.outputs.load() == ("1 0.25 3", 4, "4", 0.25)
    assert run.steps["both"].outputs["half"].load() == 2
    assert run.outputs["rmse"].load() == 0.25
    assert run.outputs[1].load() == 4


def test_what_the_pipeline_returns_keeps_its_shape():
    assert run_of(lambda: number(3)).outputs.load() == 3
    assert run_of(lambda: {"a": number(3), "b": [number(4), 5]}).outputs.load() == {
        "a": 3,
        "b": [4, 5],
    }
    assert run_of(lambda: (number(3), "x")).outputs.load() == (3, "x")


def test_a_record_that_the_pipeline_returns_comes_back_as_one():
    assert run_of(lambda: pair()).outputs.load() == Pair(1, "one")
    assert run_of(lambda: model()).outputs.load() == Model([0.5], 0.25)
    assert run_of(lambda: table()).outputs.load() == {"rows": 3, "name": "t"}
    found = run_of(lambda: [model(), computed()]).outputs.load()
    assert found == [Model([0.5], 0.25), {"n": 2}]


def test_a_pipeline_that_returns_nothing_has_no_outputs():
    def body():
        number(3)

    assert run_of(body).outputs is None


def test_a_numpy_array_arrives_read_only_and_unchanged():
    @step
    def make(n: int) -> np.ndarray:
        return np.arange(n, dtype=float)

    @step
    def spoil(data: np.ndarray) -> bool:
        with pytest.raises(ValueError, match="read-only"):
            data[0] = 99
        return True

    run = run_of(lambda: spoil(make(2000)))
    assert run.outputs.load() is True
    assert run.steps["make"].output.load()[0] == 0


def test_a_generator_step_stores_batches_and_a_list_arrives():
    @step
    def batches(n: int) -> Iterator[list[int]]:
        for place in range(n):
            calls.append(f"batch {place}")
            yield [place] * 2

    @step
    async def more(n: int) -> AsyncIterator[int]:
        for place in range(n):
            await asyncio.sleep(0)
            yield place

    @step
    def use(parts: list[list[int]], rest: list[int]) -> int:
        return sum(map(sum, parts)) + sum(rest)

    def body():
        parts = batches(3)
        return use(parts, more(4)), total.map(parts)

    run = run_of(body)
    assert run.outputs.load() == (12, [0, 2, 4])


def test_async_steps_run_here_and_under_a_running_loop():
    @step
    async def slow(n: int) -> int:
        await asyncio.sleep(0.001)
        assert zenlib.context().step == "slow"
        return n

    assert run_of(lambda: slow(1)).outputs.load() == 1

    async def notebook():
        return run_of(lambda: slow(2)).outputs.load()

    assert asyncio.run(notebook()) == 2


def test_a_large_argument_that_is_no_json_is_an_input_by_content():
    @step
    def add_up(data: np.ndarray) -> float:
        calls.append("add_up")
        return float(data.sum())

    @pipeline
    def p(data: np.ndarray):
        return add_up(data)

    assert p(np.ones(10)).outputs.load() == 10
    assert p(np.ones(10)).steps["add_up"].status is Status.CACHED
    assert p(np.zeros(10)).outputs.load() == 0
    assert calls.list() == ["add_up", "add_up"]


def test_a_second_run_is_all_hits_and_computes_nothing():
    @step
    def note(n: int) -> int:
        calls.append("note")
        return n

    def body():
        return double(note(1))

    run_of(body)
    again = run_of(body)
    assert statuses(again) == {"note": "cached", "double": "cached"}
    assert again.outputs.load() == 2
    assert calls.list() == ["note"]


def test_a_step_that_gives_the_same_bytes_wakes_nothing_below():
    @step
    def clipped(n: int) -> int:
        return min(n, 10)

    def body(n: int):
        return double(clipped(n))

    run_of(body, 10)
    assert statuses(run_of(body, 11)) == {"clipped": "completed", "double": "cached"}


def test_only_what_depends_on_a_changed_parameter_runs():
    def body(n: int, k: int):
        return double(number(n)), double(number(k))

    run_of(body, 1, 2)
    found = statuses(run_of(body, 1, 3))
    assert found == {
        "number": "cached",
        "number_2": "completed",
        "double": "cached",
        "double_2": "completed",
    }


def test_two_equal_calls_in_one_run_are_computed_once():
    @step
    def note(n: int) -> int:
        calls.append("note")
        return n

    run = run_of(
        lambda: (note(1), double(note(1))),
        stack=Stack(orchestrator={"type": "local", "workers": 1}),
    )
    assert calls.list() == ["note"]
    assert sorted(statuses(run).values()) == ["cached", "completed", "completed"]


def test_hits_are_found_across_pipelines():
    run_of(lambda: number(77), name="one")
    assert statuses(run_of(lambda: number(77), name="other")) == {"number": "cached"}


def test_a_path_given_to_a_step_counts_by_what_it_leads_to(tmp_path):
    file, folder = tmp_path / "rows.csv", tmp_path / "parts"
    file.write_text("a")
    folder.mkdir()
    (folder / "one").write_text("1")

    @step
    def read(file: Path, parts: Path, target: Path) -> str:
        return file.read_text() + "".join(p.read_text() for p in sorted(parts.iterdir()))

    def body():
        return read(file, folder, tmp_path / "is not there")

    assert run_of(body).outputs.load() == "a1"
    assert statuses(run_of(body)) == {"read": "cached"}
    file.write_text("b")
    run = run_of(body)
    assert run.outputs.load() == "b1"
    assert "rows.csv changed (parameter file)" in str(run.why("read"))
    (folder / "two").write_text("2")
    assert run_of(body).outputs.load() == "b12"
    (folder / "link").symlink_to(folder / "two")
    for _ in range(2):
        run = run_of(body)
        assert statuses(run) == {"read": "completed"}
    assert "not cached" in str(run.why("read"))
    assert "parts" in str(run.why("read"))

"""Mapping a step over lists, and conditions."""

import numpy as np
import pytest
from running_help import (
    Model,
    calls,
    checked,
    double,
    in_process,
    number,
    run_of,
    statuses,
    total,
)

from zenlib import (
    Client,
    Invalid,
    Status,
    StepFailed,
    either,
    pipeline,
    step,
    unmapped,
    when,
)


def test_map_runs_one_node_per_element_and_a_step_collects():
    @step
    def upto(n: int) -> list[int]:
        return list(range(n))

    run = run_of(lambda: total(checked.map(upto(3))))
    assert run.outputs.load() == 30
    assert [item.node for item in run.steps["checked"].items] == [
        "checked[0]",
        "checked[1]",
        "checked[2]",
    ]
    assert run.steps["checked"].outputs["output"].load() == [0, 10, 20]


def test_map_zips_and_product_combines():
    @step
    def pair_up(a: int, b: str, c: list[int]) -> str:
        return f"{a}{b}{len(c)}"

    def body():
        zipped = pair_up.map([1, 2], ["x", "y"], unmapped([0, 0]))
        return zipped, pair_up.product([1, 2], ["x", "y"], c=unmapped([]))

    assert run_of(body).outputs.load() == (["1x2", "2y2"], ["1x0", "1y0", "2x0", "2y0"])


def test_maps_follow_each_other_item_by_item():
    run = run_of(lambda: total(double.map(checked.map([1, 2]))))
    assert run.outputs.load() == 60


def test_several_outputs_of_a_mapped_step_are_collected_as_a_list_of_what_it_returns():
    @step
    def make(n: int) -> Model:
        return Model([float(n)], n / 4)

    @step
    def pairs(n: int) -> tuple[int, str]:
        return n, str(n)

    @step
    def add(models: list[Model], others: list[tuple[int, str]]) -> float:
        assert all(type(model) is Model for model in models)
        return sum(model.rmse for model in models) + sum(n for n, _ in others)

    @step
    def rmse(model: Model) -> float:
        return model.rmse

    def body():
        models = make.map([1, 2])
        return add(models, pairs.map([3, 4])), rmse.map(models), models.rmse

    assert run_of(body).outputs.load() == (7.75, [0.25, 0.5], [0.25, 0.5])
    with pytest.raises(Invalid, match="takes Model, but is given what step 'make' returns"):
        pipeline(lambda: rmse(make.map([1, 2]))).plan()
    with pytest.raises(Invalid, match="takes int, but is given what step 'make' returns"):
        pipeline(lambda: double(make(1))).plan()


def test_mapping_an_empty_list_gives_an_empty_list():
    @step
    def none() -> list[int]:
        return []

    run = run_of(lambda: total(checked.map(none())))
    assert run.outputs.load() == 0
    assert run.steps["checked"].status is Status.COMPLETED


def test_lists_of_different_lengths_known_at_run_time_fail_the_step():
    @step
    def upto(n: int) -> list[int]:
        return list(range(n))

    @step
    def add(a: int, b: int) -> int:
        return a + b

    with pytest.raises(StepFailed, match="different lengths: a has 2, b has 3"):
        run_of(lambda: add.map(upto(2), upto(3)))


def test_items_of_a_map_that_completed_are_kept_and_only_failed_ones_run_again():
    def body(limit: int):
        return total(checked.map([1, 2, 3], limit))

    with pytest.raises(StepFailed, match="3 is too much") as caught:
        run_of(body, 3, stack=in_process(), fail="finish")
    failed = Client(in_process()).run(caught.value.run_id)
    assert statuses(failed) == {
        "checked[0]": "completed",
        "checked[1]": "completed",
        "checked[2]": "failed",
        "total": "skipped",
    }
    assert failed.steps["checked"].outputs["output"].load() == [10, 20]
    calls.clear()
    with pytest.raises(StepFailed):
        run_of(body, 3, stack=in_process(), fail="finish")
    assert calls.list() == ["checked 3"]


def test_map_over_a_list_of_arrays_needs_no_copy_of_the_list():
    @step
    def arrays() -> list[np.ndarray]:
        return [np.full(1000, value, dtype=float) for value in (1.0, 2.0)]

    @step
    def mean(data: np.ndarray) -> float:
        return float(data.mean())

    assert run_of(lambda: mean.map(arrays())).outputs.load() == [1.0, 2.0]


# Conditions.


def test_a_condition_chooses_a_branch_and_either_joins_them():
    @step
    def big(n: int) -> bool:
        return n > 10

    def body(n: int):
        is_big = big(n)
        with when(is_big):
            large = double(n)
        with when(is_big, is_=False):
            small = number(n)
        return number(either(large, small))

    run = run_of(body, 20)
    assert run.outputs.load() == 40
    assert statuses(run)["number"] == "skipped"
    run = run_of(body, 2)
    assert run.outputs.load() == 2
    assert statuses(run)["double"] == "skipped"
    assert "condition big.output is False" in str(run.why("double"))


def test_what_needs_a_skipped_step_is_skipped_too():
    @step
    def no() -> bool:
        return False

    def body():
        with when(no()):
            one = number(1)
        return double(one)

    run = run_of(body)
    assert run.status is Status.COMPLETED
    assert statuses(run) == {"no": "completed", "number": "skipped", "double": "skipped"}
    assert run.outputs is None

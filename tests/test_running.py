"""Running: what becomes of steps, their outputs and their failures."""

import asyncio
import os
import shutil
import warnings
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple, TypedDict

import numpy as np
import pytest

import zenlib
from zenlib import (
    Client,
    Invalid,
    NotFound,
    NotSerializable,
    Retry,
    Stack,
    Status,
    StepFailed,
    either,
    pipeline,
    step,
    unmapped,
    when,
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


@pytest.fixture(autouse=True)
def _no_calls(tmp_path, monkeypatch):
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    calls.clear()


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


# Outputs.


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


# The cache, end to end (the table of cases is in test_cache_cases.py).


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


# Mapping.


@step
def checked(n: int, limit: int = 100) -> int:
    calls.append(f"checked {n}")
    if n >= limit:
        raise ValueError(f"{n} is too much")
    return 10 * n


def in_process(**options):
    return Stack(orchestrator={"type": "local", "workers": 1}, **options)


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


# Failure.


@step
def broken(n: int = 0) -> int:
    raise ValueError("what a pity")


def test_a_failure_names_step_run_and_cause_and_keeps_what_completed():
    with pytest.raises(
        StepFailed, match="step 'broken' of run .* failed: ValueError: what a pity"
    ) as caught:
        run_of(lambda: double(broken(number(1))))
    assert isinstance(caught.value.__cause__, ValueError)
    run = Client().run(caught.value.run_id)
    assert run.status is Status.FAILED
    assert statuses(run) == {"number": "completed", "broken": "failed", "double": "skipped"}
    failure = run.steps["broken"].failure
    assert failure.type == "ValueError"
    assert "in broken" in failure.traceback
    assert "engine.py" not in failure.traceback
    assert "engine.py" in failure.full_traceback


def test_fail_fast_starts_nothing_more_and_finish_goes_on_beside():
    def body():
        broken()
        return double(number(5)), double(number(6))

    one_worker = in_process()
    with pytest.raises(StepFailed) as caught:
        run_of(body, stack=one_worker)
    fast = statuses(Client(one_worker).run(caught.value.run_id))
    assert fast["broken"] == "failed"
    assert "cancelled" in fast.values()
    with pytest.raises(StepFailed) as caught:
        run_of(body, stack=one_worker, fail="finish")
    finish = statuses(Client(one_worker).run(caught.value.run_id))
    assert finish["double"] in ("completed", "cached")
    assert finish["double_2"] in ("completed", "cached")


def test_retries_repeat_what_is_worth_repeating():
    @step(retries=Retry(3, on=(ConnectionError,), delay=0))
    def shaky() -> int:
        calls.append("shaky")
        if len(calls.list()) < 3:
            raise ConnectionError("later")
        return len(calls.list())

    run = run_of(lambda: shaky())
    assert run.outputs.load() == 3
    attempts = run.steps["shaky"].attempts
    assert [bool(attempt.failure) for attempt in attempts] == [True, True, False]

    @step(retries=Retry(3, on=ConnectionError, delay=0))
    def wrong() -> int:
        calls.append("wrong")
        raise TypeError("never worth it")

    with pytest.raises(StepFailed, match="TypeError"):
        run_of(lambda: wrong())
    assert calls.list().count("wrong") == 1


def test_retries_that_are_used_up_fail_with_all_attempts_recorded():
    @step(retries=Retry(2, delay=0))
    def hopeless() -> int:
        raise RuntimeError("no")

    with pytest.raises(StepFailed) as caught:
        run_of(lambda: hopeless())
    run = Client().run(caught.value.run_id)
    assert len(run.steps["hopeless"].attempts) == 3


def test_wrong_options_are_refused_at_once():
    for make in (
        lambda: Retry(-1),
        lambda: Retry(backoff=0.5),
        lambda: Retry(on=("ValueError",)),
        lambda: step(timeout=0),
        lambda: step(expires=-1),
        lambda: step(tags="one"),
        lambda: step(name="")(number.fn),
        lambda: step(name="x" * 201)(number.fn),
        lambda: pipeline(fail="never"),
        lambda: pipeline(name="")(number.fn),
    ):
        with pytest.raises(Invalid):
            make()
    with pytest.raises(TypeError, match="retrys"):
        step(retrys=1)


def test_sys_exit_and_endless_recursion_in_a_step_fail_it():
    @step
    def leave() -> int:
        raise SystemExit(3)

    @step
    def deep(n: int = 0) -> int:
        return deep.fn(n + 1)

    for one, message in ((leave, "SystemExit: 3"), (deep, "RecursionError")):
        with pytest.raises(StepFailed, match=message):
            run_of(lambda one=one: one())


def test_an_output_of_another_type_than_declared_fails_and_stores_nothing():
    @step
    def liar() -> int:
        return "no number"

    @step
    def short() -> tuple[int, int]:
        return (1,)

    with pytest.raises(
        StepFailed, match="output 'output' of step 'liar' must be int, but is 'no number'"
    ):
        run_of(lambda: liar())
    with pytest.raises(StepFailed, match="step 'short' must return a tuple of 2"):
        run_of(lambda: short())
    assert Client().artifacts() == []


def test_an_output_that_cannot_be_kept_names_step_output_type_and_remedy():
    @step
    def opened() -> object:
        return (n for n in range(3))

    with pytest.raises(StepFailed, match="output 'output' of step 'opened'.*generator") as caught:
        run_of(lambda: opened())
    assert isinstance(caught.value.__cause__, NotSerializable)


def test_a_step_on_an_unknown_operator_is_refused_before_anything_runs():
    @step(on="gpu")
    def train() -> int:
        return 1

    with pytest.raises(Invalid, match="no step operator"):
        run_of(lambda: train())
    assert Client().runs() == []


def test_a_step_cannot_be_a_method():
    class Thing:
        @step
        def method(self) -> int:
            return 1

    with pytest.raises(Invalid, match="is a method"):
        Thing().method()


# Hooks, metrics, context.


def test_hooks_are_called_after_success_failure_and_hit():
    seen = []

    @step(
        on_success=lambda result: seen.append(("success", result.output.load())),
        on_hit=lambda r: seen.append(("hit", r.node)),
    )
    def good() -> int:
        return 4

    @step(on_failure=lambda result: seen.append(("failure", result.failure.message)))
    def bad() -> int:
        raise ValueError("oh")

    run_of(lambda: good())
    run_of(lambda: good())
    with pytest.raises(StepFailed):
        run_of(lambda: bad())
    assert seen == [("success", 4), ("hit", "good"), ("failure", "oh")]


def test_pipeline_hooks_get_the_run():
    seen = []
    run_of(lambda: number(1), on_success=lambda run: seen.append(run.status))
    with pytest.raises(StepFailed):
        run_of(lambda: broken(), on_failure=lambda run: seen.append(run.status))
    assert seen == [Status.COMPLETED, Status.FAILED]


def test_a_hook_that_fails_is_told_and_changes_nothing():
    def hook(result):
        raise RuntimeError("hook trouble")

    @step(on_success=hook)
    def fine() -> int:
        return 1

    with pytest.warns(RuntimeWarning, match="hook hook of fine raised RuntimeError"):
        assert run_of(lambda: fine()).status is Status.COMPLETED


def test_metrics_are_kept_with_the_step_and_shown_by_compare():
    @step
    def fit(lr: float) -> float:
        for epoch in range(3):
            zenlib.log(loss=lr / (epoch + 1), step=epoch)
        zenlib.log(accuracy=1 - lr)
        return lr

    def body(lr: float):
        return fit(lr)

    a, b = run_of(body, 0.1), run_of(body, 0.4)
    assert a.steps["fit"].metrics == {"loss": pytest.approx(0.1 / 3), "accuracy": 0.9}
    assert len(a.steps["fit"].record.metrics["loss"]["points"]) == 3
    text = str(Client().compare(a, b))
    assert "lr" in text
    assert "accuracy" in text
    assert "-0.3" in text


def test_metrics_must_be_finite_numbers_and_context_needs_a_step():
    with pytest.raises(Invalid, match="finite"):
        zenlib.log(loss=float("nan"))
    with pytest.raises(Invalid, match="is for the code of a step"):
        zenlib.context()


# Asking.


def test_runs_are_found_by_pipeline_status_tag_and_prefix():
    run_of(lambda: number(1), name="a", tags=["nightly"])
    second = run_of(lambda: number(2), name="b")
    with pytest.raises(StepFailed):
        run_of(lambda: broken(), name="b")
    client = Client()
    assert len(client.runs()) == 3
    assert [run.id for run in client.runs(pipeline="b", status="completed")] == [second.id]
    assert [run.pipeline for run in client.runs(tag="nightly")] == ["a"]
    assert client.run(second.id[:20]).id == second.id
    assert client.run(second.id.replace("-", "")).id == second.id
    assert client.run("latest").status is Status.FAILED
    for id in ("0000", "no id!", ""):
        with pytest.raises(NotFound):
            client.run(id)
    with pytest.raises(Invalid, match="several runs"):
        client.run(second.id[:3])
    with pytest.raises(Invalid, match="no status 'done'"):
        client.runs(status="done")


def test_artifacts_have_versions_that_count_up():
    def body(n: int):
        half, _ = both(n)
        return half

    run_of(body, 2), run_of(body, 4)
    client = Client()
    assert client.artifact("half").load() == 2
    assert client.artifact("half", version=1).load() == 1
    assert client.artifact("half").version == 2
    assert [a.version for a in client.artifacts("half")] == [2, 1]
    with pytest.raises(NotFound, match="no artifact 'half' version 3"):
        client.artifact("half", version=3)


def test_a_plan_explains_what_would_run_and_executes_nothing():
    @step
    def note(n: int) -> int:
        calls.append("note")
        return n

    @pipeline(name="planned")
    def body(n: int):
        return double(note(n))

    text = str(body.plan(1).explain())
    assert "first run of this step" in text
    assert "needs note" in text
    assert calls.list() == []
    body(1)
    assert [step.why.verdict for step in body.plan(1).explain().steps] == ["cached", "cached"]
    assert "parameter n: 1 → 2" in str(body.plan(2).explain())
    assert body.plan(2).explain().steps[0].last_us is not None
    assert calls.list() == ["note"]
    assert len(Client().runs()) == 1


def test_a_plan_is_what_then_runs():
    plan = pipeline(name="x")(lambda: double(number(3))).plan()
    assert plan.run().outputs.load() == 6
    assert "number" in plan.mermaid()
    assert "number" in plan.diagram(width=60)


def test_a_run_draws_itself():
    run = run_of(lambda: double(number(3)))
    assert "double" in run.diagram(width=80)


def test_submit_returns_at_once_and_wait_gives_the_run():
    handle = pipeline(name="later")(lambda: double(number(8))).submit()
    assert handle.wait(60).outputs.load() == 16
    assert handle.status() is Status.COMPLETED


def test_a_pipeline_started_by_a_step_is_a_run_of_its_own():
    @pipeline(name="inside")
    def inside(n: int):
        return double(n)

    @step(cache=False)
    def outer(n: int) -> int:
        return inside(n).outputs.load()

    assert run_of(lambda: outer(4)).outputs.load() == 8
    assert {run.pipeline for run in Client().runs()} == {"p", "inside"}


def test_a_memory_stack_leaves_nothing_on_the_disk(home):
    stack = Stack(metadata_store="memory", artifact_store="memory://")
    run = run_of(lambda: double.map([1, 2]), stack=stack)
    assert run.outputs.load() == [2, 4]
    assert not [found for found in home.rglob("*") if found.is_file()]


def test_a_history_that_is_deleted_between_runs_begins_anew(home):
    assert run_of(lambda: double(number(1))).outputs.load() == 2
    shutil.rmtree(home / "data")
    run = run_of(lambda: double(number(1)))
    assert statuses(run) == {"number": "completed", "double": "completed"}
    assert [found.id for found in Client().runs()] == [run.id]
    assert (home / "data" / "metadata.db").exists()


def test_hostile_names_go_through_a_whole_run():
    for name in ("a b", "a/b", "x" * 200, "🐙", "a[b]", "..", "con", "quote'\"", "Ä"):
        run = pipeline(name=name)(lambda name=name: step(name=name)(number.fn)(1))()
        assert Client().run(run.id).pipeline == name
        assert [*run.steps] == [name]
    for name in ("nul\x00", "new\nline", "x" * 10_000, "\ud800"):
        with pytest.raises(Invalid, match="printable characters"):
            step(name=name)(number.fn)


def test_warnings_stay_quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_of(lambda: double(number(9)))

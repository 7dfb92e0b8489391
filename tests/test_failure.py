"""Failure, retries, hooks, metrics."""

import pytest
from running_help import (
    broken,
    calls,
    double,
    in_process,
    number,
    run_of,
    statuses,
)

import zenlib
from zenlib import (
    Client,
    Invalid,
    NotSerializable,
    Retry,
    Status,
    StepFailed,
    pipeline,
    step,
)


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

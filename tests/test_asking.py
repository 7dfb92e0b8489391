"""Asking: runs, artifacts, plans; and odd places to run from."""

import shutil
import warnings

import pytest
from running_help import (
    both,
    broken,
    calls,
    double,
    number,
    run_of,
    statuses,
)

from zenlib import (
    Client,
    Invalid,
    NotFound,
    Stack,
    Status,
    StepFailed,
    pipeline,
    step,
)


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
    assert plan.svg().startswith("<svg")
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

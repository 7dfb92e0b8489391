"""Damaged values: a run computes them again and completes, a load refuses them."""

from pathlib import Path

import numpy as np
import pytest
from faults import world
from faults.world import (
    add_up,
    add_up_elsewhere,
    alone,
    blobs,
    check_history,
    flip,
    numbers,
    one,
    plus_one,
    run_of,
    statuses,
    total,
)

from zenlib import Client, Status, StepFailed, step, unmapped
from zenlib.errors import CorruptArtifact


def test_one_flipped_bit_below_a_hit_is_computed_again_and_the_run_completes(home):
    def body(k: int):
        return add_up(numbers(1000), k)

    run_of(body, 1)
    (blob,) = blobs(home)
    before = blob.read_bytes()
    flip(blob)
    run = run_of(body, 2)
    assert statuses(run) == {"numbers": "completed", "add_up": "completed"}
    assert run.outputs.load() == 499_502
    assert "files of its result were damaged; add_up needs them" in str(run.why("numbers"))
    assert "parameter k: 1 → 2" in str(run.why("add_up"))
    assert blob.read_bytes() == before
    assert statuses(run_of(body, 3))["numbers"] == "cached"
    assert check_history(home) == ["completed"] * 3


def test_a_chain_of_damaged_hits_is_computed_again_from_its_beginning(home):
    def body(k: int):
        return add_up(plus_one(plus_one(numbers(1000))), k)

    run_of(body, 1)
    for blob in blobs(home):
        flip(blob)
    run = run_of(body, 2)
    assert set(statuses(run).values()) == {"completed"}
    assert run.outputs.load() == 501_502
    assert len(run.step_runs) == 4, "no record is left of the hits that were taken back"
    assert list(statuses(run_of(body, 3)).values()) == ["cached"] * 3 + ["completed"]
    assert check_history(home) == ["completed"] * 3


def test_only_the_damaged_item_of_a_map_is_computed_again(home):
    def body(k: int):
        return total(add_up.map(plus_one.map([*map(numbers, (500, 600, 700))]), k))

    run_of(body, 1, stack=alone())
    digest = Client(alone()).run("latest").steps["plus_one"].items[1].output.content.files
    damaged = [b for b in blobs(home) if any(f.digest.endswith(b.name) for f in digest.values())]
    flip(damaged[0])
    run = run_of(body, 2, stack=alone())
    assert {name: s for name, s in statuses(run).items() if name.startswith("plus_one")} == {
        "plus_one[0]": "cached",
        "plus_one[1]": "completed",
        "plus_one[2]": "cached",
    }
    assert len(run.steps["plus_one"].items) == 3
    assert run.outputs.load() == sum(n * (n + 1) / 2 + 2 for n in (500, 600, 700))
    check_history(home)


def test_one_damaged_input_of_many_items_is_computed_again_once(home, tmp_path):
    made = tmp_path / "made"

    @step(ignore=["made"])
    def shared(made: Path) -> np.ndarray:
        with made.open("a") as out:
            out.write("x")
        return np.ones(2000)

    def body(k: int):
        return add_up.map(unmapped(shared(made)), [k, k + 1, k + 2, k + 3])

    run_of(body, 1)
    flip(blobs(home)[0])
    assert run_of(body, 10).outputs.load() == [2010, 2011, 2012, 2013]
    assert made.read_text() == "xx"
    check_history(home)


def test_a_damaged_list_that_is_mapped_over_is_computed_again(home):
    @step
    def words(n: int) -> list[str]:
        return [f"word {place} of a list that is too long for a record" for place in range(n)]

    @step
    def length(word: str, k: int) -> int:
        return len(word) + k

    def body(k: int):
        return length.map(words(200), k)

    run_of(body, 0, stack=alone())
    flip(max(blobs(home), key=lambda blob: blob.stat().st_size))
    run = run_of(body, 1, stack=alone())
    assert run.steps["words"].status is Status.COMPLETED
    assert run.outputs.load() == [len(word) + 1 for word in words.fn(200)]
    check_history(home, Client(alone()))


def test_a_worker_process_that_finds_the_damage_is_given_the_repaired_value(home):
    def body(k: int):
        return add_up_elsewhere(plus_one(numbers(1000)), k)

    run_of(body, 1)
    for blob in blobs(home):
        flip(blob)
    run = run_of(body, 2)
    assert set(statuses(run).values()) == {"completed"}
    assert run.outputs.load() == 500_502
    check_history(home)


def test_a_step_beside_that_waits_for_the_same_damaged_hit_is_not_skipped(home):
    @step
    def both(a: np.ndarray, b: float) -> float:
        return float(a[-1]) + b

    def body(k: int):
        data = numbers(1000)
        return both(data, add_up(data, k))

    run_of(body, 1, stack=alone())
    flip(blobs(home)[0])
    run = run_of(body, 2, stack=alone())
    assert set(statuses(run).values()) == {"completed"}
    assert run.outputs.load() == 999 + 499_502


def test_a_step_that_makes_something_else_this_time_feeds_what_it_made(home, tmp_path):
    marker = tmp_path / "marker"

    @step(ignore=["marker"])
    def fickle(marker: Path) -> np.ndarray:
        again = marker.exists()
        marker.write_text("made")
        return np.full(1000, 2.0 if again else 1.0)

    def body(k: int):
        return add_up(fickle(marker), k)

    assert run_of(body, 0).outputs.load() == 1000
    flip(blobs(home)[0])
    run = run_of(body, 1)
    assert run.outputs.load() == 2001
    assert run.steps["add_up"].record.key["inputs"]["data"][0] == run.steps["fickle"].output.digest


def test_a_damaged_list_that_has_another_length_now_fails_in_words_and_a_rerun_is_whole(
    home, tmp_path
):
    marker = tmp_path / "marker"

    @step(ignore=["marker"])
    def arrays(marker: Path) -> list[np.ndarray]:
        again = marker.exists()
        marker.write_text("made")
        return [np.full(1000, float(value)) for value in range(3 if again else 2)]

    def body(k: int):
        return add_up.map(arrays(marker), k)

    assert run_of(body, 1, stack=alone()).outputs.load() == [1, 1001]
    flip(blobs(home)[0])
    words = (
        "mapped over was damaged and has been computed again, and now has 3 elements instead of 2"
    )
    with pytest.raises(StepFailed, match=words):
        run_of(body, 2, stack=alone())
    assert run_of(body, 2, stack=alone()).outputs.load() == [2, 1002, 2002]


def test_a_damaged_hit_whose_step_now_fails_fails_the_run_and_skips_what_needs_it(home, tmp_path):
    marker = tmp_path / "marker"

    @step(ignore=["marker"])
    def once(marker: Path) -> np.ndarray:
        if marker.exists():
            raise ValueError("not twice")
        marker.write_text("made")
        return np.ones(1000)

    def body(k: int):
        return add_up(once(marker), k), one(k)

    run_of(body, 1, fail="finish")
    flip(blobs(home)[0])
    with pytest.raises(StepFailed, match="step 'once' of run .* not twice") as caught:
        run_of(body, 2, fail="finish")
    run = Client().run(caught.value.run_id)
    assert statuses(run) == {"once": "failed", "add_up": "skipped", "one": "completed"}
    marker.unlink()
    assert run_of(body, 3).outputs.load() == (1003, 3)
    check_history(home)


def test_damage_that_comes_back_fails_the_step_instead_of_going_on_for_ever(home, monkeypatch):
    from zenlib.artifacts.blobs import Blobs

    def body(k: int):
        return add_up(numbers(1000), k)

    run_of(body, 1, stack=alone())
    flip(blobs(home)[0])
    keep = Blobs.keep

    def keep_and_damage(self, file, temp):
        keep(self, file, temp)
        flip(blobs(home)[0])

    monkeypatch.setattr(Blobs, "keep", keep_and_damage)
    with pytest.raises(StepFailed, match="has other bytes than were recorded") as caught:
        run_of(body, 2, stack=alone())
    assert isinstance(caught.value.__cause__, CorruptArtifact)
    monkeypatch.undo()
    assert run_of(body, 2, stack=alone()).outputs.load() == 499_502


def test_a_step_that_loads_a_damaged_artifact_by_itself_fails_and_is_not_repeated(home, tmp_path):
    def body():
        return numbers(1000)

    run_of(body)
    flip(blobs(home)[0])
    log = tmp_path / "log"

    @step
    def by_itself(log: Path) -> int:
        with log.open("a") as out:
            out.write("x")
        return len(Client().artifact("numbers").load())

    with pytest.raises(StepFailed, match="CorruptArtifact"):
        run_of(lambda: by_itself(log))
    assert log.read_text() == "x"


DAMAGE = {
    "flipped": flip,
    "truncated": lambda blob: world.overwrite(blob, blob.read_bytes()[:-100]),
    "emptied": lambda blob: world.overwrite(blob, b""),
    "deleted": lambda blob: blob.unlink(),
    "a folder": lambda blob: (blob.unlink(), blob.mkdir()),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_load_of_damaged_bytes_says_so_and_the_next_run_makes_them_again(home, tmp_path, kind):
    def body(k: int):
        return numbers(1000), add_up(numbers(1000), k)

    first = run_of(body, 1, stack=alone())
    DAMAGE[kind](blobs(home)[0])
    fresh = Client(alone()).artifact("numbers")
    with pytest.raises(CorruptArtifact, match="artifact 'numbers': b3:.*; compute the artifact"):
        fresh.load()
    assert [run.id for run in Client(alone()).runs()] == [first.id]
    run_of(body, 2, stack=alone())
    assert Client(alone()).artifact("numbers").load().sum() == 499_500
    check_history(home, Client(alone()))

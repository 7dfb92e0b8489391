"""The tests that every metadata store passes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from zenlib.errors import Conflict, Invalid, NotFound
from zenlib.hashing import new_id
from zenlib.records import Artifact, Attempt, Failure, Output, Record, Run, Source, Status, StepRun
from zenlib.stores.base import Claims, MetadataStore
from zenlib.testing.metadata_find import SearchSuite
from zenlib.testing.samples import NAMES, TEXTS, THREADS, artifact, everything, race, run, step


class MetadataStoreSuite(SearchSuite):
    """Inherit it, and supply a fresh, empty store as the fixture `store`."""

    @pytest.fixture
    def store(self) -> Iterator[MetadataStore]:
        pytest.fail("supply a fresh, empty store: override the fixture `store`")

    # What is put comes back

    def test_a_record_comes_back_as_it_was_put(self, store: MetadataStore) -> None:
        failure = Failure(type="ValueError", message="no\0 \ud800 good".replace("\ud800", "�"))
        records: list[Record] = [
            run(
                params={"lr": 0.1, "n": [1, None, True]},
                tags=("a", "b"),
                ended_us=5,
                failure=failure,
            ),
            run(status=Status.INTERRUPTED, outputs=[{"artifact": "x"}], stack="dev"),
            step(
                outputs={"model": Output(artifact="x", digest="b3:0")},
                attempts=(
                    Attempt(started_us=1, took_us=2, failure=failure),
                    Attempt(started_us=3, took_us=4),
                ),
                key={"code": "b3:1"},
                metrics={"loss": 1e-300, "big": 2**100},
                failure=failure,
            ),
            artifact(number=7, content={"data": [1.5, "x", None]}, size_bytes=2**62),
            Source(id="b3:2", text="def f():\n    return 'ä'\n"),
        ]
        store.put(*records)
        for record in records:
            stored = store.get(type(record), record.id)
            assert stored == record
            assert type(stored) is type(record)

    def test_nested_values_come_back_as_models(self, store: MetadataStore) -> None:
        output = Output(artifact="x", digest="b3:0")
        put = step(outputs={"o": output}, attempts=(Attempt(started_us=1, took_us=2),))
        store.put(put)
        stored = store.get(StepRun, put.id)
        assert stored.outputs["o"] == output
        assert isinstance(stored.outputs["o"], Output)
        assert isinstance(stored.attempts, tuple)
        assert isinstance(stored.attempts[0], Attempt)
        assert stored.status is Status.COMPLETED

    @pytest.mark.parametrize("text", TEXTS)
    def test_texts_come_back_letter_by_letter(self, store: MetadataStore, text: str) -> None:
        put = run(pipeline=text, stack=text, params={text: text}, tags=(text,))
        store.put(put)
        assert store.get(Run, put.id) == put
        assert store.find(Run, {"pipeline": text}).items == [put]

    def test_json_keeps_order_and_exotic_characters(self, store: MetadataStore) -> None:
        params = {"z": 1, "a": {"y": "\0", "b": "\ud800"}, "f": [0.1, -0.0, 1e308, 2**64, {}, []]}
        put = run(params=params)
        store.put(put)
        stored = store.get(Run, put.id)
        assert repr(stored.params) == repr(params)

    def test_a_value_of_a_megabyte_comes_back(self, store: MetadataStore) -> None:
        put = run(params={"text": "ä" * 300_000}, stack="ü" * 600_000)
        store.put(put, Source(id="b3:1", text="x" * 1_000_000))
        assert store.get(Run, put.id) == put

    def test_later_changes_of_a_put_dictionary_change_nothing(self, store: MetadataStore) -> None:
        params = {"lr": 1}
        put = run(params=params)
        store.put(put)
        put.params["lr"] = 2
        stored = store.get(Run, put.id)
        assert stored.params == {"lr": 1}
        stored.params["lr"] = 3
        assert store.get(Run, put.id).params == {"lr": 1}

    def test_get_of_an_unknown_id_raises_not_found(self, store: MetadataStore) -> None:
        store.put(run(id="known"))
        for id in ("unknown", "", "KNOWN", "known ", "x" * 10_000, "\ud800", "kn\0wn", "ä"):
            with pytest.raises(NotFound, match="runs"):
                store.get(Run, id)
        with pytest.raises(NotFound):
            store.get(StepRun, "known")

    def test_putting_nothing_is_allowed(self, store: MetadataStore) -> None:
        store.put()
        assert store.find(Run).items == []

    # What cannot be stored

    @pytest.mark.parametrize(
        ("bad", "field"),
        [
            (run(params={"x": float("nan")}), "params"),
            (run(params={"x": [float("inf")]}), "params"),
            (run(params={"x": object()}), "params"),
            (run().model_copy(update={"pipeline": "x" * 256}), "pipeline"),
            (run().model_copy(update={"pipeline": "\ud800"}), "pipeline"),
            (run(pipeline="a\0b"), "pipeline"),
            (run(started_us=2**63), "started_us"),
            (run(id="ä"), "id"),
            (run().model_copy(update={"id": "x" * 81}), "id"),
            (run().model_copy(update={"status": "done"}), "status"),
            (run().model_copy(update={"params": None}), "params"),
            (run().model_copy(update={"pipeline": None}), "pipeline"),
            (run(stack="x" * 17_000_000), "stack"),
            (run(params={"x": "x" * 17_000_000}), "params"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_cannot_be_stored_is_refused_by_name(
        self, store: MetadataStore, bad: Record, field: str
    ) -> None:
        good = step()
        with pytest.raises(Invalid, match=rf"runs\.{field}"):
            store.put(good, bad)
        assert store.find(StepRun).items == []
        store.put(good)

    def test_a_value_that_contains_itself_is_refused(self, store: MetadataStore) -> None:
        params: dict[str, Any] = {}
        params["self"] = params
        with pytest.raises(Invalid, match=r"runs\.params"):
            store.put(run().model_copy(update={"params": params}))

    def test_a_kind_that_is_not_known_is_refused(self, store: MetadataStore) -> None:
        class Strange(Record):
            KIND = "strange"

        with pytest.raises(Invalid, match="Strange"):
            store.put(Strange())
        with pytest.raises(Invalid, match="Strange"):
            store.get(Strange, "x")
        with pytest.raises(Invalid, match="Strange"):
            store.find(Strange)
        with pytest.raises(Invalid, match="Strange"):
            store.delete(Strange, ["x"])

    # Versions

    def test_the_next_version_replaces_the_record(self, store: MetadataStore) -> None:
        first = run()
        store.put(first)
        second = first.next(status=Status.COMPLETED, ended_us=3)
        store.put(second)
        assert store.get(Run, first.id) == second
        assert store.find(Run, {"status": Status.RUNNING}).items == []
        assert store.find(Run, {"status": "completed"}).items == [second]

    def test_a_stale_put_conflicts_and_changes_nothing(self, store: MetadataStore) -> None:
        first = run()
        second = first.next(tags=("second",))
        store.put(first)
        store.put(second)
        other = step()
        for stale in (first, first.next(tags=("other",)), second.next().next(), run(version=2)):
            with pytest.raises(Conflict, match=stale.id):
                store.put(other, stale)
            with pytest.raises(Conflict):
                store.put(stale, other)
        assert store.get(Run, first.id) == second
        assert store.find(StepRun).items == []

    def test_a_new_record_with_a_stored_id_conflicts(self, store: MetadataStore) -> None:
        stored = run(id="x")
        store.put(stored)
        with pytest.raises(Conflict, match="another content"):
            store.put(run(id="x", pipeline="other"))
        store.put(step(id="x"))
        assert store.get(Run, "x") == stored

    def test_a_repeated_put_changes_nothing(self, store: MetadataStore) -> None:
        first, other, number = run(params={"a": 1, "b": 2}), step(), artifact()
        for _ in range(3):
            store.put(first, other, number)
        second = first.next(params={"b": 2, "a": 1})
        for _ in range(3):
            store.put(second)
        store.put(second.model_copy(update={"params": {"a": 1, "b": 2}}))
        assert store.find(Run).items == [second]
        assert store.get(Artifact, number.id).number == 1

    def test_a_batch_may_repeat_some_of_its_records(self, store: MetadataStore) -> None:
        old, new = [artifact() for _ in range(3)], [artifact() for _ in range(3)]
        store.put(*old)
        started = run()
        store.put(started)
        mixed = [item for pair in zip(old, new, strict=True) for item in pair]
        store.put(*mixed, started.next(), *mixed)
        numbers = {item.id: item.number for item in everything(store, Artifact)}
        assert [numbers[item.id] for item in old + new] == [1, 2, 3, 4, 5, 6]
        assert store.get(Run, started.id).version == 2

    def test_one_put_may_hold_two_versions_of_a_record(self, store: MetadataStore) -> None:
        first = run()
        store.put(first.next(status=Status.COMPLETED), first)
        assert store.get(Run, first.id).status is Status.COMPLETED

    def test_a_failed_put_leaves_nothing_of_many(self, store: MetadataStore) -> None:
        store.put(run(id="taken"))
        many = [step() for _ in range(500)]
        with pytest.raises(Conflict):
            store.put(*many[:250], run(id="taken", pipeline="other"), *many[250:])
        assert store.find(StepRun).items == []

    def test_exactly_one_of_many_racing_writers_wins(self, store: MetadataStore) -> None:
        stored = run()
        store.put(stored)
        for turn in range(10):
            current = store.get(Run, stored.id)
            mine = [current.next(tags=(f"{turn}.{n}",)) for n in range(THREADS)]
            results = race(lambda n, mine=mine: store.put(mine[n]))  # type: ignore[misc]
            assert sum(result is None for result in results) == 1
            winner = mine[results.index(None)]
            assert store.get(Run, stored.id) == winner

    def test_exactly_one_of_many_racing_creators_wins(self, store: MetadataStore) -> None:
        for turn in range(10):
            results = race(lambda n, turn=turn: store.put(run(id=f"x{turn}", pipeline=str(n))))  # type: ignore[misc]
            assert sum(result is None for result in results) == 1

    def test_racing_increments_are_all_counted(self, store: MetadataStore) -> None:
        store.put(run(id="counter", started_us=0))

        def increment(_: int) -> None:
            for _turn in range(10):
                while True:
                    current = store.get(Run, "counter")
                    # a mark of its own: two equal changes would be one change put twice
                    changed = current.next(started_us=current.started_us + 1, tags=(new_id(),))
                    try:
                        store.put(changed)
                        break
                    except Conflict:
                        continue

        race(increment, threads=4)
        assert store.get(Run, "counter").started_us == 40

    # Numbers

    def test_numbers_count_up_within_each_name(self, store: MetadataStore) -> None:
        a, b, c = artifact(name="x"), artifact(name="y"), artifact(name="x")
        store.put(a, b, c)
        d = artifact(name="x")
        store.put(d)
        assert [store.get(Artifact, item.id).number for item in (a, b, c, d)] == [1, 1, 2, 3]

    def test_numbers_of_one_put_are_consecutive_in_its_order(self, store: MetadataStore) -> None:
        items = [artifact() for _ in range(20)]
        store.put(*reversed(items))
        assert [store.get(Artifact, item.id).number for item in reversed(items)] == list(
            range(1, 21)
        )

    def test_a_given_number_is_kept_and_counted_on(self, store: MetadataStore) -> None:
        items = [artifact(), artifact(number=10), artifact(), artifact(number=5), artifact()]
        store.put(*items)
        assert [store.get(Artifact, item.id).number for item in items] == [1, 10, 11, 5, 12]

    def test_a_later_version_keeps_its_number(self, store: MetadataStore) -> None:
        first, other = artifact(), artifact()
        store.put(first, other)
        store.put(first.next(metadata={"note": 1}))
        store.put(other.next(number=9))
        assert store.get(Artifact, first.id).number == 1
        assert store.get(Artifact, first.id).metadata == {"note": 1}
        assert store.get(Artifact, other.id).number == 9

    def test_names_that_look_alike_are_numbered_apart(self, store: MetadataStore) -> None:
        store.put(*(artifact(name=name) for name in NAMES))
        assert {item.number for item in everything(store, Artifact)} == {1}

    def test_racing_writers_get_different_numbers(self, store: MetadataStore) -> None:
        def write(_: int) -> None:
            for _turn in range(5):
                store.put(artifact(), artifact())

        race(write)
        numbers = [item.number for item in everything(store, Artifact, limit=100)]
        assert sorted(numbers) == list(range(1, THREADS * 10 + 1))

    # Forgetting

    def test_delete_forgets_some_and_ignores_unknown_ids(self, store: MetadataStore) -> None:
        items = [run() for _ in range(5)]
        store.put(*items, step(id=items[0].id))
        store.delete(Run, [items[0].id, items[3].id, "unknown", "x" * 999, "\ud800"])
        store.delete(Run, [])
        assert everything(store, Run) == [items[1], items[2], items[4]]
        assert store.get(StepRun, items[0].id).id == items[0].id
        store.put(items[0])

    def test_many_are_deleted_at_once(self, store: MetadataStore) -> None:
        items = [run() for _ in range(3000)]
        store.put(*items)
        store.delete(Run, [item.id for item in items[1:]])
        assert everything(store, Run) == items[:1]

    # Claims

    def test_a_claim_is_held_by_one_thread_at_a_time(self, store: MetadataStore) -> None:
        if not isinstance(store, Claims):
            pytest.skip("the store has no claims")
        inside: list[int] = []
        most: list[int] = []

        def work(number: int) -> bool:
            with store.claim("key") as waited:
                inside.append(number)
                most.append(len(inside))
                threading.Event().wait(0.01)
                inside.remove(number)
                return waited

        waited = race(lambda n: work(n))
        assert max(most) == 1
        assert waited.count(False) >= 1
        assert waited.count(True) >= 1

    def test_claims_of_different_keys_do_not_wait_for_each_other(
        self, store: MetadataStore
    ) -> None:
        if not isinstance(store, Claims):
            pytest.skip("the store has no claims")
        together = threading.Barrier(4, timeout=30)

        def work(number: int) -> bool:
            with store.claim(f"key {number}") as waited:
                together.wait()  # all four are inside
                return waited

        assert race(lambda n: work(n), threads=4) == [False] * 4

    def test_a_claim_ends_when_its_block_raises(self, store: MetadataStore) -> None:
        if not isinstance(store, Claims):
            pytest.skip("the store has no claims")
        with pytest.raises(ZeroDivisionError), store.claim("key"):
            1 / 0  # noqa: B018
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(lambda: store.claim("key").__enter__()).result(30) is False

    # Use by many

    def test_threads_share_a_store(self, store: MetadataStore) -> None:
        def write(number: int) -> list[str]:
            ids = []
            for _ in range(20):
                started = run(pipeline=f"p{number}", id=new_id())
                store.put(started, artifact(name=f"a{number}"))
                store.put(started.next(status=Status.COMPLETED))
                assert store.get(Run, started.id).version == 2
                ids.append(started.id)
            return ids

        for number, ids in enumerate(race(write)):
            assert [item.id for item in everything(store, Run, {"pipeline": f"p{number}"})] == ids

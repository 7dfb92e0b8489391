"""The tests of `find` that every metadata store passes: filters, order, pages."""

from __future__ import annotations

from typing import Any

import pytest

from zenlib.errors import Invalid
from zenlib.records import Artifact, Run, Status, StepRun
from zenlib.stores.base import MetadataStore, Span
from zenlib.testing.samples import NAMES, artifact, everything, run, step


class SearchSuite:
    """A part of `MetadataStoreSuite`."""

    # Searching

    def test_find_without_filters_returns_everything_by_id(self, store: MetadataStore) -> None:
        items = [run() for _ in range(7)]
        store.put(*reversed(items))
        assert everything(store, Run) == items
        assert everything(store, Run, order="-id") == items[::-1]

    def test_filters_must_all_hold(self, store: MetadataStore) -> None:
        items = [run(pipeline=p, status=s) for p in "ab" for s in (Status.RUNNING, Status.FAILED)]
        store.put(*items)
        assert store.find(Run, {"pipeline": "a", "status": Status.FAILED}).items == [items[1]]
        assert store.find(Run, {"pipeline": "a", "id": items[2].id}).items == []
        assert store.find(Run, {"id": items[2].id}).items == [items[2]]

    def test_a_list_means_any_of_its_values(self, store: MetadataStore) -> None:
        items = [step(cache_key=f"b3:{n}") for n in range(20)]
        store.put(*items)
        keys = [f"b3:{n}" for n in range(0, 2000, 2)]
        for wanted in (keys, tuple(keys), set(keys), [*keys, *keys]):
            assert everything(store, StepRun, {"cache_key": wanted}) == items[::2]
        both = {"cache_key": ["b3:1", "b3:2"], "run_id": ["run", "other"]}
        assert everything(store, StepRun, both) == items[1:3]
        assert store.find(StepRun, {"cache_key": []}).items == []
        assert store.find(StepRun, {"cache_key": ["b3:3"]}).items == [items[3]]
        numbers = everything(store, Artifact, {"number": [1, 2]})
        assert numbers == []

    def test_a_span_means_a_range_of_texts(self, store: MetadataStore) -> None:
        ids = ["", "a", "a ", "ab", "abc", "b", "z"]
        store.put(*(run(id=id, pipeline=f"é{id}") for id in ids))

        def found(**where: Span) -> list[str]:
            return [item.id for item in everything(store, Run, where)]

        assert found(id=Span.prefix("a")) == ["a", "a ", "ab", "abc"]
        assert found(id=Span.prefix("ab")) == ["ab", "abc"]
        assert found(id=Span.prefix("")) == ids
        assert found(id=Span("b")) == ["b", "z"]
        assert found(id=Span("", "ab")) == ["", "a", "a "]
        assert found(pipeline=Span.prefix("éa")) == ["a", "a ", "ab", "abc"]
        assert found(id=Span("\ud800", "\udfff")) == []
        with pytest.raises(Invalid, match="number"):
            store.find(Artifact, {"number": Span("1")})

    def test_names_that_look_alike_are_different(self, store: MetadataStore) -> None:
        items = {name: run(pipeline=name) for name in NAMES}
        store.put(*items.values())
        for name, item in items.items():
            assert store.find(Run, {"pipeline": name}).items == [item]
        assert [item.pipeline for item in everything(store, Run, order="pipeline")] == sorted(NAMES)

    def test_ids_that_look_alike_are_different(self, store: MetadataStore) -> None:
        store.put(*(run(id=id) for id in ("A", "a", "a ", " a", "%")))
        assert [item.id for item in everything(store, Run)] == sorted(["A", "a", "a ", " a", "%"])

    def test_a_value_that_no_record_can_have_matches_nothing(self, store: MetadataStore) -> None:
        item = run()
        store.put(item)
        for value in ("x" * 10_000, "\ud800", "a\0b"):
            assert store.find(Run, {"pipeline": value}).items == []
            assert store.find(Run, {"pipeline": [value]}).items == []
            assert store.find(Run, {"pipeline": [value, "training"]}).items == [item]
        assert store.find(Artifact, {"number": 2**70}).items == []

    @pytest.mark.parametrize(
        "where",
        [
            {"params": {}},
            {"stack": "dev"},
            {"nothing": 1},
            {"pipeline = '' OR 1=1 --": "x"},
            {"pipeline": 1},
            {"pipeline": None},
            {"pipeline": [1]},
            {"pipeline": {"a": 1}},
            {"status": "finished"},
            {"id": b"x"},
        ],
    )
    def test_other_filters_are_refused(self, store: MetadataStore, where: dict[str, Any]) -> None:
        store.put(run())
        with pytest.raises(Invalid, match=next(iter(where)).split()[0]):
            store.find(Run, where)

    @pytest.mark.parametrize("order", ["params", "", "--id", "id desc", "id; DROP TABLE runs", "-"])
    def test_other_orders_are_refused(self, store: MetadataStore, order: str) -> None:
        with pytest.raises(Invalid, match="searched by"):
            store.find(Run, order=order)

    @pytest.mark.parametrize("limit", [0, -1, 10_001, 10**9])
    def test_limits_out_of_range_are_refused(self, store: MetadataStore, limit: int) -> None:
        with pytest.raises(Invalid, match="limit"):
            store.find(Run, limit=limit)

    def test_order_is_by_field_and_then_by_id(self, store: MetadataStore) -> None:
        items = [artifact(name=name, number=n) for n in (3, 1, 2) for name in ("b", "a", "b")]
        store.put(*items)
        forward = sorted(items, key=lambda item: (item.number, item.id))
        assert everything(store, Artifact, order="number", limit=2) == forward
        assert everything(store, Artifact, order="-number", limit=2) == forward[::-1]
        named = sorted(items, key=lambda item: (item.name, item.id))
        assert everything(store, Artifact, order="name", limit=4) == named

    # Pages

    def test_the_last_page_has_no_cursor(self, store: MetadataStore) -> None:
        store.put(*(run() for _ in range(6)))
        first = store.find(Run, limit=3)
        assert len(first.items) == 3
        assert first.cursor is not None
        second = store.find(Run, limit=3, cursor=first.cursor)
        assert len(second.items) == 3
        assert second.cursor is None

    def test_pages_neither_repeat_nor_skip_what_was_there(self, store: MetadataStore) -> None:
        items = [run() for _ in range(10)]
        store.put(*items)
        first = store.find(Run, order="-id", limit=4)
        store.put(run())
        store.delete(Run, [items[8].id])
        second = store.find(Run, order="-id", limit=100, cursor=first.cursor)
        assert first.items + second.items == items[::-1]

    def test_the_cursor_of_another_query_is_refused(self, store: MetadataStore) -> None:
        store.put(*(run() for _ in range(3)), *(step() for _ in range(3)))
        where = {"pipeline": "training"}
        cursor = store.find(Run, where, limit=1).cursor
        assert cursor is not None
        assert len(store.find(Run, where, limit=2, cursor=cursor).items) == 2
        with pytest.raises(Invalid, match="cursor"):
            store.find(StepRun, where, cursor=cursor)
        with pytest.raises(Invalid, match="cursor"):
            store.find(Run, cursor=cursor)
        with pytest.raises(Invalid, match="cursor"):
            store.find(Run, {"pipeline": "other"}, cursor=cursor)
        with pytest.raises(Invalid, match="cursor"):
            store.find(Run, where, order="-id", cursor=cursor)
        with pytest.raises(Invalid, match="cursor"):
            store.find(Run, {"pipeline": Span("training")}, cursor=cursor)

    @pytest.mark.parametrize(
        "cursor", ["", "x", "W10", "bnVsbA", "ä", "\0", "e30=", "A" * 10_000, "1 OR 1"]
    )
    def test_a_made_up_cursor_is_refused(self, store: MetadataStore, cursor: str) -> None:
        with pytest.raises(Invalid, match="cursor"):
            store.find(Run, cursor=cursor)

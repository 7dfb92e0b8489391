"""Random operations on a metadata store, compared with a dictionary (needs hypothesis)."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from zenlib.errors import ZenlibError
from zenlib.records import Artifact, Record, Run, Status
from zenlib.stores.base import MetadataStore, Span
from zenlib.stores.memory import MemoryStore

_NAMES = st.sampled_from(["a", "A", "a ", "á", "%", "'", "x" * 255, "x" * 300, "\ud800"])
_IDS = st.sampled_from([f"id{n}" for n in range(8)])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def _run(id: str, version: int, name: str, status: Status, params: Any) -> Run:
    plain = Run(id=id, version=version, pipeline="", started_us=0, status=status)
    return plain.model_copy(update={"pipeline": name, "params": {"value": params}})


def _artifact(id: str, version: int, name: str, number: int) -> Artifact:
    return Artifact.model_construct(
        id=id, version=version, name=name, number=number, digest="b3:0", size_bytes=0,
        serializer="json", type="int", content={}, metadata={}, run_id="", step_run_id="",
    )  # fmt: skip


_VERSIONS = st.sampled_from([1, 1, 1, 2, 2, 3, 4])
_RECORDS = st.builds(_run, _IDS, _VERSIONS, _NAMES, st.sampled_from(Status), _VALUES) | st.builds(
    _artifact, _IDS, _VERSIONS, _NAMES, st.sampled_from([0, 0, 0, 1, 5])
)
_WANTED = _NAMES | st.lists(_NAMES, max_size=4) | st.builds(Span, _NAMES, _NAMES | st.just(""))


class MetadataStoreModel(RuleBasedStateMachine):
    """Does the same to a store and to a `MemoryStore`, and compares what comes of it.

    Override `open_store`; `Model.TestCase` is the test.
    """

    def open_store(self) -> MetadataStore:
        """Return a fresh, empty store."""
        raise TypeError("override open_store: return a fresh, empty store")

    @initialize()
    def begin(self) -> None:
        """Open both."""
        self.store = self.open_store()
        self.model = MemoryStore()
        self.put_before: list[Record] = []

    def both(self, verb: str, *args: Any, **options: Any) -> Any:
        """Do it to both; return what the store answered."""
        answers = []
        for store in (self.store, self.model):
            try:
                answers.append(getattr(store, verb)(*args, **options))
            except ZenlibError as error:
                answers.append(type(error))
        # by their text, because NaN and -0.0 are to be the same, too
        assert repr(answers[0]) == repr(answers[1])
        return answers[0]

    @rule(records=st.lists(_RECORDS, max_size=4))
    def put(self, records: list[Record]) -> None:
        """Put some records, most of which have a wrong version."""
        self.put_before = records
        self.both("put", *records)

    @rule()
    def put_again(self) -> None:
        """Repeat the last put, as after a lost answer."""
        self.both("put", *self.put_before)

    @rule(id=_IDS, name=_NAMES)
    def put_next(self, id: str, name: str) -> None:
        """Change a stored record."""
        for kind in (Run, Artifact):
            page = self.model.find(kind, {"id": id})
            self.both("put", *(item.next() for item in page.items))
            renamed = {Run: "pipeline", Artifact: "name"}[kind]
            self.both("put", *(item.next(**{renamed: name}).next() for item in page.items))

    @rule(id=_IDS)
    def get(self, id: str) -> None:
        """Read one."""
        self.both("get", Run, id)
        self.both("get", Artifact, id)

    @rule(ids=st.lists(_IDS, max_size=3))
    def delete(self, ids: list[str]) -> None:
        """Forget some."""
        self.both("delete", Run, ids)
        self.both("delete", Artifact, ids)

    @rule(
        wanted=_WANTED,
        order=st.sampled_from(["id", "-id", "number", "-number", "name", "-name", "size_bytes"]),
        limit=st.integers(0, 3),
    )
    def find(self, wanted: Any, order: str, limit: int) -> None:
        """Read all pages of a query."""
        cursor = None
        while True:
            page = self.both(
                "find", Artifact, {"name": wanted}, order=order, limit=limit, cursor=cursor
            )
            if isinstance(page, type) or page.cursor is None:
                return
            cursor = page.cursor

    @invariant()
    def same(self) -> None:
        """Both hold the same records."""
        if hasattr(self, "store"):
            self.both("find", Run, order="status", limit=10_000)
            self.both("find", Artifact, limit=10_000)

    def teardown(self) -> None:
        """Close both."""
        if hasattr(self, "store"):
            self.store.close()
            self.model.close()

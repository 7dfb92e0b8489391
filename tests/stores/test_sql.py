"""SQLite passes the suite of all stores, in a file and in memory."""

import tempfile

import pytest
from hypothesis import HealthCheck, settings

from zenlib.errors import Invalid
from zenlib.records import Artifact, Run, Status, StepRun
from zenlib.stores.sql import SqlStore
from zenlib.testing.metadata import MetadataStoreSuite
from zenlib.testing.metadata_model import MetadataStoreModel
from zenlib.testing.samples import artifact, run, step


class TestSqliteFile(MetadataStoreSuite):
    @pytest.fixture
    def store(self, tmp_path):
        store = SqlStore(f"sqlite:///{tmp_path}/metadata.db")
        yield store
        store.close()


class TestSqliteMemory(MetadataStoreSuite):
    @pytest.fixture
    def store(self):
        store = SqlStore("sqlite://")
        yield store
        store.close()


class TestSqliteRollbackJournal(MetadataStoreSuite):
    """As on a network file system."""

    @pytest.fixture
    def store(self, tmp_path, monkeypatch):
        monkeypatch.setattr("zenlib.stores.sqlite.unsafe_file_system", lambda path: "nfs")
        store = SqlStore(f"sqlite:///{tmp_path}/metadata.db")
        with pytest.warns(UserWarning, match="network file system"):
            store.put(run(id="x"))
        store.delete(Run, ["x"])
        yield store
        store.close()


class SqliteModel(MetadataStoreModel):
    def open_store(self):
        self.folder = tempfile.TemporaryDirectory()
        return SqlStore(f"sqlite:///{self.folder.name}/metadata.db")

    def teardown(self):
        super().teardown()
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestSqliteModel = SqliteModel.TestCase
TestSqliteModel.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture
def store(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path}/metadata.db")
    store.put(run(id="first"))
    yield store
    store.close()


def spent(store, work):
    before = store.statistics
    work()
    after = store.statistics
    return after.statements - before.statements, after.transactions - before.transactions


def test_a_step_is_published_in_one_transaction_of_two_statements(store):
    records = step(), artifact(name="a"), artifact(name="b")
    assert spent(store, lambda: store.put(*records)) == (2, 1)


def test_a_thousand_records_of_a_kind_are_one_statement(store):
    items = [step(status=Status.CACHED) for _ in range(1000)]
    assert spent(store, lambda: store.put(*items)) == (1, 1)
    keys = [f"b3:{n}" for n in range(1000)]
    assert spent(store, lambda: store.find(StepRun, {"cache_key": keys})) == (1, 0)
    assert spent(store, lambda: store.delete(StepRun, [item.id for item in items])) == (1, 1)


def test_reading_needs_no_transaction(store):
    assert spent(store, lambda: store.get(Run, "first")) == (1, 0)
    assert spent(store, lambda: store.find(Run, {"pipeline": "x"}, order="-id")) == (1, 0)
    assert spent(store, lambda: store.find(Run, {"pipeline": []})) == (0, 0)
    assert spent(store, store.put) == (0, 0)


def test_a_changed_run_is_one_statement(store):
    changed = store.get(Run, "first").next(status=Status.COMPLETED)
    assert spent(store, lambda: store.put(changed)) == (1, 1)


def test_a_find_uses_an_index(store):
    connection = store._database.connect().connection
    for kind, where in (
        (StepRun, {"cache_key": "x"}),
        (StepRun, {"cache_key": ["x", "y"]}),
        (StepRun, {"run_id": "x"}),
        (Run, {"pipeline": "x", "status": ["failed", "running"]}),
        (Artifact, {"name": "x"}),
    ):
        from zenlib.stores.queries import query_of

        text, values = store._statements.find(query_of(kind, where, "id", 10, None))
        plan = " ".join(row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + text, values))
        assert f"SEARCH {kind.KIND} USING INDEX" in plan
    connection.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mongo://x/y", "mongo"),
        ("no url", "no url"),
        ("", "no metadata store"),
        ("sqlite://host/x.db", "host"),
        ("sqlite:///x.db?mode=ro", "mode"),
        ("mysql://host", "names no database"),
    ],
)
def test_other_urls_are_refused(url, words):
    with pytest.raises(Invalid, match=words):
        SqlStore(url)


def test_an_unknown_durability_is_refused():
    with pytest.raises(Invalid, match="durability"):
        SqlStore("sqlite://", durability="never")


def test_a_password_is_not_shown():
    store = SqlStore("mysql://zen:s3cret@127.0.0.1:1/zenlib")
    assert "s3cret" not in repr(store)
    assert "127.0.0.1" in repr(store)


def test_a_closed_store_says_so(store):
    store.close()
    with pytest.raises(Invalid, match="closed"):
        store.put(run())
    with pytest.raises(Invalid, match="closed"):
        store.get(Run, "first")

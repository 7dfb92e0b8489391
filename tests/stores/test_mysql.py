"""MySQL passes the suite of all stores (a private MariaDB, or the server that is named)."""

import threading

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

from zenlib.errors import Denied, StoreTooNew, Unavailable
from zenlib.records import Run
from zenlib.stores import migrations
from zenlib.stores.sql import SqlStore
from zenlib.testing.metadata import MetadataStoreSuite
from zenlib.testing.metadata_model import MetadataStoreModel
from zenlib.testing.samples import everything, race, run


class TestMysql(MetadataStoreSuite):
    @pytest.fixture
    def store(self, mysql_url):
        store = SqlStore(mysql_url)
        yield store
        store.close()


def test_random_operations_do_what_a_dictionary_does(mysql_url):
    from hypothesis.stateful import run_state_machine_as_test

    class Model(MetadataStoreModel):
        def open_store(self):
            store = SqlStore(mysql_url)
            store.put(run(id="x"))
            session = store._database.connect()
            for name in ("runs", "artifacts"):
                session.run(f"DELETE FROM {name}")
            session.connection.close()
            return store

    options = settings(
        max_examples=15,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Model, settings=options)


@pytest.fixture
def store(mysql_url):
    store = SqlStore(mysql_url)
    yield store
    store.close()


def columns_of(store):
    session = store._database.connect()
    tables = [name for (name,) in session.run("SHOW TABLES").fetchall()]
    found = {name: session.run(f"SHOW CREATE TABLE {name}").fetchone()[1] for name in tables}
    session.connection.close()
    return {
        name: sorted(text.rstrip(",") for text in sql.split("\n")) for name, sql in found.items()
    }


def test_migrations_and_tables_give_the_same_schema(store):
    store.put(run())
    direct = columns_of(store)
    connection = store._database.connect().connection
    begin = "START TRANSACTION"
    migrations.downgrade(connection, "mysql+pymysql", begin=begin, revision="base")
    assert set(columns_of(store)) == {"zenlib_version"}
    migrations.upgrade(connection, "mysql+pymysql", begin=begin)
    connection.close()
    migrated = columns_of(store)
    migrated.pop("zenlib_version"), direct.pop("zenlib_version")
    assert migrated == direct


def test_eight_first_uses_at_once_all_succeed(mysql_url):
    stores = [SqlStore(mysql_url) for _ in range(8)]
    assert race(lambda n: stores[n].put(run())) == [None] * 8
    assert len(everything(stores[0], Run)) == 8
    for store in stores:
        store.close()


def test_a_creation_that_was_cut_off_is_completed(store, mysql_url):
    session = store._database.connect()
    for text in store._statements.creation[:9]:
        session.run(text)
    session.connection.close()
    assert store.find(Run).items == []
    store.put(run(id="x"))
    assert store.get(Run, "x").id == "x"


def test_connections_that_were_cut_are_replaced(store):
    store.put(run(id="before"))
    session = store._database.connect()
    for (number,) in session.run(
        "SELECT id FROM information_schema.processlist WHERE user = 'zen' "
        "AND id <> connection_id() AND db = database()"
    ).fetchall():
        session.run(f"KILL {number}")
    session.connection.close()
    store.put(run(id="after"))
    assert [item.id for item in store.find(Run).items] == ["after", "before"]


def test_a_newer_database_is_refused(store, mysql_url):
    store.put(run())
    session = store._database.connect()
    session.run("UPDATE zenlib_version SET version_num = '9999'")
    session.connection.close()
    other = SqlStore(mysql_url)
    with pytest.raises(StoreTooNew, match="'9999'"):
        other.put(run())
    other.close()


def test_a_wrong_password_is_named_without_it(mysql_url):
    url = sa.make_url(mysql_url).set(password="guess").render_as_string(hide_password=False)
    with pytest.raises(Denied, match=r"zen") as caught:
        SqlStore(url).put(run())
    assert "guess" not in str(caught.value)


def test_a_missing_database_says_how_to_create_it(mysql_server):
    with pytest.raises(Unavailable, match="CREATE DATABASE `nowhere`"):
        SqlStore(f"{mysql_server}/nowhere").put(run())


def test_a_server_that_is_away_is_named():
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1/x"):
        SqlStore("mysql://a:b@127.0.0.1:1/x").put(run())


def test_a_claim_ends_with_its_connection(store, mysql_url):
    other = SqlStore(mysql_url)
    claim = store.claim("key")
    claim.__enter__()
    inside = threading.Event()

    def wait():
        with other.claim("key"):
            inside.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not inside.wait(0.3)
    claim._session.connection._force_close()
    assert inside.wait(60)
    thread.join()
    claim.__exit__(None, None, None)
    other.close()

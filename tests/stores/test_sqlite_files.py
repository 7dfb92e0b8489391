"""SQLite files in every state: new, read-only, damaged, too new, foreign, on a full disk."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
import warnings

import pytest

from zenlib.errors import (
    CorruptArtifact,
    Invalid,
    NotFound,
    StoreTooNew,
    Unavailable,
    ZenlibWarning,
)
from zenlib.records import Artifact, Run, Source, StepRun
from zenlib.stores.sql import SqlStore
from zenlib.testing.samples import artifact, everything, run, step

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metadata.db"


@pytest.fixture
def open_store(path):
    """Open stores on the file, and close them in the end."""
    opened = []

    def open_one(**options):
        opened.append(SqlStore(f"sqlite:///{path}", **options))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def filled(path, open_store):
    """A file with 200 runs, closed."""
    store = open_store()
    store.put(*(run(id=f"id{n:03}", params={"text": "x" * 500}) for n in range(200)))
    store.close()
    return path


def pragma(path, name):
    connection = sqlite3.connect(path)
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    connection.close()
    return value


# Creation


def test_reading_creates_nothing(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path}/new/metadata.db")
    assert store.find(Run).items == []
    with pytest.raises(NotFound):
        store.get(Run, "x")
    store.delete(Run, ["x"])
    store.sync()
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_counts_as_a_new_database(path, open_store):
    path.touch()
    store = open_store()
    assert store.find(Run).items == []
    store.put(run(id="x"))
    assert store.get(Run, "x").id == "x"


@posix
def test_what_is_created_belongs_to_its_owner_alone(tmp_path):
    old = os.umask(0)
    try:
        store = SqlStore(f"sqlite:///{tmp_path}/a/b/metadata.db")
        store.put(run())
        with store.claim("key"):
            made = [*(tmp_path / "a").rglob("*"), tmp_path / "a"]
            modes = {item.name: stat.S_IMODE(item.stat().st_mode) for item in made}
        store.close()
    finally:
        os.umask(old)
    files = [f"metadata.db{end}" for end in ("", "-wal", "-shm", ".claims")]
    assert modes == {"a": 0o700, "b": 0o700, **dict.fromkeys(files, 0o600)}


def test_the_working_folder_may_change_later(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = SqlStore("sqlite:///metadata.db")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    store.put(run())
    store.close()
    assert (tmp_path / "metadata.db").exists()


@pytest.mark.parametrize("name", ["a b%20c?x=1&y#z.db", "ünï 日本.db", "100%.db", "'quote\".db"])
def test_a_path_may_contain_any_character(tmp_path, name):
    from sqlalchemy import URL

    if sys.platform == "win32" and set('?"') & set(name):
        pytest.skip("not a file name on Windows")
    url = URL.create("sqlite", database=str(tmp_path / name)).render_as_string(False)
    store = SqlStore(url.replace("?", "%3F") if "?" in name else url)
    store.put(run(id="x"))
    store.close()
    assert [item.name for item in tmp_path.iterdir() if item.suffix == ".db"]


def test_the_file_says_who_made_it_and_when(filled):
    connection = sqlite3.connect(filled)
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    connection.close()
    assert meta["created_by"].startswith("zenlib ")
    assert int(meta["created_us"]) > 1_700_000_000_000_000


def test_a_folder_in_place_of_the_file_is_named(tmp_path):
    (tmp_path / "metadata.db").mkdir()
    with pytest.raises(Unavailable, match=r"metadata\.db as a database: it is a folder"):
        SqlStore(f"sqlite:///{tmp_path}/metadata.db").put(run())


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(Unavailable, match=r"cannot create .*metadata\.db"):
        SqlStore(f"sqlite:///{tmp_path}/x/metadata.db").put(run())


# Journals and durability


def test_connections_use_wal_and_foreign_keys(path, open_store):
    for durability, level in (("run", 1), ("step", 2)):
        store = open_store(durability=durability)
        store.put(run())
        connection = store._database.connect().connection
        assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.close()


def test_a_network_file_system_gets_a_rollback_journal_and_one_warning(
    filled, open_store, monkeypatch
):
    assert pragma(filled, "journal_mode") == "wal"
    monkeypatch.setattr("zenlib.stores.sqlite.unsafe_file_system", lambda path: "nfs4")
    store = open_store()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(everything(store, Run, limit=1000)) == 200
        store.put(run())
        store.sync()
    assert len(caught) == 1
    assert caught[0].category is ZenlibWarning
    for words in (str(filled), "nfs4", "local disk"):
        assert words in str(caught[0].message)
    connection = store._database.connect().connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (3,)
    connection.close()


def test_sync_forces_the_log_and_the_folder(path, open_store, monkeypatch):
    store = open_store()
    store.put(run())
    forced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (forced.append(os.fstat(fd)), fsync(fd)))
    store.sync()
    inodes = {item.stat().st_ino for item in (path.with_name(f"{path.name}-wal"), path.parent)}
    if sys.platform == "linux":
        assert {item.st_ino for item in forced} == inodes
    store.close()
    store = open_store()
    store.find(Run)
    store.sync()


def test_another_writer_is_waited_for(path, open_store):
    store = open_store()
    store.put(run())
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.6, other.execute, ["COMMIT"])
    timer.start()
    store.put(run(id="x"))
    timer.join()
    other.close()
    assert store.get(Run, "x").id == "x"


def test_a_lock_that_does_not_end_is_named(path, open_store, monkeypatch):
    monkeypatch.setattr("zenlib.stores.sql.WAIT_S", 0.1)
    store = open_store()
    store.put(run())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match=r"metadata\.db was locked by another process"):
        store.put(run(id="x"))
    assert len(store.find(Run).items) == 1  # readers do not wait for writers
    other.execute("ROLLBACK")
    other.close()
    store.put(run(id="x"))


# Files that must be left alone


def assert_untouched(path, error, words, work):
    before = path.read_bytes()
    with pytest.raises(error, match=words) as caught:
        work()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("clean", [True, False])
def test_a_newer_database_is_refused_and_untouched(filled, open_store, clean):
    connection = sqlite3.connect(filled)
    connection.execute("UPDATE zenlib_version SET version_num = '9999'")
    connection.commit()
    copies = {end: filled.with_name(filled.name + end) for end in ("", "-wal")}
    if not clean:  # as after a kill: the log is still there
        content = {end: copy.read_bytes() for end, copy in copies.items()}
    connection.close()
    if not clean:
        for end, data in content.items():
            copies[end].write_bytes(data)
    for work in (
        lambda: open_store().put(run()),
        lambda: open_store().find(Run),
        lambda: open_store().get(Run, "id000"),
        lambda: open_store().delete(Run, ["id000"]),
    ):
        assert_untouched(filled, StoreTooNew, "'9999'.*'0001'.*pip install", work)


def test_the_database_of_another_program_is_refused_and_untouched(path, open_store):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url)")
    connection.commit()
    connection.close()
    assert_untouched(path, Invalid, "another program", lambda: open_store().put(run()))
    assert_untouched(path, Invalid, "another program", lambda: open_store().find(Run))


def damage_text(data):
    return b"name,score\n" * 500


def damage_header(data):
    return b"X" + data[1:]


def damage_half(data):
    return data[: len(data) // 2]


def damage_first_page(data):
    return data[:1000]


def damage_schema(data):
    return data[:100] + b"\xff" * 3996 + data[4096:]


@pytest.mark.parametrize(
    "damage", [damage_text, damage_header, damage_half, damage_first_page, damage_schema]
)
def test_a_damaged_file_is_named_and_untouched(filled, open_store, damage):
    filled.write_bytes(damage(filled.read_bytes()))
    words = "damaged|no SQLite database"
    assert_untouched(filled, Unavailable, words, lambda: everything(open_store(), Run, limit=500))
    assert_untouched(filled, Unavailable, words, lambda: open_store().put(run()))


def test_a_damaged_row_is_named(filled, open_store):
    connection = sqlite3.connect(filled)
    connection.execute("UPDATE runs SET params = '{\"text' WHERE id = 'id007'")
    connection.execute("UPDATE runs SET status = 'finished' WHERE id = 'id008'")
    connection.commit()
    connection.close()
    store = open_store()
    for id in ("id007", "id008"):
        with pytest.raises(CorruptArtifact, match=f"runs '{id}' is damaged"):
            store.get(Run, id)
    assert store.get(Run, "id009").id == "id009"


def test_an_older_database_is_brought_up_to_date(path, open_store):
    from zenlib.stores import migrations

    connection = sqlite3.connect(path, isolation_level=None)
    migrations.upgrade(connection, "sqlite", begin="BEGIN IMMEDIATE")
    migrations.downgrade(connection, "sqlite", begin="BEGIN IMMEDIATE", revision="base")
    connection.close()
    store = open_store()
    assert store.find(Run).items == []
    store.put(run(id="x"), step(), artifact())
    assert store.get(Run, "x").id == "x"


# Read-only places


@pytest.fixture
def read_only_folder(path):
    """Make the folder of the file, as it is now, a place where nothing can be written."""
    folder = path.parent
    if os.name == "posix" and os.geteuid() == 0:  # root writes wherever the mount allows it
        mount = ["mount", "--bind", str(folder), str(folder)]
        if subprocess.run(mount, capture_output=True).returncode != 0:
            pytest.skip("root without the right to mount: run as another user")
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        yield folder
        subprocess.run(["umount", "-l", str(folder)], check=True)
    else:
        for item in folder.iterdir():
            item.chmod(0o400)
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)


@pytest.fixture
def read_only(filled, read_only_folder):
    """The filled file, in a place where nothing can be written."""
    return filled


@posix
def test_a_read_only_place_can_be_read_but_not_written(read_only, open_store):
    store = open_store()
    assert len(everything(store, Run, limit=100)) == 200
    assert store.get(Run, "id007").id == "id007"
    for work in (
        lambda: store.put(run()),
        lambda: store.delete(Run, ["id007"]),
        lambda: open_store().put(run()),
    ):
        assert_untouched(read_only, Unavailable, "read-only", work)
    store.sync()
    with store.claim("key") as waited:
        assert waited is False
    assert sorted(item.name for item in read_only.parent.iterdir()) == ["metadata.db"]


@posix
def test_a_read_only_place_with_a_log_is_warned_about(filled, request):
    connection = sqlite3.connect(filled)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("DELETE FROM runs")
    connection.commit()
    log = filled.with_name("metadata.db-wal")
    content = log.read_bytes()
    connection.close()
    log.write_bytes(content)
    request.getfixturevalue("read_only_folder")
    store = SqlStore(f"sqlite:///{filled}")
    with pytest.warns(UserWarning, match="not closed cleanly"):
        store.find(Run)
    store.close()


@posix
def test_an_old_database_in_a_read_only_place_is_named(path, request):
    from zenlib.stores import migrations

    connection = sqlite3.connect(path, isolation_level=None)
    migrations.upgrade(connection, "sqlite", begin="BEGIN IMMEDIATE")
    migrations.downgrade(connection, "sqlite", begin="BEGIN IMMEDIATE", revision="base")
    connection.close()
    request.getfixturevalue("read_only_folder")
    store = SqlStore(f"sqlite:///{path}")
    with pytest.raises(Unavailable, match="older schema"):
        store.find(Run)
    store.close()


@posix
def test_an_empty_file_in_a_read_only_place_is_named(path, request):
    path.touch()
    request.getfixturevalue("read_only_folder")
    store = SqlStore(f"sqlite:///{path}")
    assert store.find(Run).items == []
    with pytest.raises(Unavailable, match="read-only"):
        store.put(run())
    store.close()


@posix
def test_a_read_only_folder_without_a_database_is_named(read_only):
    store = SqlStore(f"sqlite:///{read_only.parent}/other.db")
    assert store.find(Run).items == []
    with pytest.raises(Unavailable, match=r"cannot create .*other\.db"):
        store.put(run())


# Full disks

FULL = """
import resource, sys
from zenlib.errors import Unavailable
from zenlib.records import Run
from zenlib.stores.sql import SqlStore
from zenlib.testing.samples import run, artifact
store = SqlStore(f"sqlite:///{sys.argv[1]}")
store.put(run(id="before"))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    store.put(run(id="small"), run(id="big", params={"text": "x" * 1_000_000}))
except Unavailable as error:
    print(error)
print([item.id for item in store.find(Run).items])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.put(run(id="small"))
print([item.id for item in store.find(Run).items])
"""


@posix
def test_a_full_disk_stores_nothing_and_the_store_goes_on(path):
    command = [sys.executable, "-c", FULL, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.stderr == ""
    error, during, after = ended.stdout.splitlines()
    assert str(path) in error
    assert "the disk is full" in error
    assert during == "['before']"
    assert after == "['before', 'small']"


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="needs root to mount a small tmpfs"
)
def test_a_full_file_system_stores_nothing_and_the_store_goes_on(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("root without the right to mount")
    store = SqlStore(f"sqlite:///{tmp_path}/metadata.db")
    try:
        stored = []

        def fill():
            while True:
                records = step(), artifact(metadata={"text": "x" * 100_000})
                store.put(*records)
                stored.append(records)

        with pytest.raises(Unavailable, match="the disk is full"):
            fill()
        assert everything(store, StepRun, limit=100) == [records[0] for records in stored]
        assert len(everything(store, Artifact, limit=100)) == len(stored)
        subprocess.run(["mount", "-o", "remount,size=8m", str(tmp_path)], check=True)
        store.put(artifact(), step())
        assert len(everything(store, Artifact, limit=100)) == len(stored) + 1
    finally:
        store.close()
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_record_of_sixteen_megabytes_fits(open_store):
    store = open_store()
    item = Source(id="b3:1", text="x" * 16_000_000)
    store.put(item)
    assert store.get(Source, "b3:1") == item

"""The tables that are created directly are those that the migrations make."""

import sqlite3
import subprocess
import sys

import pytest

from zenlib.records import KINDS
from zenlib.stores import migrations, schema
from zenlib.stores.rows import layout_of
from zenlib.stores.sql import SqlStore
from zenlib.stores.tables import METADATA
from zenlib.testing.samples import run


def schema_of(path):
    """Return every table and index with its SQL, spaces removed."""
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    connection.close()
    return sorted((*row[:3], "".join((row[3] or "").split())) for row in found)


def migrate(path, change, **options):
    connection = sqlite3.connect(path, isolation_level=None)
    change(connection, "sqlite", begin="BEGIN IMMEDIATE", **options)
    revisions = connection.execute("SELECT version_num FROM zenlib_version").fetchall()
    connection.close()
    return revisions


def test_migrations_and_tables_give_the_same_schema(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path}/direct.db")
    store.put(run())
    store.close()
    assert migrate(tmp_path / "migrated.db", migrations.upgrade) == [(schema.HEAD,)]
    assert schema_of(tmp_path / "direct.db") == schema_of(tmp_path / "migrated.db")


def test_every_migration_can_be_undone_and_done_again(tmp_path):
    path = tmp_path / "metadata.db"
    migrate(path, migrations.upgrade)
    before = schema_of(path)
    assert migrate(path, migrations.downgrade, revision="base") == []
    assert {row[2] for row in schema_of(path)} == {"zenlib_version"}
    assert migrate(path, migrations.upgrade) == [(schema.HEAD,)]
    assert schema_of(path) == before


def test_a_migration_that_fails_changes_nothing(tmp_path):
    path = tmp_path / "metadata.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE steps (id)")
    connection.close()
    with pytest.raises(Exception, match="steps already exists"):
        migrate(path, migrations.upgrade)
    assert [row[1] for row in schema_of(path)] == ["steps"]


def test_the_known_revisions_are_those_of_the_scripts():
    from pathlib import Path

    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    found = [script.revision for script in scripts.walk_revisions()][::-1]
    assert tuple(found) == schema.REVISIONS


def test_every_kind_has_a_table_with_its_indexes():
    for kind in KINDS:
        table = METADATA.tables[kind.KIND]
        assert tuple(column.name for column in table.columns) == layout_of(kind).names
        indexes = {tuple(column.name for column in index.columns) for index in table.indexes}
        assert indexes == set(kind.INDEXED)


def test_alembic_is_not_imported_for_a_database_that_is_up_to_date(tmp_path):
    code = (
        "import sys; from zenlib.stores.sql import SqlStore; from zenlib.records import Run\n"
        f"store = SqlStore('sqlite:///{tmp_path}/metadata.db')\n"
        "store.put(Run(pipeline='x', started_us=1)); store.find(Run); store.close()\n"
        "print('alembic' in sys.modules, 'pymysql' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "False False\n"

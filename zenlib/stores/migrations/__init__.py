"""Changes of the database schema, one small function each, run by alembic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config


def upgrade(connection: Any, dialect: str, *, begin: str, revision: str = "head") -> None:
    """Bring the schema up to a revision, in one transaction where the database can.

    A database that another process has brought there meanwhile is left alone.

    Args:
        connection: the driver's, without an open transaction.
        dialect: as in a URL of SQLAlchemy, `sqlite` or `mysql+pymysql`.
        begin: the statement that begins a write transaction.
    """
    _run(command.upgrade, connection, dialect, begin, revision)


def downgrade(connection: Any, dialect: str, *, begin: str, revision: str) -> None:
    """Take the schema back to an older revision (`base` removes all tables, and what they hold)."""
    _run(command.downgrade, connection, dialect, begin, revision)


def _run(change: Any, connection: Any, dialect: str, begin: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    engine = sa.create_engine(
        f"{dialect}://",
        creator=lambda: connection,
        poolclass=sa.StaticPool,
        pool_reset_on_return=None,
    )
    with engine.connect() as proxy, proxy.begin():
        proxy.exec_driver_sql(begin)  # SQLAlchemy's own begin is left to the driver, which waits
        config.attributes["connection"] = proxy
        change(config, revision)

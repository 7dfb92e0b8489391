"""What alembic runs for each command: the connection comes from `migrations`."""

from __future__ import annotations

from alembic import context

from zenlib.stores.tables import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=False,  # the caller holds the transaction
)
context.run_migrations()

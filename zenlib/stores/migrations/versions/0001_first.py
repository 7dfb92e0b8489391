"""The first schema: runs, steps, artifacts, code, sources."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Spelt out here and not imported: a migration must go on meaning what it meant.
_OPTIONS: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}


def _short(length: int) -> sa.types.TypeEngine[Any]:
    size = length if length <= 80 else 4 * length
    return sa.String(length).with_variant(mysql.VARBINARY(size), "mysql", "mariadb")


def _long() -> sa.types.TypeEngine[Any]:
    text = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return sa.Text().with_variant(text, "mysql", "mariadb")


def _id(name: str = "id") -> sa.Column[Any]:
    return sa.Column(name, _short(80), primary_key=True, nullable=False)


def _required(name: str, type_: Any) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=False)


def _optional(name: str, type_: Any) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=True)


def upgrade() -> None:
    op.create_table("meta", _id("key"), _required("value", _long()), **_OPTIONS)
    op.create_table("sources", _id(), _version(), _required("text", _long()), **_OPTIONS)
    op.create_table("code", _id(), _version(), _required("parts", _long()), **_OPTIONS)
    _create_runs()
    _create_steps()
    _create_artifacts()


def _version() -> sa.Column[Any]:
    return _required("version", sa.BigInteger())


def _create_runs() -> None:
    op.create_table(
        "runs",
        _id(),
        _version(),
        _required("pipeline", _short(255)),
        _required("status", _short(40)),
        _required("started_us", sa.BigInteger()),
        _optional("ended_us", sa.BigInteger()),
        _required("stack", _long()),
        _required("params", _long()),
        _required("plan", _long()),
        _optional("outputs", _long()),
        _required("tags", _long()),
        _optional("failure", _long()),
        _required("environment", _long()),
        **_OPTIONS,
    )
    op.create_index("runs_pipeline_id", "runs", ["pipeline", "id"])
    op.create_index("runs_status_id", "runs", ["status", "id"])
    op.create_index("runs_pipeline_status_id", "runs", ["pipeline", "status", "id"])


def _create_steps() -> None:
    op.create_table(
        "steps",
        _id(),
        _version(),
        _required("run_id", _short(80)),
        _required("pipeline", _short(255)),
        _required("node", _short(255)),
        _required("step", _short(255)),
        _required("status", _short(40)),
        _required("cache_key", _short(80)),
        _required("cached_from", _short(80)),
        _required("started_us", sa.BigInteger()),
        _required("ended_us", sa.BigInteger()),
        _required("key", _long()),
        _required("outputs", _long()),
        _required("attempts", _long()),
        _optional("failure", _long()),
        _required("metrics", _long()),
        _required("tags", _long()),
        **_OPTIONS,
    )
    op.create_index("steps_run_id_id", "steps", ["run_id", "id"])
    op.create_index("steps_cache_key_id", "steps", ["cache_key", "id"])
    op.create_index("steps_pipeline_node_id", "steps", ["pipeline", "node", "id"])


def _create_artifacts() -> None:
    op.create_table(
        "artifacts",
        _id(),
        _version(),
        _required("name", _short(255)),
        _required("number", sa.BigInteger()),
        _required("digest", _short(80)),
        _required("size_bytes", sa.BigInteger()),
        _required("serializer", _short(80)),
        _required("type", _short(255)),
        _required("content", _long()),
        _required("metadata", _long()),
        _required("run_id", _short(80)),
        _required("step_run_id", _short(80)),
        **_OPTIONS,
    )
    op.create_index("artifacts_name_number", "artifacts", ["name", "number"])


def downgrade() -> None:
    for table in ("artifacts", "steps", "runs", "code", "sources", "meta"):
        op.drop_table(table)

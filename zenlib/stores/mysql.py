"""MySQL and MariaDB as a metadata store: connections, locks and errors."""

from __future__ import annotations

import sqlalchemy as sa
from pymysql.constants import CR, ER

from zenlib.stores.tables import Statements

_DIALECT: sa.Dialect = sa.make_url("mysql+pymysql://").get_dialect()()
STATEMENTS = Statements(_DIALECT, json_lists=False)

_SCHEMA_LOCK = "zenlib:schema"
_IDLE_S = 20.0
"""A connection that was idle for longer is asked whether it lives before it is used."""

# A transaction that met one of these was undone as a whole and may succeed when repeated.
_PASSING = {
    ER.LOCK_DEADLOCK,
    ER.LOCK_WAIT_TIMEOUT,
    CR.CR_SERVER_GONE_ERROR,
    CR.CR_SERVER_LOST,
    4031,
}
_DENIED = {ER.ACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR, ER.TABLEACCESS_DENIED_ERROR}
_TOO_LARGE = {ER.NET_PACKET_TOO_LARGE, ER.DATA_TOO_LONG}

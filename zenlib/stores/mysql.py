"""MySQL and MariaDB as a metadata store: connections, locks and errors."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from typing import Any

import pymysql  # type: ignore[import-untyped]
import sqlalchemy as sa
from pymysql import converters
from pymysql.constants import CR, ER, FIELD_TYPE  # type: ignore[import-untyped]

from zenlib.errors import Denied, Invalid, Unavailable, ZenlibError
from zenlib.stores.pool import Pool, Session
from zenlib.stores.schema import HEAD, check_revision, create, upgrade
from zenlib.stores.tables import VERSION_TABLE, Statements

_DIALECT: sa.Dialect = sa.make_url("mysql+pymysql://").get_dialect()()
STATEMENTS = Statements(_DIALECT, json_lists=False)

_INACTIVE = 4031
"""MySQL 8 closed the connection because it was idle."""
_LOST = {CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST, _INACTIVE}
_IN_THE_WAY = {ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT, ER.DUP_ENTRY}
_DENIED = {ER.ACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR, ER.TABLEACCESS_DENIED_ERROR}
_TOO_LARGE = {ER.NET_PACKET_TOO_LARGE, ER.DATA_TOO_LONG}
_EXISTS = {ER.TABLE_EXISTS_ERROR, ER.DUP_KEYNAME}
_LOST_TRIES = 7

# Strict, or texts that are too long would be cut; the rest so that a server's own settings do not
# change what the statements mean. Repeatable read: numbering relies on its locks.
_INIT = (
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', "
    "SESSION innodb_lock_wait_timeout = 20"
)


class Mysql:
    """One MySQL database.

    A transaction whose connection was lost is repeated: ids are made by the client, so what had
    been committed is then found to be stored already.

    Args:
        url: with host, user, password and database.
    """

    statements = STATEMENTS
    begin = "START TRANSACTION"
    error: type[Exception] = pymysql.MySQLError
    taken: type[Exception] = pymysql.err.IntegrityError
    single = False
    batches = False

    def __init__(self, url: sa.URL) -> None:
        if not url.database:
            raise Invalid(f"{url} names no database: mysql://user:password@host/database")
        self.name = url.set(drivername="mysql").render_as_string(hide_password=True)
        self._schema = url.database
        # bytes, because the driver would encode the text as Latin-1
        password = str(url.password or "").encode()
        _, options = _DIALECT.create_connect_args(url.set(drivername="mysql+pymysql"))
        self._options: dict[str, Any] = {
            "connect_timeout": 10,
            **options,
            "password": password,
            "charset": "utf8mb4",
            "autocommit": True,
            "init_command": _INIT,
            "conv": {**converters.conversions, **_TEXTS},
        }

    def open(self, *, write: bool) -> bool:  # noqa: ARG002
        """Connecting needs no preparation."""
        return True

    def connect(self) -> Session:
        """Return a new connection."""
        connection = pymysql.connect(**self._options)
        session = Session(connection)
        session.cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return session

    def prepare(self, session: Session, *, write: bool) -> bool:
        """Create the tables, or check their revision and bring it up to date."""
        revision = self._revision(session)
        if revision == HEAD:
            return True
        if not revision and not write:
            return False
        with ServerLocks(self, "schema").on(session, "schema"):
            revision = self._revision(session)  # another process may have been first
            if not revision:
                self._create(session)
            elif revision != HEAD:
                upgrade(session.connection, "mysql+pymysql", self.begin)
        return True

    def wait_s(self, error: BaseException, tries: int) -> float | None:
        """Return when to repeat the transaction; a lost connection only a few times.

        A row larger than the server's `max_allowed_packet` looks like a lost connection too.
        """
        code = _code(error)
        if code in _IN_THE_WAY:
            return 0.001 * min(tries + 1, 20)
        if code in _LOST and tries < _LOST_TRIES:
            return 0.05 * (1 << tries)
        return None

    def recover(self, session: Session, error: BaseException) -> bool:
        """Undo the open transaction; a connection that met a driver's error is not used again."""
        if isinstance(error, pymysql.MySQLError) and _code(error) not in _IN_THE_WAY:
            return False
        try:
            session.rollback()
        except pymysql.MySQLError:
            return False
        # interrupted in the middle of an answer: nobody knows what comes next
        return isinstance(error, Exception)

    def translate(self, error: Exception) -> ZenlibError:
        """Return the error for our caller."""
        code, name = _code(error), self.name
        text = str(error.args[-1]) if error.args else type(error).__name__
        if code in _DENIED:
            return Denied(f"{name} refuses the user: {text}")
        if code == ER.BAD_DB_ERROR:
            return Unavailable(
                f"{name}: the server has no such database. Create it: "
                f"CREATE DATABASE `{self._schema}` CHARACTER SET utf8mb4"
            )
        if code in _TOO_LARGE:
            return Invalid(f"a record is too large for {name} ({text}): store data as an artifact")
        if code in _LOST:
            return Unavailable(
                f"{name}: the connection is lost again and again ({text}): the server is away, or "
                "a record is larger than its max_allowed_packet"
            )
        return Unavailable(f"{name}: {text}")

    def identity(self) -> None:
        """It is no file."""
        return

    def check_writable(self) -> None:
        """The server says so itself when it is read-only."""

    def claims(self) -> ServerLocks:
        """Return the server's named locks."""
        return ServerLocks(self, self._schema)

    def sync(self) -> None:
        """A commit is on the server's disk when it returns (innodb_flush_log_at_trx_commit=1)."""

    def _revision(self, session: Session) -> str | None:
        """Return the known revision of the schema; None or '' when it is not complete."""
        try:
            cursor = session.run(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608
        except pymysql.MySQLError as error:
            if _code(error) == ER.NO_SUCH_TABLE:
                return None
            raise
        row = cursor.fetchone()
        revision = str(row[0]) if row else ""
        check_revision(revision, self.name)
        return revision

    def _create(self, session: Session) -> None:
        """Create the tables that are not there yet: each is a transaction of its own on MySQL."""
        for text in self.statements.creation:
            try:
                session.run(text)
            except pymysql.MySQLError as error:
                if _code(error) not in _EXISTS:
                    raise
        session.begin(self.begin)
        create(session, self.statements, tables=False)
        session.commit()


class ServerLocks:
    """Claims of keys as named locks of a MySQL server, freed when their connection ends.

    Args:
        database: whose server.
        scope: claims of equal keys in different scopes do not meet.
    """

    def __init__(self, database: Mysql, scope: str) -> None:
        self._scope = scope
        self._database = database
        self._pool = Pool(database.connect, single=False, name=database.name)

    def claim(self, key: str) -> AbstractContextManager[bool]:
        """Hold the claim of `key`; the context's value says whether it had to wait."""
        return _ServerClaim(self._name(key), self._pool, self._database)

    def on(self, session: Session, key: str) -> AbstractContextManager[bool]:
        """Hold a claim with a connection that is open already."""
        return _ServerClaim(self._name(key), session, self._database)

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()

    def _name(self, key: str) -> str:
        text = f"{self._scope}\0{key}".encode("utf-8", "surrogatepass")
        return (
            "zenlib:" + hashlib.blake2b(text, digest_size=24).hexdigest()
        )  # at most 64 characters


class _ServerClaim(AbstractContextManager[bool]):
    def __init__(self, name: str, source: Pool | Session, database: Mysql) -> None:
        self._name = name
        self._source = source
        self._database = database

    def __enter__(self) -> bool:
        try:
            source = self._source
            self._session = source.take() if isinstance(source, Pool) else source
            try:
                wait_s, waited = 0, False
                while not self._ask("SELECT GET_LOCK(%s, %s)", self._name, wait_s):
                    wait_s, waited = 1, True  # in slices, so that Ctrl-C gets in
            except BaseException:
                self._leave(usable=False)
                raise
        except pymysql.MySQLError as error:
            raise self._database.translate(error) from error
        return waited

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("SELECT RELEASE_LOCK(%s)", self._name)
        except pymysql.MySQLError:
            self._leave(usable=False)  # the connection is gone, and the lock with it
        else:
            self._leave(usable=True)

    def _ask(self, text: str, *values: object) -> bool:
        (answer,) = self._session.run(text, values).fetchone()
        return bool(answer == 1)

    def _leave(self, *, usable: bool) -> None:
        if isinstance(self._source, Pool):
            (self._source.give if usable else self._source.drop)(self._session)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


_TEXTS = dict.fromkeys((FIELD_TYPE.VAR_STRING, FIELD_TYPE.VARCHAR, FIELD_TYPE.STRING), _text)


def _code(error: BaseException) -> int:
    """Return the number of a server's or the driver's error, 0 for others."""
    code = error.args[0] if isinstance(error, pymysql.MySQLError) and error.args else 0
    return code if isinstance(code, int) else 0

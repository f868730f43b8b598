"""The engine for SQL Server, through pyodbc and Microsoft's ODBC driver, and what is particular to its SQL.

Its SQL is understood by SQL Server and by servers that speak its protocol, as far as one was tried.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from enum import Enum
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, func, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from adapters.sql.backend import SqlBackend
from adapters.sql.logins import missing, needed_rights
from adapters.sqlserver import driver
from adapters.sqlserver.dialect import key_set, key_values, lock_first, newest_per_post
from adapters.sqlserver.errors import discard_session, error_kind, remedy
from adapters.sqlserver.writing import load, mark_nulls, prepare_cursor, set_parameter_types, upsert
from application.errors import ReadDbUnavailable

_LOGIN_SECONDS = 5
_STATEMENT_SECONDS = 60
_SESSION = "SET NOCOUNT OFF; SET LOCK_TIMEOUT 30000"
_BEGIN = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN TRANSACTION"
_IS_READ_ONLY = "SELECT CAST(DATABASEPROPERTYEX(DB_NAME(), 'Updateability') AS NVARCHAR(40))"
_LOCK = """EXEC sp_getapplock
    @Resource = :resource, @LockMode = 'Exclusive', @LockOwner = :owner, @LockTimeout = :patience"""
_LOCKED = "SELECT APPLOCK_MODE('public', :resource, :owner)"
_UNLOCK = "EXEC sp_releaseapplock @Resource = :resource, @LockOwner = :owner"
_REBUILD = "postlog rebuild"
_LOCATION = "SELECT CONCAT(@@SERVERNAME, '/', DB_NAME())"
_ROWS_DELETED_AT_ONCE = 4_000


def sqlserver_backend(url: URL, pool_size: int) -> SqlBackend:
    engine = create_engine(
        url,
        module=driver.load(),
        connect_args={"timeout": _LOGIN_SECONDS},
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "handle_error", discard_session)
    event.listen(engine, "before_execute", lock_first)
    event.listen(engine, "before_cursor_execute", prepare_cursor)
    event.listen(engine, "before_cursor_execute", mark_nulls, retval=True)
    event.listen(engine, "do_setinputsizes", set_parameter_types)
    return SqlBackend(
        engine=engine,
        writing=lambda: _writing(engine),
        writing_together=lambda: _writing(engine),
        reads_snapshot=reads_snapshot,
        key_set=key_set,
        key_values=key_values,
        newest_per_post=newest_per_post,
        upsert=upsert,
        load=load,
        empty=lambda table: _empty(engine, table),
        try_lock=lambda: _try_lock(engine),
        lock_schema=_lock_schema,
        error_kind=error_kind,
        location=lambda connection: str(connection.execute(text(_LOCATION)).scalar_one()),
        remedy=remedy,
        is_read_only=lambda connection: connection.execute(text(_IS_READ_ONLY)).scalar_one() == "READ_ONLY",
        missing_rights=_missing_rights,
    )


def _prepare(connection: Any, entry: ConnectionPoolEntry) -> None:
    connection.timeout = _STATEMENT_SECONDS
    cursor = connection.cursor()
    cursor.execute(_SESSION)
    entry.info[_SNAPSHOT_MODE] = SnapshotMode.of(*cursor.execute(_SNAPSHOT_OPTIONS).fetchone())
    cursor.close()


@contextmanager
def _writing(engine: Engine) -> Iterator[Connection]:
    """The transaction is begun by a statement, so that committing one that the server has rolled back is an error. In
    the driver's own mode the next statement would begin another one, and the commit would commit that one."""
    with engine.connect() as connection:
        connection.exec_driver_sql(_BEGIN)
        try:
            yield connection
            connection.exec_driver_sql("COMMIT TRANSACTION")
        except BaseException:
            _roll_back(connection)
            raise


def _roll_back(connection: Connection) -> None:
    """An error here must not hide the one that caused the rollback."""
    if connection.invalidated:
        return
    try:
        connection.exec_driver_sql("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
    except DBAPIError as error:
        connection.invalidate(error)


def _empty(engine: Engine, table: Table) -> None:
    """TRUNCATE needs the right to alter the table, which a service lacks."""
    statement = text(f"DELETE TOP ({_ROWS_DELETED_AT_ONCE}) FROM {table.name}")
    with engine.connect() as connection:
        while connection.execute(statement).rowcount:
            pass


def _try_lock(engine: Engine) -> Callable[[], None] | None:
    """A lock of a session, on a connection of its own."""
    connection = engine.connect()
    try:
        connection.detach()
        is_taken = _lock(connection, _REBUILD, "Session", 1)
    except BaseException:
        connection.close()
        raise
    if not is_taken:
        connection.close()
        return None
    return lambda: _unlock(connection)


def _unlock(connection: Connection) -> None:
    """By a statement: the server ends a session, and with it the lock, a moment after it was closed."""
    with closing(connection), suppress(SQLAlchemyError):  # a session that broke has no lock any more
        connection.execute(text(_UNLOCK), {"resource": _REBUILD, "owner": "Session"})


def _missing_rights(connection: Connection) -> list[str]:
    needed = needed_rights()
    has = select(*(func.has_perms_by_name(f"dbo.{table}", "OBJECT", right) for table, right in needed))
    return missing(needed, connection.execute(has).one())


def _lock_schema(connection: Connection) -> None:
    if not _lock(connection, "postlog schema", "Transaction", 1_000 * _STATEMENT_SECONDS // 2):
        raise ReadDbUnavailable(
            f"Another process has been creating the tables of the read database ({driver.SETTING}) for too long.",
            path=driver.SETTING,
        )


def _lock(connection: Connection, resource: str, owner: str, patience: int) -> bool:
    """`patience` is in milliseconds. Whether we hold the lock is queried afterwards: a server may send a message that
    somebody else holds it before the result of sp_getapplock, and that would be taken for the result."""
    lock = {"resource": resource, "owner": owner}
    connection.execute(text(_LOCK), {**lock, "patience": patience})
    return bool(connection.execute(text(_LOCKED), lock).scalar_one() == "Exclusive")


# How a reader reads one snapshot of the database

_SNAPSHOT_OPTIONS = (
    "SELECT is_read_committed_snapshot_on, snapshot_isolation_state FROM sys.databases WHERE database_id = DB_ID()"
)
_SNAPSHOT_MODE = "postlog.snapshot_mode"


class SnapshotMode(Enum):
    """It depends on two options of the database, READ_COMMITTED_SNAPSHOT and ALLOW_SNAPSHOT_ISOLATION, which can't
    change while a connection is open, except that snapshots may be switched off."""

    EVERY_STATEMENT = "every statement reads one"
    TRANSACTION = "a statement in a snapshot transaction reads one"
    NONE = "a result is used when two reads agree"

    @classmethod
    def of(cls, read_committed_snapshot: bool, snapshot_isolation_state: int) -> "SnapshotMode":
        """`snapshot_isolation_state` is 1 when the option is on; other values mean off or changing."""
        if read_committed_snapshot:
            return cls.EVERY_STATEMENT
        return cls.TRANSACTION if snapshot_isolation_state == 1 else cls.NONE


def reads_snapshot(connection: Connection) -> bool:
    """Whether each of the statements that follow will read one snapshot."""
    mode = connection.info[_SNAPSHOT_MODE]
    if mode is SnapshotMode.TRANSACTION:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL SNAPSHOT")
    return mode is not SnapshotMode.NONE

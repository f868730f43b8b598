"""The engine for SQL Server, through pyodbc and Microsoft's ODBC driver, and what is particular to its SQL.

What stands here is understood by SQL Server and by servers that speak its protocol, as far as one was tried.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, func, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from adapters.sql.backend import SqlBackend
from adapters.sql.logins import missing, needed_rights
from adapters.sqlserver import driver
from adapters.sqlserver.bulk_load import load
from adapters.sqlserver.errors import give_up_session, remedy, trouble
from adapters.sqlserver.json_keys import key_set, key_values
from adapters.sqlserver.locks import lock_first
from adapters.sqlserver.moments import OPTIONS, Moments, one_moment, remember
from adapters.sqlserver.newest_per_post import newest_per_post
from adapters.sqlserver.parameter_arrays import prepare_cursor
from adapters.sqlserver.parameter_types import mark_missing, tell_types
from adapters.sqlserver.upsert import upsert
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
_WHEREABOUTS = "SELECT CONCAT(@@SERVERNAME, '/', DB_NAME())"
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
    event.listen(engine, "handle_error", give_up_session)
    event.listen(engine, "before_execute", lock_first)
    event.listen(engine, "before_cursor_execute", prepare_cursor)
    event.listen(engine, "before_cursor_execute", mark_missing, retval=True)
    event.listen(engine, "do_setinputsizes", tell_types)
    return SqlBackend(
        engine=engine,
        writing=lambda: _writing(engine),
        one_moment=one_moment,
        key_set=key_set,
        key_values=key_values,
        newest_per_post=newest_per_post,
        upsert=upsert,
        load=load,
        empty=lambda table: _empty(engine, table),
        try_lock=lambda: _try_lock(engine),
        lock_schema=_lock_schema,
        trouble=trouble,
        whereabouts=lambda connection: str(connection.execute(text(_WHEREABOUTS)).scalar_one()),
        remedy=remedy,
        is_read_only=lambda connection: connection.execute(text(_IS_READ_ONLY)).scalar_one() == "READ_ONLY",
        missing_rights=_missing_rights,
    )


def _prepare(connection: Any, entry: ConnectionPoolEntry) -> None:
    connection.timeout = _STATEMENT_SECONDS
    cursor = connection.cursor()
    cursor.execute(_SESSION)
    remember(entry.info, Moments.of(*cursor.execute(OPTIONS).fetchone()))
    cursor.close()


@contextmanager
def _writing(engine: Engine) -> Iterator[Connection]:
    """The transaction is begun in words, so that the commit of one that the server has given up is an error. In the
    driver's own mode the next statement would begin another one, and the commit would be that one's."""
    with engine.connect() as connection:
        connection.exec_driver_sql(_BEGIN)
        try:
            yield connection
            connection.exec_driver_sql("COMMIT TRANSACTION")
        except BaseException:
            _roll_back(connection)
            raise


def _roll_back(connection: Connection) -> None:
    """Whatever happens here must not hide what was wrong."""
    if connection.invalidated:
        return
    try:
        connection.exec_driver_sql("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
    except DBAPIError as error:
        connection.invalidate(error)


def _empty(engine: Engine, table: Table) -> None:
    """TRUNCATE needs the right to change the table, which a service has not."""
    statement = text(f"DELETE TOP ({_ROWS_DELETED_AT_ONCE}) FROM {table.name}")
    with engine.connect() as connection:
        while connection.execute(statement).rowcount:
            pass


def _try_lock(engine: Engine) -> Callable[[], None] | None:
    """A lock of a session, on a connection that belongs to nothing else."""
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
    """In words: the server ends a session, and with it the lock, a moment after it was closed."""
    with closing(connection), suppress(SQLAlchemyError):  # a session that broke has no lock any more
        connection.execute(text(_UNLOCK), {"resource": _REBUILD, "owner": "Session"})


def _missing_rights(connection: Connection) -> list[str]:
    needed = needed_rights()
    has = select(*(func.has_perms_by_name(f"dbo.{table}", "OBJECT", right) for table, right in needed))
    return missing(needed, connection.execute(has).one())


def _lock_schema(connection: Connection) -> None:
    if not _lock(connection, "postlog schema", "Transaction", 1_000 * _STATEMENT_SECONDS // 2):
        raise ReadDbUnavailable(
            f"Another process has been making the tables of the read database ({driver.SETTING}) for too long.",
            path=driver.SETTING,
        )


def _lock(connection: Connection, resource: str, owner: str, patience: int) -> bool:
    """`patience` is in milliseconds. Whether we have the lock is asked afterwards: before what sp_getapplock answers, a
    server may say in words that somebody else has it, and that would be taken for the answer."""
    lock = {"resource": resource, "owner": owner}
    connection.execute(text(_LOCK), {**lock, "patience": patience})
    return bool(connection.execute(text(_LOCKED), lock).scalar_one() == "Exclusive")

"""The engine for PostgreSQL, through psycopg, and what is particular to its SQL."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from psycopg.errors import UntranslatableCharacter
from psycopg.types.string import TextLoader
from sqlalchemy import (
    ARRAY,
    URL,
    Column,
    Connection,
    Engine,
    FromClause,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    create_engine,
    event,
    func,
    literal_column,
    select,
    text,
    true,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from adapters.postgres.errors import discard_session, error_kind, remedy
from adapters.postgres.writing import execute, load, pipelined, upsert
from adapters.sql.backend import Key, SqlBackend
from adapters.sql.logins import missing, needed_rights, slot_tables

_CONNECT = {
    "application_name": "postlog",
    "client_encoding": "utf8",
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
"""Timeouts that detect a server that vanished; the address may override them."""

_SESSION = """SET TIME ZONE 'UTC';
SET statement_timeout = '60s';
SET idle_in_transaction_session_timeout = '60s'"""
"""A process that was stopped in a transaction must not lock the checkpoints indefinitely."""

_POOLED_SESSION = "SET TIME ZONE 'UTC'"
_POOLED_TRANSACTION = """SELECT set_config('statement_timeout', '60s', true),
set_config('idle_in_transaction_session_timeout', '60s', true)"""
"""Behind a pooler another client gets the session after each transaction, so nothing may be left in it. Poolers restore
the time zone of each client themselves."""

_IS_POOLED = "postlog.pooled"

_IS_READ_ONLY = "SELECT current_setting('transaction_read_only') = 'on'"
"""True on a standby, and where `default_transaction_read_only` is on."""

_STAY_OPEN = """SELECT set_config(name, '0', true) FROM pg_settings
WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')"""

_SCHEMA_LOCK = 0x706F73746C6F67  # "postlog"
_REBUILD_LOCK = _SCHEMA_LOCK + 1

_MAY_READ_CLUSTER = "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'execute')"
_CLUSTER = "SELECT system_identifier FROM pg_catalog.pg_control_system()"
_DATABASE = "SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()"


def postgres_backend(url: URL, pool_size: int) -> SqlBackend:
    engine = create_engine(
        url,
        connect_args={name: value for name, value in _CONNECT.items() if name not in url.query},
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,
        use_native_hstore=False,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "handle_error", discard_session)
    return SqlBackend(
        engine=engine,
        writing=lambda: _writing(engine),
        writing_together=lambda: _writing_together(engine),
        key_set=_key_set,
        key_values=_key_values,
        newest_per_post=_newest_per_post,
        upsert=upsert,
        load=load,
        empty=lambda table: _empty(engine, table),
        try_lock=lambda: _try_lock(engine),
        lock_schema=_lock_schema,
        execute=execute,
        error_kind=error_kind,
        location=_location,
        remedy=remedy,
        is_read_only=lambda connection: bool(connection.execute(text(_IS_READ_ONLY)).scalar_one()),
        missing_rights=_missing_rights,
    )


def _prepare(connection: Any, entry: ConnectionPoolEntry) -> None:
    _require_utf8(connection)
    connection.adapters.register_loader("uuid", TextLoader)  # Postlog uses ids as text
    [session] = connection.execute("SELECT pg_backend_pid()").fetchone()
    entry.info[_IS_POOLED] = session != connection.info.backend_pid  # a pooler reports one of its own to each client
    if entry.info[_IS_POOLED]:
        connection.prepare_threshold = None
        connection.execute(_POOLED_SESSION)
    else:
        connection.execute(_SESSION)


def _require_utf8(connection: Any) -> None:
    """Raises the error that the server would raise at the first text that its encoding lacks."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        connection.close()
        raise UntranslatableCharacter(f"its encoding is {encoding}")


@contextmanager
def _writing_together(engine: Engine) -> Iterator[Connection]:
    with _writing(engine) as connection, pipelined(connection):
        yield connection


@contextmanager
def _writing(engine: Engine) -> Iterator[Connection]:
    with engine.connect().execution_options(isolation_level="READ COMMITTED") as connection, connection.begin():
        if connection.info.get(_IS_POOLED):
            connection.exec_driver_sql(_POOLED_TRANSACTION)
        yield connection


def _key_set(columns: Sequence[Column[Any]]) -> FromClause:
    arrays = [
        cast(
            func.string_to_array(bindparam(f"wanted_{place}", type_=Text()), literal_column("','")), ARRAY(column.type)
        )
        for place, column in enumerate(columns)
    ]
    names = [Column(column.name, column.type) for column in columns]
    return func.unnest(*arrays).table_valued(*names).render_derived(name="wanted")


def _key_values(keys: Sequence[Key]) -> Mapping[str, str]:
    """One text for each column, since a driver takes long to make an array; ids contain no comma."""
    return {f"wanted_{place}": ",".join(ids) for place, ids in enumerate(zip(*keys, strict=True))}


def _newest_per_post(wanted: FromClause, comments: Table, at_most: int) -> Select[*tuple[Any, ...]]:
    newest = (
        select(comments)
        .where(comments.c.post_id == wanted.c.post_id)
        .order_by(comments.c.comment_date.desc(), comments.c.comment_id.desc())
        .limit(at_most)
        .lateral("newest_of_post")
    )
    return select(newest).select_from(wanted.join(newest, true()))


def _missing_rights(connection: Connection) -> list[str]:
    needed = [*needed_rights(), *((table, "TRUNCATE") for table in slot_tables())]
    has = select(*(func.has_table_privilege(table, right) for table, right in needed))
    return missing(needed, connection.execute(has).one())


def _location(connection: Connection) -> str:
    """The number of the cluster, which its replicas share, and of the database in it."""
    cluster = ""
    if connection.execute(text(_MAY_READ_CLUSTER)).scalar_one():
        cluster = connection.execute(text(_CLUSTER)).scalar_one()
    return f"{cluster}/{connection.execute(text(_DATABASE)).scalar_one()}"


def _lock_schema(connection: Connection) -> None:
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})"))


def _empty(engine: Engine, table: Table) -> None:
    """TRUNCATE frees the space at once. It waits for statements that read the table, and none of them sees it half
    empty."""
    with _writing(engine) as connection:
        connection.execute(text(f"TRUNCATE {table.name}"))


def _try_lock(engine: Engine) -> Callable[[], None] | None:
    """An advisory lock of a transaction that stays open, on a connection of its own. A session's lock would be left
    behind in a pooler. The transaction reads nothing, so it does not hold back VACUUM."""
    connection = engine.connect().execution_options(isolation_level="READ COMMITTED")
    try:
        connection.detach()
        connection.exec_driver_sql(_STAY_OPEN)
        taken = connection.execute(text(f"SELECT pg_try_advisory_xact_lock({_REBUILD_LOCK})")).scalar_one()
    except BaseException:
        connection.close()
        raise
    if not taken:
        connection.close()
        return None
    return lambda: _unlock(connection)


def _unlock(connection: Connection) -> None:
    """Closing the session would release it too, but the server notices that a little later."""
    with connection, suppress(SQLAlchemyError):  # a session that broke has no lock any more
        connection.rollback()

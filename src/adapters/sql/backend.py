"""What differs between engines, as functions. Everything else in this folder is the same for all of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from operator import eq
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, CursorResult, Engine, FromClause, Select, Table, UpdateBase
from sqlalchemy.exc import DBAPIError

T = TypeVar("T")

Row = tuple[Any, ...]
"""Values in the order of the table's columns."""

Key = tuple[str, ...]
"""Values of one or two id columns."""

Step = tuple[Select[*tuple[Any, ...]] | UpdateBase, Mapping[str, Any]]
"""A statement and the values of its parameters."""


class ErrorKind(Enum):
    """What a driver's error means. Every answer of a server, unknown errors included, is one of the first four, so no
    answer of a server ends a process. A BUG is ours: the driver raised it before it asked the server."""

    TRANSIENT = "the same transaction may succeed when it is repeated at once"
    UNREACHABLE = "the database does not answer"
    REPORTED = "the database answers with an error"
    NO_TABLES = "the tables were not created yet"
    BUG = "it is a bug in this program"


def _always(_: Connection) -> bool:
    return True


def _never(_: Connection) -> bool:
    return False


def _nothing_missing(_: Connection) -> list[str]:
    return []


def _no_remedy(_: DBAPIError) -> str:
    return ""


def execute_one_by_one(connection: Connection, steps: Sequence[Step]) -> list[Sequence[Row]]:
    """The rows of a statement are read before the next one is sent: SQL Server's protocol has no other order."""
    return [_rows_of(connection.execute(statement, values)) for statement, values in steps]


def _rows_of(result: CursorResult[Any]) -> Sequence[Row]:
    return result.all() if result.returns_rows else [(result.rowcount,)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlBackend:
    """`engine` is in autocommit mode, in which every statement reads one snapshot of the database, unless
    `reads_snapshot` says otherwise: it is called before the statement, and where it returns False, `consistent_read`
    compares two reads.

    `writing` opens a transaction that commits at the end of its block. Each of its statements sees what was committed
    before that statement began, and `SELECT … FOR UPDATE` locks the rows until the end. `key_set` is a source of rows
    named `wanted`, with columns named as those given, to join with: the keys that come as parameters, which
    `key_values` makes. A statement has at most one. `newest_per_post` selects, for each post in the key set, all
    columns of its newest comments, at most so many. `upsert` and `load` write whole rows; `load` takes any number of
    rows, which must be new, as fast as the engine can. `execute` executes statements in their order and returns the
    rows of each, or of one that returns none how many rows it changed, `[(1,)]`. In a transaction of
    `writing_together`, results come from `execute` only; other statements write, their errors may be raised by any
    later one or by the commit, and `load` is not used. `empty` deletes all rows of a table that nobody reads or writes,
    in transactions of its own that block no others for long. `try_lock` takes the lock of rebuilds, which dies with its
    process: it returns the function that releases the lock, or None if somebody else holds it. `lock_schema` keeps
    other processes from changing the schema until the transaction ends. `remedy` is what to do about an error, where
    that is known. `is_read_only`: the server takes no writes, as a replica or after a failover. `missing_rights` are
    those that the login lacks of what a projector and a rebuild do: "INSERT posts_a". `location` distinguishes the
    database from a copy of it elsewhere, and does not depend on the address that leads to it.
    """

    engine: Engine
    writing: Callable[[], AbstractContextManager[Connection]]
    writing_together: Callable[[], AbstractContextManager[Connection]]
    key_set: Callable[[Sequence[Column[Any]]], FromClause]
    key_values: Callable[[Sequence[Key]], Mapping[str, Any]]
    newest_per_post: Callable[[FromClause, Table, int], Select[*tuple[Any, ...]]]
    upsert: Callable[[Connection, Table, Sequence[Row]], None]
    load: Callable[[Connection, Table, Iterable[Row]], None]
    empty: Callable[[Table], None]
    try_lock: Callable[[], Callable[[], None] | None]
    lock_schema: Callable[[Connection], None]
    error_kind: Callable[[DBAPIError], ErrorKind]
    location: Callable[[Connection], str]
    execute: Callable[[Connection, Sequence[Step]], list[Sequence[Row]]] = execute_one_by_one
    remedy: Callable[[DBAPIError], str] = _no_remedy
    is_read_only: Callable[[Connection], bool] = _never
    missing_rights: Callable[[Connection], list[str]] = _nothing_missing
    reads_snapshot: Callable[[Connection], bool] = _always


def consistent_read(
    backend: SqlBackend, connection: Connection, read: Callable[[], T], agree: Callable[[T, T], bool] = eq
) -> tuple[T, T]:
    """Two results that agree: both were true when the first read had ended and the second had not begun. Where a
    statement reads one snapshot, they are one and the same. `read` sends one statement by `connection`.

    If two reads return the same versions, nothing changed in between, because versions never repeat.
    """
    is_snapshot = backend.reads_snapshot(connection)
    first = read()
    if is_snapshot:
        return first, first
    while not agree(first, second := read()):
        first = second
    return first, second

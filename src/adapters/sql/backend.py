"""What differs between engines, as functions. Everything else in this folder is the same for all of them.

Answers of one moment from a database whose statements may each see several.

What is read twice and is the same was so all the time in between, since rows carry versions, which do not come back.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from operator import eq
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Engine, FromClause, Select, Table
from sqlalchemy.exc import DBAPIError

Row = tuple[Any, ...]
"""Values in the order of the table's columns."""

Key = tuple[str, ...]
"""Values of one or two id columns."""


class ErrorKind(Enum):
    """What a driver's error means. Whatever a server answers is one of the first four, unknown errors included: no
    answer of a server ends a process. A FAULT is ours, and comes from the driver before the server is asked."""

    TRANSIENT = "the same transaction may succeed when it is repeated at once"
    AWAY = "the database does not answer"
    REFUSED = "the database answers with an error"
    NO_TABLES = "the tables were not made yet"
    FAULT = "it is a fault of this program"


def _always(_: Connection) -> bool:
    return True


def _never(_: Connection) -> bool:
    return False


def _nothing_missing(_: Connection) -> list[str]:
    return []


def _nothing_known(_: DBAPIError) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlBackend:
    """`engine` is in autocommit mode, in which every statement sees one moment of the database, unless `one_moment`
    says otherwise: it is asked before the statement, and where it says no, `moments` finds answers of one moment.

    `writing` opens a transaction that commits at the end of its block. Each of its statements sees what was committed
    before that statement began, and `SELECT … FOR UPDATE` keeps others from those rows until the end. `key_set` is a
    source of rows named `wanted`, with columns named as those given, to join with: the keys that come as parameters,
    which `key_values` makes. A statement has one. `newest_per_post` selects, for each post in the key set, all columns
    of its newest comments, at most so many. `upsert` and `load` write whole rows; `load` takes any number of rows,
    which must be new, as fast as the engine can. `empty` deletes all rows of a table that nobody reads or writes, in
    transactions of its own that hold up no others for long. `try_lock` takes the lock of rebuilds, which dies with its
    process: what it answers gives the lock back, None means that somebody else has it. `lock_schema` keeps other
    processes from changing the schema until the transaction ends. `remedy` is what to do about an error, where that is
    known. `is_read_only`: the server takes no writes, as a replica or after a failover. `missing_rights` are those that
    the login lacks of what a projector and a rebuild do: "INSERT posts_a". `location` tells the database
    from a copy of it elsewhere, and does not depend on the address that leads to it.
    """

    engine: Engine
    writing: Callable[[], AbstractContextManager[Connection]]
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
    remedy: Callable[[DBAPIError], str] = _nothing_known
    is_read_only: Callable[[Connection], bool] = _never
    missing_rights: Callable[[Connection], list[str]] = _nothing_missing
    one_moment: Callable[[Connection], bool] = _always


T = TypeVar("T")


def consistent_read(
    backend: SqlBackend, connection: Connection, ask: Callable[[], T], agree: Callable[[T, T], bool] = eq
) -> tuple[T, T]:
    """Two answers that agree, which were true when the first was there and the second was not yet asked for; where a
    statement sees one moment, they are one and the same. `ask` sends one statement by `connection`."""
    is_settled = backend.one_moment(connection)
    first = ask()
    if is_settled:
        return first, first
    while not agree(first, second := ask()):
        first = second
    return first, second

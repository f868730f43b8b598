"""Answers of one moment from a database whose statements may each see several.

What is read twice and is the same was so all the time in between, since rows carry versions, which do not come back.
"""

from collections.abc import Callable
from operator import eq
from typing import TypeVar

from sqlalchemy import Connection

from adapters.sql.backend import SqlBackend

T = TypeVar("T")


def of_one_moment(
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

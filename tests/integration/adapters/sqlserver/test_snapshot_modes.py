"""Readers read one snapshot of the database, whatever its options; those that it lacks are pretended here.

A statement on the server that the tests use may read one snapshot whatever is pretended. That two reads are compared
where it does not is tested in `tests/unit/adapters/sql/test_consistent_read.py`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from adapters.sql.backend import SqlBackend
from adapters.sql.read_db import SqlReadDb
from adapters.sqlserver import engine
from adapters.sqlserver.engine import SnapshotMode
from adapters.sqlserver.read_db import sqlserver_read_db
from contracts.post_views import PostViewsContract
from contracts.read_db_handle import OpenReadDb, ReadDbHandle
from contracts.sql_read_db import handle_of, with_backend

RACES: list[Callable[[PostViewsContract, ReadDbHandle, ReadDbHandle], Awaitable[None]]] = [
    PostViewsContract.test_a_post_is_never_older_than_what_was_written_before_the_question,
    PostViewsContract.test_a_post_and_its_comments_are_of_one_version,
    PostViewsContract.test_after_a_swap_the_new_rows_are_seen,
    PostViewsContract.test_readers_never_see_a_mix_while_generations_are_swapped,
]


@pytest.fixture(params=[SnapshotMode.TRANSACTION, SnapshotMode.NONE], ids=["snapshot transactions", "asked twice"])
def pretended(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SnapshotMode:
    monkeypatch.setattr(engine.SnapshotMode, "of", lambda *_: request.param)
    return request.param


@pytest.mark.parametrize("race", RACES, ids=[race.__name__.removeprefix("test_") for race in RACES])
async def test_races(pretended: SnapshotMode, open_read_db: OpenReadDb, race: Callable[..., Awaitable[None]]) -> None:
    async with open_read_db() as read_db, open_read_db() as other:
        await race(PostViewsContract(), read_db, other)


@pytest.fixture
async def database(new_read_db_url: str) -> AsyncIterator[SqlReadDb]:
    async with sqlserver_read_db(new_read_db_url, pool_size=1) as database:
        yield database


async def test_snapshots_are_for_readers_only(pretended: SnapshotMode, database: SqlReadDb) -> None:
    """A projector that reads a snapshot would not see the changes of the previous lock holder."""
    read_db = handle_of(database)
    await read_db.views.stamp()
    levels: list[Any] = []

    def ask(backend: SqlBackend) -> None:
        with backend.writing() as connection:
            level = "SELECT transaction_isolation_level FROM sys.dm_exec_sessions WHERE session_id = @@SPID"
            levels.append(connection.exec_driver_sql(level).scalar_one())

    await with_backend(database, ask)
    assert levels == [2]

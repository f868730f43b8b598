"""Where a statement may read several states of the database, a result is used when two reads agree."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from adapters.sql.address import Address
from adapters.sql.backend import SqlBackend
from adapters.sql.read_db import SqlReadDb
from adapters.sqlite.read_db_engine import sqlite_backend
from adapters.sqlite.read_db_file import prepare
from application.ports.read_db import RowChanges
from contracts.read_db_handle import ReadDbHandle, comment, post, post_id
from contracts.sql_read_db import handle_of, with_backend


def _never(_: Connection) -> bool:
    return False


class Between:
    """Writes after each of the next statements that read the posts, as other processes would in the middle of a
    statement that reads several states."""

    def __init__(self) -> None:
        self.writes: list[str] = []
        self.reads = 0

    def listen(self, backend: SqlBackend) -> None:
        event.listen(backend.engine, "after_cursor_execute", self._count)

    def _count(self, connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT") and "posts_a" in statement:
            self.reads += 1
            if self.writes:
                with connection.engine.connect() as other:
                    other.execute(text(self.writes.pop(0)))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqlReadDb]:
    path = tmp_path / "read-db.sqlite"

    def connect() -> SqlBackend:
        return replace(sqlite_backend(path, 3), reads_snapshot=_never)

    address = Address(setting="read_db", place=str(path))
    async with SqlReadDb(address=address, threads=3, check=lambda: prepare(path), connect=connect) as database:
        await database.provisioning.provision()
        yield database


@pytest.fixture
async def read_db(database: SqlReadDb) -> ReadDbHandle:
    read_db = handle_of(database)
    await read_db.write(RowChanges(posts=[post(1)], comments=[comment(1, 1)]))
    return read_db


@pytest.fixture
async def between(database: SqlReadDb, read_db: ReadDbHandle) -> Between:
    between = Between()
    await with_backend(database, between.listen)
    return between


async def test_an_unchanged_post_is_read_twice(read_db: ReadDbHandle, between: Between) -> None:
    answer = await read_db.views.post(post_id(1))
    assert answer.value is not None
    assert (answer.value.post, answer.stamp.position, between.reads) == (post(1), 1, 2)


async def test_a_changing_post_is_read_until_two_reads_agree(read_db: ReadDbHandle, between: Between) -> None:
    between.writes = [
        "UPDATE posts_a SET version = 2",
        "UPDATE posts_a SET version = 3",
        "DELETE FROM comments_a",
    ]
    answer = await read_db.views.post(post_id(1))
    assert answer.value is not None
    assert (answer.value.post.version, list(answer.value.comments), between.reads) == (3, [], 5)


async def test_the_position_is_one_that_the_rows_have_reached(read_db: ReadDbHandle, between: Between) -> None:
    """Other posts may change meanwhile; a client that waits for their position must not be told that it is reached."""
    between.writes = ["UPDATE checkpoints SET position = 2"]
    answer = await read_db.views.post(post_id(1))
    assert (answer.stamp.position, between.reads) == (1, 2)
    assert (await read_db.views.post(post_id(1))).stamp.position == 2


async def test_rows_of_another_generation_agree_with_none_before(read_db: ReadDbHandle, between: Between) -> None:
    between.writes = ["UPDATE read_db SET generation = 3"]
    assert ((await read_db.views.post(post_id(1))).stamp.generation, between.reads) == (3, 3)


async def test_the_audit_reads_a_page_until_two_reads_agree(
    database: SqlReadDb, read_db: ReadDbHandle, between: Between
) -> None:
    between.writes = ["UPDATE posts_a SET version = 2"]
    [page] = await database.audit_rows.page(1, None, 10)
    assert (page.post.version, between.reads) == (2, 3)

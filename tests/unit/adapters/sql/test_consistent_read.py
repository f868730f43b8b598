"""Where a statement may see several moments of the database, an answer is believed when it is given twice."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from adapters.sql.address import Address
from adapters.sql.backend import SqlBackend
from adapters.sql.open_database import OpenDatabase
from adapters.sql.read_db import SqlAuditRows, SqlProvisioning, SqlReadDb
from adapters.sqlite.read_db_engine import sqlite_backend
from adapters.sqlite.read_db_file import prepare
from application.ports.read_db import RowChanges
from contracts.read_db_handle import ReadDbHandle, comment, post, post_id
from contracts.sql_read_db import handle_of


def _never(_: Connection) -> bool:
    return False


class Between:
    """Writes after each of the next statements that read the posts, as others would in the middle of one that sees
    several moments."""

    def __init__(self) -> None:
        self.writes: list[str] = []
        self.asked = 0

    def listen(self, opened: OpenDatabase) -> None:
        event.listen(opened._backend.engine, "after_cursor_execute", self._note)

    def _note(self, connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT") and "posts_a" in statement:
            self.asked += 1
            if self.writes:
                with connection.engine.connect() as other:
                    other.execute(text(self.writes.pop(0)))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqlReadDb]:
    path = tmp_path / "read-db.sqlite"

    def connect() -> SqlBackend:
        return replace(sqlite_backend(path, 3), one_moment=_never)

    address = Address(setting="read_db", place=str(path))
    async with SqlReadDb(address=address, threads=3, check=lambda: prepare(path), connect=connect) as database:
        await SqlProvisioning(database).provision()
        yield database


@pytest.fixture
async def read_db(database: SqlReadDb) -> ReadDbHandle:
    read_db = handle_of(database)
    await read_db.write(RowChanges(posts=[post(1)], comments=[comment(1, 1)]))
    return read_db


@pytest.fixture
async def between(database: SqlReadDb, read_db: ReadDbHandle) -> Between:
    between = Between()
    await database.run(between.listen)
    return between


async def test_what_nobody_changed_is_asked_for_twice(read_db: ReadDbHandle, between: Between) -> None:
    answer = await read_db.views.post(post_id(1))
    assert answer.value is not None
    assert (answer.value.post, answer.stamp.position, between.asked) == (post(1), 1, 2)


async def test_a_post_that_changed_is_asked_for_until_it_stays(read_db: ReadDbHandle, between: Between) -> None:
    between.writes = [
        "UPDATE posts_a SET version = 2",
        "UPDATE posts_a SET version = 3",
        "DELETE FROM comments_a",
    ]
    answer = await read_db.views.post(post_id(1))
    assert answer.value is not None
    assert (answer.value.post.version, list(answer.value.comments), between.asked) == (3, [], 5)


async def test_the_position_is_one_that_the_rows_have_reached(read_db: ReadDbHandle, between: Between) -> None:
    """Other posts may move on while we ask; whoever waits for their position must not be told that it is there."""
    between.writes = ["UPDATE checkpoints SET position = 2"]
    answer = await read_db.views.post(post_id(1))
    assert (answer.stamp.position, between.asked) == (1, 2)
    assert (await read_db.views.post(post_id(1))).stamp.position == 2


async def test_rows_of_another_generation_agree_with_none_before(read_db: ReadDbHandle, between: Between) -> None:
    between.writes = ["UPDATE read_db SET generation = 3"]
    assert ((await read_db.views.post(post_id(1))).stamp.generation, between.asked) == (3, 3)


async def test_the_audit_reads_a_page_until_it_stays(
    database: SqlReadDb, read_db: ReadDbHandle, between: Between
) -> None:
    between.writes = ["UPDATE posts_a SET version = 2"]
    [page] = await SqlAuditRows(database).page(1, None, 10)
    assert (page.post.version, between.asked) == (2, 3)

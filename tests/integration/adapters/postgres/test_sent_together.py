"""Statements that are sent together, and rows that go as one parameter, do what plain ones do."""

import random
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Table, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from adapters.postgres.read_db import postgres_read_db
from adapters.sql.backend import Row, SqlBackend, execute_one_by_one
from adapters.sql.read_db import SqlReadDb
from adapters.sql.rows import from_comment, from_parked, from_post
from adapters.sql.tables import SLOTS, checkpoints, parked_streams, read_db
from contracts.read_db_handle import NOON, TEXTS, comment, parked, post
from contracts.sql_read_db import with_backend


@pytest.fixture
async def database(fresh_postgres_url: str) -> AsyncIterator[SqlReadDb]:
    async with postgres_read_db(fresh_postgres_url, pool_size=2) as opened:
        await opened.provisioning.provision()
        yield opened


def upsert_one_by_one(connection: Connection, table: Table, rows: list[Row]) -> None:
    key = table.primary_key.columns.keys()
    for row in rows:
        values = dict(zip(table.c.keys(), row, strict=True))
        of_key = [table.c[name] == values[name] for name in key]
        if not connection.execute(update(table).where(*of_key).values(values)).rowcount:
            connection.execute(insert(table).values(values))


def random_posts(choice: random.Random) -> list[Row]:
    """Each once."""
    texts = list(TEXTS.values())
    numbers = choice.sample(range(60), choice.randint(1, 50))
    return [
        from_post(
            post(
                number,
                author=choice.choice(texts),
                message=choice.choice(texts),
                date_posted=NOON - timedelta(milliseconds=choice.randrange(10**9)),
                likes=choice.randrange(2**40),
                version=choice.randrange(1, 2**50),
            )
        )
        for number in numbers
    ]


def random_comments(choice: random.Random) -> list[Row]:
    numbers = choice.sample(range(60), choice.randint(1, 50))
    texts = list(TEXTS.values())
    return [
        from_comment(comment(number % 7, number, comment=choice.choice(texts), edited=choice.random() < 0.5))
        for number in numbers
    ]


async def test_rows_in_one_parameter_are_written_as_one_by_one(database: SqlReadDb) -> None:
    choice = random.Random(1)
    fast, plain = SLOTS["a"], SLOTS["b"]

    def write_both(backend: SqlBackend) -> None:
        for number in range(10):
            posts, comments = random_posts(choice), random_comments(choice)
            writing, write = (backend.writing_together, backend.upsert) if number else (backend.writing, backend.load)
            with writing() as connection:
                write(connection, fast.posts, posts)
                write(connection, fast.comments, comments)
            with backend.writing() as connection:
                upsert_one_by_one(connection, plain.posts, posts)
                upsert_one_by_one(connection, plain.comments, comments)
        with backend.writing() as connection:
            waiting = [parked(number, reason=reason) for number, reason in enumerate(TEXTS.values())]
            backend.upsert(connection, parked_streams, [from_parked(1, each) for each in waiting])
            upsert_one_by_one(connection, parked_streams, [from_parked(2, each) for each in waiting])

    await with_backend(database, write_both)
    for one, other in ((fast.posts, plain.posts), (fast.comments, plain.comments)):
        assert await rows_of(database, one) == await rows_of(database, other) != []
    found = await rows_of(database, parked_streams)
    by_generation = [sorted(row[1:] for row in found if row[0] == generation) for generation in (1, 2)]
    assert by_generation[0] == by_generation[1] != []


async def rows_of(database: SqlReadDb, table: Table) -> list[tuple[Any, ...]]:
    def read(backend: SqlBackend) -> list[tuple[Any, ...]]:
        with backend.engine.connect() as connection:
            return sorted(map(tuple, connection.execute(select(table))))

    return await with_backend(database, read)


async def test_results_are_those_of_statements_one_by_one(database: SqlReadDb) -> None:
    def compare(backend: SqlBackend) -> None:
        with backend.writing() as connection:
            backend.upsert(connection, SLOTS["a"].posts, random_posts(random.Random(2)))
        moved = update(read_db).values(partitions=7)
        steps = [
            (select(SLOTS["a"].posts).order_by(SLOTS["a"].posts.c.post_id).with_for_update(), {}),
            (moved, {}),
            (select(read_db), {}),
            (select(checkpoints), {}),
            (update(checkpoints).values(position=1), {}),
        ]
        results = []
        ways = ((backend.writing_together, backend.execute), (backend.writing, execute_one_by_one))
        for writing, execute in ways:
            with suppress(ZeroDivisionError), writing() as connection:
                results.append([[tuple(row) for row in rows] for rows in execute(connection, steps)])
                raise ZeroDivisionError  # undoes the update
        assert results[0] == results[1]
        assert results[0][1:] == [[(1,)], [(1, 1, "a", None, 7, False)], [], [(0,)]]

    await with_backend(database, compare)


async def test_an_error_ends_the_block_as_itself_and_leaves_a_usable_session(database: SqlReadDb) -> None:
    insert_post = insert(SLOTS["a"].posts).values(from_post(post(1)))

    def insert_twice(backend: SqlBackend) -> None:
        with backend.writing_together() as connection:
            connection.execute(insert_post)
            connection.execute(insert_post)
            connection.execute(text("UPDATE read_db SET partitions = 9"))

    def fail(backend: SqlBackend) -> None:
        for _ in range(3):  # the pool has only two connections
            with pytest.raises(IntegrityError, match="duplicate key"):
                insert_twice(backend)
        with backend.writing() as connection:
            [[live]] = backend.execute(connection, [(select(read_db.c.partitions), {})])
            assert live == (1,)

    await with_backend(database, fail)
    assert await rows_of(database, SLOTS["a"].posts) == []

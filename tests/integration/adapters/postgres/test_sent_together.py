"""Statements that are sent together, and rows that go as one parameter, do what plain ones do."""

import random
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Table, insert, make_url, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from adapters.postgres.read_db import postgres_read_db
from adapters.sql.backend import Row, SqlBackend, execute_one_by_one
from adapters.sql.read_db import SqlReadDb
from adapters.sql.rows import from_comment, from_parked, from_post
from adapters.sql.tables import SLOTS, checkpoints, parked_streams, read_db
from contracts.read_db_handle import NOON, TEXTS, comment, parked, post
from contracts.sql_read_db import with_backend

_ADMIN_SHUTDOWN = b"57P01"


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


@contextmanager
def late_end_of_connections(url: str) -> Iterator[str]:
    """The address of a proxy that delivers the message that the server ends a session when the client has sent the
    next one, and the end of the connection half a second later."""
    server = make_url(url)
    opened: list[socket.socket] = []

    def pass_on(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                time.sleep(0.3 if _ADMIN_SHUTDOWN in data else 0.0)
                target.sendall(data)
            time.sleep(0.5)
            target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                to_server = socket.create_connection((server.host, server.port))
                opened.extend((client, to_server))
                for ends in ((client, to_server), (to_server, client)):
                    threading.Thread(target=pass_on, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        proxied = server.set(host="127.0.0.1", port=listener.getsockname()[1])
        yield proxied.render_as_string(hide_password=False)
        listener.shutdown(socket.SHUT_RDWR)
        for each in opened:
            each.close()


async def test_a_session_that_ends_after_its_commit_is_discarded(
    fresh_postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The driver can't leave the pipeline then, and SQLAlchemy could not roll back."""

    def commit_and_end(connection: "psycopg.Connection[Any]") -> None:
        monkeypatch.undo()
        connection.commit()
        with psycopg.connect(fresh_postgres_url.replace("+psycopg", "", 1), autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])

    def end_sessions(backend: SqlBackend) -> None:
        monkeypatch.setattr(psycopg.Connection, "commit", commit_and_end)
        with pytest.raises(DBAPIError) as lost, backend.writing_together() as connection:
            connection.execute(insert(SLOTS["a"].posts).values(from_post(post(1))))
        assert lost.value.connection_invalidated
        with backend.writing() as connection:
            backend.upsert(connection, SLOTS["a"].posts, [from_post(post(2))])

    with late_end_of_connections(fresh_postgres_url) as url:
        async with postgres_read_db(url, pool_size=2) as database:
            await database.provisioning.provision()
            await with_backend(database, end_sessions)
            assert len(await rows_of(database, SLOTS["a"].posts)) == 2
    assert [record for record in caplog.records if record.name.startswith("sqlalchemy")] == []

"""The read database in PostgreSQL when connections break, servers die and others hold locks."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import make_url

from adapters.postgres import engine
from adapters.postgres.read_db import postgres_read_db
from adapters.sql.read_db import TimeLimits
from application.errors import ReadDbUnavailable
from application.ports.generations import SwapInterrupted
from application.ports.post_views import PostFilter
from application.ports.read_db import (
    Checkpoint,
    CheckpointMoved,
    LiveGeneration,
    ProjectionBatch,
    RowChanges,
    RowKeys,
    Rows,
)
from contracts.read_db_handle import LOG, NOON, ReadDbHandle, checkpoint, comment, moves, post, post_id
from contracts.sql_read_db import all_methods, handle_of
from contracts.waiting import eventually
from local.databases import fresh_postgres_database
from local.postgres import Postgres

Connect = Callable[[], psycopg.Connection]


def plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
def connect(fresh_postgres_url: str) -> Connect:
    """Somebody else, on the same database."""
    return lambda: psycopg.connect(plain(fresh_postgres_url))


@pytest.fixture
async def read_db(fresh_postgres_url: str) -> AsyncIterator[ReadDbHandle]:
    async with postgres_read_db(fresh_postgres_url, pool_size=4) as database:
        await database.provisioning.provision()
        yield handle_of(database)


# Broken connections


@pytest.mark.parametrize("count", [1, 500], ids=["a few rows", "many rows"])
async def test_a_connection_that_breaks_in_the_middle_of_a_batch_is_no_failure(
    read_db: ReadDbHandle, connect: Connect, count: int
) -> None:
    folds = 0

    def fold(rows: Rows) -> RowChanges:
        nonlocal folds
        folds += 1
        if folds == 1:
            _end_other_sessions(connect)
        return RowChanges(posts=[post(n) for n in range(count)])

    await read_db.store.project(ProjectionBatch(1, moves((None, checkpoint(1)))), fold)
    assert folds == 2
    assert await read_db.store.checkpoints(1) == {0: checkpoint(1)}
    assert len((await read_db.rows(map(post_id, range(count)))).posts) == count


async def test_readers_do_not_notice_that_all_connections_broke(read_db: ReadDbHandle, connect: Connect) -> None:
    await read_db.write(RowChanges(posts=[post(1)]))
    await asyncio.gather(*(read_db.views.posts(PostFilter(), 10, None) for _ in range(8)))
    _end_other_sessions(connect)
    answers = await asyncio.gather(*(read_db.views.posts(PostFilter(), 10, None) for _ in range(8)))
    assert [answer.value for answer in answers] == [[post(1)]] * 8


async def test_a_batch_that_is_the_victim_of_a_deadlock_is_retried(read_db: ReadDbHandle, connect: Connect) -> None:
    await read_db.write(RowChanges(posts=[post(1)]))
    folds = 0
    with connect() as rival:
        rival.execute("SET deadlock_timeout = '1min'")

        def fold(rows: Rows) -> RowChanges:
            nonlocal folds
            folds += 1
            if folds == 1:
                rival.execute("UPDATE posts_a SET likes = 5")
                asyncio.run_coroutine_threadsafe(want_checkpoint(), loop)
            return RowChanges(posts=[row._replace(likes=row.likes + 1) for row in rows.posts.values()])

        async def want_checkpoint() -> None:
            await asyncio.to_thread(rival.execute, "UPDATE checkpoints SET position = position")
            rival.commit()

        loop = asyncio.get_running_loop()
        batch = ProjectionBatch(1, moves((checkpoint(1), checkpoint(2))), RowKeys([post_id(1)], ()))
        await read_db.store.project(batch, fold)
    assert folds > 1
    assert (await read_db.rows([post_id(1)])).posts[post_id(1)].likes == 6


# Swaps


async def test_a_batch_that_waited_behind_a_swap_is_refused(read_db: ReadDbHandle, connect: Connect) -> None:
    """A swap locks the checkpoints of the live generation, and changes the live row only."""
    await read_db.write(RowChanges(posts=[post(1)]))
    with connect() as swap:
        swap.execute("SELECT * FROM checkpoints FOR UPDATE")
        batch = ProjectionBatch(1, moves((checkpoint(1), checkpoint(2))))
        late = asyncio.create_task(read_db.store.project(batch, lambda _: RowChanges(posts=[post(2)])))
        await eventually(lambda: _somebody_waits(connect))
        swap.execute("UPDATE read_db SET generation = 2, slot = 'b'")
        swap.commit()
    with pytest.raises(CheckpointMoved):
        await late
    with connect() as people:
        assert people.execute("SELECT count(*) FROM posts_a").fetchall() == [(1,)]
        assert people.execute("SELECT count(*) FROM posts_b").fetchall() == [(0,)]


@pytest.mark.parametrize("partition", [0, 1], ids=["the first partition", "one more partition"])
async def test_a_partition_that_begins_while_a_swap_is_under_way_waits_and_is_refused(
    read_db: ReadDbHandle, connect: Connect, partition: int
) -> None:
    """It has no checkpoint that the swap could have locked."""
    if partition:
        await read_db.write(RowChanges())
    with connect() as swap:
        swap.execute("SELECT * FROM read_db FOR UPDATE")
        swap.execute("SELECT * FROM checkpoints FOR UPDATE")
        batch = ProjectionBatch(1, moves((None, checkpoint(2, partition))))
        late = asyncio.create_task(read_db.store.project(batch, lambda _: RowChanges(posts=[post(2)])))
        await eventually(lambda: _somebody_waits(connect))
        swap.execute("UPDATE read_db SET generation = 2, slot = 'b'")
        swap.commit()
    with pytest.raises(CheckpointMoved):
        await late


async def test_a_partition_that_begins_just_before_a_swap_is_kept_by_it(
    fresh_postgres_url: str, read_db: ReadDbHandle, connect: Connect
) -> None:
    await read_db.store.claim(1, LOG, 2)
    await read_db.store.project(ProjectionBatch(1, moves((None, checkpoint(1)))), lambda _: RowChanges())
    async with postgres_read_db(fresh_postgres_url, pool_size=2) as database:
        generations = database.generations
        build = await generations.empty(await generations.begin(LOG, 1, NOON), NOON)
        seen: list[Mapping[int, Checkpoint]] = []

        async def swapped() -> LiveGeneration:
            async with generations.swap(build, keep_checkpoints=True) as swap:
                seen.append(swap.checkpoints)
                done = replace(build, position=5, commit_id="commit-5")
                return await swap.finish(done, RowKeys((), ()), lambda _: RowChanges())

        with connect() as projector:
            projector.execute("SELECT * FROM read_db FOR SHARE")
            projector.execute("INSERT INTO checkpoints VALUES (1, 1, 5, 5, 'commit-5')")
            swap = asyncio.create_task(swapped())
            await eventually(lambda: _somebody_waits(connect))
            projector.commit()
        live = await swap
    assert seen == [{0: checkpoint(1), 1: checkpoint(5, 1)}]
    assert await read_db.store.checkpoints(live.generation) == {0: checkpoint(5), 1: checkpoint(5, 1)}


async def test_a_swap_whose_session_is_ended_changes_nothing_and_may_be_repeated(
    fresh_postgres_url: str, read_db: ReadDbHandle, connect: Connect
) -> None:
    await read_db.store.claim(1, LOG, 1)
    async with postgres_read_db(fresh_postgres_url, pool_size=1) as database:
        generations = database.generations
        build = await generations.empty(await generations.begin(LOG, 1, NOON), NOON)

        async def swapped(*, is_ended: bool) -> LiveGeneration:
            async with generations.swap(build, keep_checkpoints=True) as swap:
                if is_ended:
                    _end_other_sessions(connect)
                return await swap.finish(build, RowKeys([post_id(1)], ()), lambda _: RowChanges(posts=[post(1)]))

        with pytest.raises(SwapInterrupted):
            await swapped(is_ended=True)
        assert (await read_db.store.live()).generation == 1
        assert (await swapped(is_ended=False)).generation == 2
    assert (await read_db.rows([post_id(1)])).posts[post_id(1)] == post(1)


async def test_a_swap_needs_no_thread_of_the_others(fresh_postgres_url: str, read_db: ReadDbHandle) -> None:
    """They may all be waiting for the only connection, which the swap holds."""
    await read_db.store.claim(1, LOG, 1)
    async with postgres_read_db(fresh_postgres_url, pool_size=1) as database:
        generations = database.generations
        build = await generations.empty(await generations.begin(LOG, 1, NOON), NOON)
        async with generations.swap(build, keep_checkpoints=True) as swap:
            builds = [asyncio.create_task(generations.builds()) for _ in range(3)]
            await asyncio.sleep(0.1)
            async with asyncio.timeout(5):
                await swap.finish(build, RowKeys((), ()), lambda _: RowChanges())
        assert [len(await each) for each in builds] == [2, 2, 2]


async def test_a_partition_that_begins_just_before_a_claim_counts_for_it(
    read_db: ReadDbHandle, connect: Connect
) -> None:
    await read_db.store.claim(1, LOG, 2)
    await read_db.store.project(ProjectionBatch(1, moves((None, checkpoint(9)))), lambda _: RowChanges())
    with connect() as projector:
        projector.execute("SELECT * FROM read_db FOR SHARE")
        projector.execute("INSERT INTO checkpoints VALUES (1, 1, 5, 5, 'commit-5')")
        claim = asyncio.create_task(read_db.store.claim(1, LOG, 3))
        await eventually(lambda: _somebody_waits(connect))
        projector.commit()
    assert (await claim).partitions == 3
    assert await read_db.store.checkpoints(1) == {n: checkpoint(5, n) for n in range(3)}


async def test_readers_do_not_wait_for_a_swap(read_db: ReadDbHandle, connect: Connect) -> None:
    await read_db.write(RowChanges(posts=[post(1)]))
    with connect() as swap:
        swap.execute("SELECT * FROM read_db FOR UPDATE")
        swap.execute("UPDATE read_db SET generation = 2, slot = 'b'")
        assert (await read_db.views.post(post_id(1))).stamp.generation == 1
        swap.commit()
    assert (await read_db.views.post(post_id(1))).stamp.generation == 2


# Unreachable servers


async def test_an_unreachable_server_is_named_with_its_setting_and_without_its_password() -> None:
    url = "postgresql+psycopg://ann:s3cr%25t@127.0.0.1:1/posts"
    async with postgres_read_db(url, pool_size=2) as database:
        for error in await all_methods(database):
            assert isinstance(error, ReadDbUnavailable)
            assert error.path == "read_db.postgres.url"
            assert error.message.startswith(
                "The read database posts on 127.0.0.1:1 (read_db.postgres.url) does not answer: "
            )
            assert "refused" in error.message
            assert "s3cr" not in f"{error.message} {error.__cause__}"
        probe = await database.probe.probe()
        assert not probe.ok
        assert "read_db.postgres.url" in probe.detail


async def test_a_wrong_password_is_reported_and_not_shown(fresh_postgres_url: str) -> None:
    url = make_url(fresh_postgres_url).set(password="wr0ng").render_as_string(hide_password=False)
    async with postgres_read_db(url) as database:
        with pytest.raises(ReadDbUnavailable, match="password authentication failed") as caught:
            await database.post_views.stamp()
        assert "wr0ng" not in f"{caught.value.message} {caught.value.__cause__}"


async def test_a_database_that_does_not_exist_is_named(fresh_postgres_url: str) -> None:
    url = make_url(fresh_postgres_url).set(database="nowhere").render_as_string(hide_password=False)
    async with postgres_read_db(url) as database:
        with pytest.raises(ReadDbUnavailable, match='database "nowhere" does not exist'):
            await database.post_views.stamp()


@pytest.fixture
def killable_url(killable_postgres: Postgres) -> Iterator[str]:
    with fresh_postgres_database(killable_postgres.url) as url:
        yield url
        killable_postgres.heal()


async def test_a_server_that_was_killed_is_unreachable_until_it_is_back(
    killable_postgres: Postgres, killable_url: str
) -> None:
    async with postgres_read_db(killable_url) as database:
        await database.provisioning.provision()
        read_db = handle_of(database)
        batch = ProjectionBatch(1, moves((None, checkpoint(1))))
        killable_postgres.kill()
        for asked in (read_db.views.post(post_id(1)), read_db.store.project(batch, lambda _: RowChanges())):
            with pytest.raises(ReadDbUnavailable):
                await asked
        killable_postgres.restart()
        await read_db.store.project(batch, lambda _: RowChanges(posts=[post(1)]))
        assert (await read_db.views.post(post_id(1))).value is not None


async def test_a_frozen_server_delays_no_caller_for_long(killable_postgres: Postgres, killable_url: str) -> None:
    limits = TimeLimits(reader=0.3, probe=0.3, closing=0.3)
    async with postgres_read_db(killable_url, pool_size=1, limits=limits) as database:
        await database.provisioning.provision()
        killable_postgres.freeze()
        with pytest.raises(ReadDbUnavailable, match=r"does not answer: no answer within 0\.3 seconds\."):
            await database.post_views.stamp()
        probe = await database.probe.probe()
        busy = "no answer within 0.3 seconds; all connections of this process (pool_size) wait for answers."
        assert (probe.ok, busy in probe.detail) == (False, True)
        started = time.monotonic()
    assert time.monotonic() - started < 2
    killable_postgres.thaw()
    await eventually(_no_thread_is_left)


# Rights and sessions


async def test_a_login_without_rights_on_the_schema_does_all_that_a_service_does(
    read_db: ReadDbHandle, connect: Connect, fresh_postgres_url: str
) -> None:
    login = f"service_{make_url(fresh_postgres_url).database}"
    with connect() as admin:
        admin.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'service'")
        admin.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {login}")
        admin.execute(f"GRANT TRUNCATE ON posts_a, posts_b, comments_a, comments_b TO {login}")
    url = make_url(fresh_postgres_url).set(username=login, password="service")
    try:
        async with postgres_read_db(url.render_as_string(hide_password=False), pool_size=2) as database:
            service = handle_of(database)
            posts, comments = [post(n) for n in range(100)], [comment(n, n) for n in range(100)]
            await service.store.claim(1, LOG, 1)
            await service.write(RowChanges(posts=posts, comments=comments))
            await service.write(RowChanges(cleared=[row.post_id for row in posts[:50]]))
            await service.store.mark_ready(1)
            assert (await service.views.post(post_id(99))).value is not None
            await database.provisioning.check()
            with (
                psycopg.connect(plain(url.render_as_string(hide_password=False))) as connection,
                pytest.raises(psycopg.errors.InsufficientPrivilege),
            ):
                connection.execute("DROP TABLE posts_a")
    finally:
        with connect() as admin:
            admin.execute(f"DROP OWNED BY {login}")
            admin.execute(f"DROP ROLE {login}")


async def test_a_login_that_may_not_read_is_reported(connect: Connect, fresh_postgres_url: str) -> None:
    login = f"nobody_{make_url(fresh_postgres_url).database}"
    async with postgres_read_db(fresh_postgres_url, pool_size=1) as database:
        await database.provisioning.provision()
    with connect() as admin:
        admin.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'nobody'")
    url = make_url(fresh_postgres_url).set(username=login, password="nobody").render_as_string(hide_password=False)
    try:
        async with postgres_read_db(url, pool_size=1) as database:
            with pytest.raises(ReadDbUnavailable, match="permission denied for table"):
                await database.post_views.stamp()
    finally:
        with connect() as admin:
            admin.execute(f"DROP ROLE {login}")


async def test_times_are_utc_whatever_the_database_is_set_to(fresh_postgres_url: str, connect: Connect) -> None:
    name = make_url(fresh_postgres_url).database
    with connect() as admin:
        admin.execute(f"ALTER DATABASE {name} SET timezone = 'America/New_York'")
        admin.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    async with postgres_read_db(fresh_postgres_url) as database:
        await database.provisioning.provision()
        read_db = handle_of(database)
        await read_db.write(RowChanges(posts=[post(1)]))
        found = (await read_db.views.post(post_id(1))).value
        assert found is not None
        assert found.post.date_posted.isoformat() == NOON.isoformat()


async def test_a_projector_that_is_stopped_in_a_transaction_loses_its_locks(
    fresh_postgres_url: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends its session; when the projector resumes, it repeats the batch in another session."""
    assert "idle_in_transaction_session_timeout = '60s'" in engine._SESSION
    monkeypatch.setattr(engine, "_SESSION", engine._SESSION.replace("60s", "200ms"))
    folds = 0

    def fold(rows: Rows) -> RowChanges:
        nonlocal folds
        folds += 1
        if folds == 1:
            asyncio.run(eventually(lambda: _somebody_else_moves(connect)))
        return RowChanges()

    async with postgres_read_db(fresh_postgres_url, pool_size=2) as database:
        await database.provisioning.provision()
        read_db = handle_of(database)
        await read_db.write(RowChanges())
        batch = ProjectionBatch(1, moves((checkpoint(1), checkpoint(3))))
        with pytest.raises(CheckpointMoved):
            await read_db.store.project(batch, fold)
    assert folds == 1


async def _somebody_else_moves(connect: Connect) -> bool:
    with connect() as other:
        other.execute("UPDATE checkpoints SET position = 2")
    return True


def _end_other_sessions(connect: Connect) -> None:
    with connect() as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


async def _no_thread_is_left() -> bool:
    return not any(thread.name.startswith("postlog-read-db") for thread in threading.enumerate())


async def _somebody_waits(connect: Connect) -> bool:
    def ask() -> bool:
        with connect() as admin:
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            found = admin.execute(f"{waiting} AND wait_event_type = 'Lock'").fetchone()
            return found is not None and found[0] > 0

    return await asyncio.to_thread(ask)

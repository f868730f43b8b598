"""Events that were split, merged, renamed and dropped since they were stored, on a real log and real rows: a live
projector, a rebuild and the audit make the same of them. An adapter of the log adopts it with a subclass named `Test…`
and the fixture `open_log`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from adapters.sql.read_db import SqlReadDb
from adapters.sqlite.read_db import sqlite_read_db
from application.ports.event_codec import EventCodec
from application.ports.event_store import Appended
from application.rows import CommentRow, PostRow, PostStatus
from command_process import CODEC
from containers import IN_MEMORY, container_with
from contracts.log_handle import LogHandle, OpenLog
from domain.ids import PostId
from entrypoints.composition.container import Container
from entrypoints.settings.model import Projector as ProjectorSettings
from given import COMMENT, NOON
from old_shapes import CODEC as NEWER_CODEC
from old_shapes import STORIES, commits

POSTS = {name: PostId(f"0198c0de-0000-7000-8000-0000000004{number:02x}") for number, name in enumerate(STORIES)}

# story: status, message, likes, comments, version; versions count stored events
EXPECTED = {
    "split": (PostStatus.LIVE, "Hello", 1, 1, 2),
    "split-among-others": (PostStatus.LIVE, "Hello", 2, 1, 3),
    "merge": (PostStatus.LIVE, "Hello", 1, 0, 3),
    "merge-among-others": (PostStatus.LIVE, "Hello", 1, 1, 4),
    "drop": (PostStatus.LIVE, "Hello", 1, 0, 3),
    "drop-among-others": (PostStatus.LIVE, "Hello", 1, 0, 3),
    "rename-then-add-a-field": (PostStatus.LIVE, "Hello", 1, 0, 2),
    "old-versions": (PostStatus.REMOVED, "", 1, 0, 6),
}


def expected_rows() -> dict[PostId, tuple[PostRow, list[CommentRow]]]:
    rows: dict[PostId, tuple[PostRow, list[CommentRow]]] = {}
    for name, (status, message, likes, comments, version) in EXPECTED.items():
        post_id = POSTS[name]
        post = PostRow(post_id, status, "Ann", NOON, message, likes, comments, version)
        rows[post_id] = (post, [CommentRow(post_id, COMMENT, "Bob", "Nice", NOON, False)] * comments)
    return rows


class _World:
    """A read database beside a log, and the code that reads old events or does not know them yet."""

    def __init__(self, log: LogHandle, database: SqlReadDb) -> None:
        self.log = log
        self.store = database.projection_store
        self.views = database.post_views
        self.parked = database.parked_streams
        self.generations = database.generations
        self.audit_rows = database.audit_rows

    def _container(self, codec: EventCodec, **settings: object) -> Container:
        return container_with(
            replace(IN_MEMORY, **settings),
            event_store=self.log.store,
            commit_log=self.log.commits,
            past_events=self.log.past_events,
            projection_store=self.store,
            post_views=self.views,
            parked_streams=self.parked,
            generations=self.generations,
            audit_rows=self.audit_rows,
            codec=codec,
        )

    @asynccontextmanager
    async def projecting(self, codec: EventCodec) -> AsyncIterator[None]:
        follower = self._container(codec, projector=ProjectorSettings(batch_size=3)).follower()
        task = asyncio.create_task(follower.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def write(self, name: str) -> None:
        outcomes = await self.log.store.append(commits(STORIES[name].stored, POSTS[name]))
        assert all(isinstance(outcome, Appended) for outcome in outcomes)

    async def caught_up(self, parked: int = 0) -> None:
        async with asyncio.timeout(20):
            while True:
                stamp = await self.views.stamp()
                if stamp.ready and stamp.position >= await self.log.commits.tip() and stamp.parked == parked:
                    return
                await asyncio.sleep(0.01)

    async def rows(self) -> dict[PostId, tuple[PostRow, list[CommentRow]]]:
        start = await self.audit_rows.start()
        page = await self.audit_rows.page(start.generation, None, 100)
        return {each.post.post_id: (each.post, list(each.comments)) for each in page}

    async def rebuild(self) -> None:
        rebuild = self._container(NEWER_CODEC).rebuild(batch_events=3)
        assert [build.generation async for build in rebuild.run()][-1] == (await self.store.live()).generation

    async def differences(self) -> list[object]:
        return list((await self._container(NEWER_CODEC).audit().run()).differences)


class OldHistoryContract:
    @pytest.fixture
    async def world(self, open_log: OpenLog, tmp_path: Path) -> AsyncIterator[_World]:
        async with open_log() as log, sqlite_read_db(tmp_path / "rows.sqlite") as database:
            yield _World(log, database)

    async def test_a_live_projector_a_rebuild_and_the_audit_make_the_same_of_it(self, world: _World) -> None:
        async with world.projecting(NEWER_CODEC):
            for name in STORIES:
                await world.write(name)
            await world.caught_up()
            assert await world.rows() == expected_rows()
            assert await world.differences() == []

            await world.rebuild()
            assert (await world.store.live()).generation == 2
            assert await world.rows() == expected_rows()
            assert await world.differences() == []

    async def test_a_projector_that_does_not_know_them_parks_them_and_one_of_newer_code_frees_them(
        self, world: _World
    ) -> None:
        unknown = [name for name in STORIES if name != "old-versions"]
        async with world.projecting(CODEC):
            for name in STORIES:
                await world.write(name)
            await world.caught_up(parked=len(unknown))
            assert {each.post_id for each in await world.parked.parked()} == {POSTS[name] for name in unknown}
            old = POSTS["old-versions"]
            assert (await world.rows())[old] == expected_rows()[old]
        async with world.projecting(NEWER_CODEC):
            await world.caught_up(parked=0)
            assert await world.rows() == expected_rows()

    async def test_a_rebuild_by_newer_code_frees_them_too(self, world: _World) -> None:
        async with world.projecting(CODEC):
            for name in STORIES:
                await world.write(name)
            await world.caught_up(parked=7)
        await world.rebuild()
        assert await world.parked.parked() == []
        assert await world.rows() == expected_rows()

"""A post with a million named likers takes commands at the defaults: after a restart, and when another large post is
written in turns with it.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from application.envelopes import StoredEvent
from application.errors import StoreUnavailable
from application.mediator import CommandContext, CommandDispatcher
from application.ports.event_store import Appended
from contracts.log_handle import POST_A, POST_B, liked, proposed
from domain.commands import LikePost
from domain.ids import PostId
from entrypoints.composition.container import container_for
from entrypoints.composition.resources import Resources
from entrypoints.settings.model import EventStore, Mongo, Settings, SqliteLog
from entrypoints.settings.secret import Secret
from local.databases import MongoDatabase

LIKERS = 1_000_000
OTHER_LIKERS = 200_000
AT_ONCE = 1_000

MakeStore = Callable[[pytest.FixtureRequest, Path], EventStore]


def on_sqlite(_: pytest.FixtureRequest, folder: Path) -> EventStore:
    return EventStore(sqlite=SqliteLog(path=str(folder / "log.sqlite")))


def on_mongo(request: pytest.FixtureRequest, _: Path) -> EventStore:
    place: MongoDatabase = request.getfixturevalue("fresh_mongo_database")
    return EventStore(adapter="mongo", mongo=Mongo(url=Secret(place.url), database=place.name))


async def like(commands: CommandDispatcher, post: PostId, name: str) -> int:
    return (await commands.dispatch(LikePost(post_id=post, username=name), CommandContext())).version


async def fill(settings: Settings, post: PostId, likers: int) -> None:
    """Each like is a commit of its own, as commands make them."""
    container = container_for(settings)
    async with Resources(container) as resources:
        log = await resources.open_log()
        if log.provisioning is not None:
            await log.provisioning.provision()
        created = {"author": "Ann", "message": "Hello", "datePosted": "2026-11-23T12:00:00.000Z"}
        await log.event_store.append([proposed(post, 1, StoredEvent("PostCreated", 1, created))])
        for begin in range(0, likers, AT_ONCE):
            page = [
                proposed(post, number + 2, liked(f"user number {number}")) for number in range(begin, begin + AT_ONCE)
            ]
            assert all(isinstance(outcome, Appended) for outcome in await log.event_store.append(page))


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("make", [on_sqlite, on_mongo], ids=["sqlite", "mongo"])
async def test_a_million_likers(make: MakeStore, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    settings = Settings(event_store=make(request, tmp_path))
    await fill(settings, POST_A, LIKERS)
    await fill(settings, POST_B, OTHER_LIKERS)

    container = container_for(settings)
    async with Resources(container) as resources:
        await resources.open_log()
        await resources.open_commands()
        for post in (POST_A, POST_B):  # the first time there is no snapshot: what takes too long goes on meanwhile
            deadline = time.monotonic() + 600
            while True:
                try:
                    await like(container.command_dispatcher(), post, "the first")
                    break
                except StoreUnavailable:
                    assert time.monotonic() < deadline
        await container.commands().stop()

    container = container_for(settings)
    async with Resources(container) as resources:
        await resources.open_log()
        await resources.open_commands()
        commands = container.command_dispatcher()
        for number in range(3):
            assert await like(commands, POST_A, f"another {number}") == LIKERS + 3 + number
            assert await like(commands, POST_B, f"another {number}") == OTHER_LIKERS + 3 + number
        answered = await asyncio.gather(*(like(commands, POST_A, f"at once {number}") for number in range(100)))
        assert sorted(answered) == list(range(LIKERS + 6, LIKERS + 106))

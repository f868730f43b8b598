"""Every path that reads the log reads old events in their current shape: it uses the codec, and an old history gives
the same result as the same history in current shapes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest

from adapters.memory.log import MemorySnapshots
from adapters.wire.event_codec import MsgspecEventCodec
from application.command_side.idempotency import result_of_commit
from application.command_side.stream_state import Snapshotting, StateLoader
from application.envelopes import Commit, DescribedEvent, StoredEvent
from application.maintenance.events_check import PositionRange, RangeCheck
from application.maintenance.rebuild import Rebuild
from application.pipeline import projector
from application.ports.event_codec import EventCodec
from application.query_side.history import ListEvents
from application.query_side.posts_as_of import GetPostAsOf
from application.rows import PostStatus
from command_process import CODEC, RecordedMetrics
from contracts.bus_handle import World
from contracts.memory_bus import memory_bus
from domain.errors import EventNotReadable, PostNotFound
from domain.events import PostEvent
from entrypoints.http.events import LogChangeNotifier, follow
from entrypoints.http.schemas import Event, event_view
from given import POST
from old_shapes import CHAIN as OTHER_CHAIN
from old_shapes import COMMENTED, CREATED, LIKED_BY_BOB, STORIES, Story, commits
from small_system import SmallSystem
from tools.catalogue.stored_shapes import GoldenEvent, golden_events
from unit.entrypoints.http.fakes import services

GOLDEN = golden_events(Path(__file__).parents[2] / "golden")


def story_of(golden: GoldenEvent) -> Story:
    """With the events before it without which the event can't be applied."""
    types = {event.type for event in golden.read_as}
    if "PostCreated" in types:
        before = []
    elif "CommentAdded" in types:
        before = [[CREATED]]
    else:
        comment_ids = [event.data["commentId"] for event in golden.stored if "commentId" in event.data]
        commented = StoredEvent(
            "CommentAdded", 1, {**COMMENTED.data, "commentId": (comment_ids or [COMMENTED.data["commentId"]])[0]}
        )
        before = [[CREATED], [LIKED_BY_BOB], [commented]]
    return Story([*before, golden.stored], [*before, golden.read_as])


CASES = {shape: (story_of(golden), MsgspecEventCodec()) for shape, golden in GOLDEN.items()} | {
    name: (story, MsgspecEventCodec(OTHER_CHAIN)) for name, story in STORIES.items()
}


class WatchedCodec:
    """Records the result for each commit."""

    def __init__(self, codec: EventCodec) -> None:
        self._codec = codec
        self.decoded: dict[int, list[PostEvent]] = {}
        self.described: dict[int, list[DescribedEvent]] = {}
        self.encode = codec.encode

    def decode(self, commit: Commit) -> list[PostEvent]:
        self.decoded[commit.version] = self._codec.decode(commit)
        return self.decoded[commit.version]

    def decode_until(self, commit: Commit, version: int) -> list[PostEvent]:
        self.decoded[commit.version] = self._codec.decode_until(commit, version)
        return self.decoded[commit.version]

    def describe(self, commit: Commit) -> list[DescribedEvent]:
        self.described[commit.version] = self._codec.describe(commit)
        return self.described[commit.version]

    def events(self) -> list[PostEvent]:
        return [event for version in sorted(self.decoded) for event in self.decoded[version]]

    def stored_forms(self) -> list[StoredEvent]:
        """The described events, as stored events."""
        events = [event for version in sorted(self.described) for event in self.described[version]]
        return [StoredEvent(event.type, event.schema_version, event.data) for event in events]


class UnreadingCodec:
    """Code that is older than every event."""

    encode, describe = CODEC.encode, CODEC.describe

    def decode(self, commit: Commit, *_: int) -> list[PostEvent]:
        raise EventNotReadable("It is newer.")

    decode_until = decode


async def system_with(history: Any, codec: EventCodec) -> SmallSystem:
    system = SmallSystem(codec=codec)
    await system.event_store.append(commits(history))
    return system


async def projected(system: SmallSystem) -> SmallSystem:
    async with system.projecting():
        await system.caught_up()
    return system


def rows_of(system: SmallSystem) -> Any:
    """Without the versions, which count stored events."""
    rows = system.read_db.live_rows
    return [post._replace(version=0) for post in rows.posts.values()], dict(rows.comments.get(POST, {}))


# Each path returns its result for the history.


async def the_command_side(history: Any, codec: WatchedCodec) -> Any:
    system = await system_with(history, codec)
    snapshotting = Snapshotting(MemorySnapshots(system.log), RecordedMetrics(), every=0)
    return (await StateLoader(system.event_store, codec, snapshotting).load(POST)).state


async def the_command_side_from_a_snapshot(history: Any, codec: WatchedCodec) -> Any:
    """The snapshot is of everything but the last commit, so that the tail is read on top of it."""
    system = await system_with(history[:-1], codec)
    snapshotting = Snapshotting(MemorySnapshots(system.log), RecordedMetrics(), every=1)
    before = await StateLoader(system.event_store, codec, snapshotting).load(POST)
    snapshotting.consider(POST, 0, before)
    await snapshotting.drain()
    await system.event_store.append(commits(history)[len(history) - 1 :])
    return (await StateLoader(system.event_store, codec, snapshotting).load(POST)).state


async def the_replay_of_an_answer(history: Any, codec: WatchedCodec) -> Any:
    system = await system_with(history, codec)
    answers = [result_of_commit(commit, None, codec) for commit in await system.event_store.read_stream(POST)]
    return [answer.comment_id for answer in answers if answer.comment_id]


async def the_projector(history: Any, codec: WatchedCodec) -> Any:
    return rows_of(await projected(await system_with(history, codec)))


async def the_projector_of_many_events_at_once(history: Any, codec: WatchedCodec) -> Any:
    """A batch that is decoded in a thread."""
    with patch.object(projector, "_EVENTS_AT_ONCE", 1):
        return rows_of(await projected(await system_with(history, codec)))


async def the_projector_behind_a_bus(history: Any, codec: WatchedCodec) -> Any:
    world = World(memory_bus(), codec)
    async with world.relaying(), world.projecting(batch_size=1):
        await world.on_the_bus()
        for events in history:
            await world.write(POST, *events)
        await world.caught_up()
    [(post, comments)] = world.rows().values()
    assert post is not None
    return post._replace(version=0), comments


async def the_retry_of_a_parked_post(history: Any, codec: WatchedCodec) -> Any:
    older = await projected(await system_with(history, UnreadingCodec()))
    assert list(older.read_db.live_parked) == [POST]
    system = SmallSystem(older.log, older.read_db, codec)
    assert (await system.retry.retry(POST)).still is None
    return rows_of(system)


def rebuild_of(system: SmallSystem, codec: EventCodec) -> Rebuild:
    return system.process_with(codec=codec).rebuild(batch_events=2)


async def the_rebuild(history: Any, codec: WatchedCodec) -> Any:
    system = await projected(await system_with(history, UnreadingCodec()))
    assert [build.generation async for build in rebuild_of(system, codec).run()][-1] == 2
    return rows_of(system)


async def the_last_step_of_a_rebuild(history: Any, codec: WatchedCodec) -> Any:
    """The whole history arrives, and is projected, after the build has caught up."""
    system = await projected(SmallSystem(codec=UnreadingCodec()))
    generations = system.generations
    swap = generations.swap

    @asynccontextmanager
    async def swap_after_more(*arguments: Any, **options: Any) -> Any:
        await system.event_store.append(commits(history))
        await projected(system)
        async with swap(*arguments, **options) as begun:
            yield begun

    generations.swap = swap_after_more
    assert [build.generation async for build in rebuild_of(system, codec).run()][-1] == 2
    return rows_of(system)


async def the_audit(history: Any, codec: WatchedCodec) -> Any:
    system = await projected(await system_with(history, codec))
    codec.decoded.clear()
    return (await system.container.audit().run()).differences


async def a_sample_of_the_audit(history: Any, codec: WatchedCodec) -> Any:
    system = await projected(await system_with(history, codec))
    codec.decoded.clear()
    return (await system.container.audit(seed=1).sample(10)).differences


async def the_repair(history: Any, codec: WatchedCodec) -> Any:
    system = await projected(await system_with(history, UnreadingCodec()))
    assert (await system.process_with(codec=codec).repair().repair(POST)).problem is None
    return rows_of(system)


async def the_check_of_all_events(history: Any, codec: WatchedCodec) -> Any:
    system = await system_with(history, codec)
    return (await RangeCheck(system.commit_log, codec).check(PositionRange(0, await system.commit_log.tip()), 5)).places


async def the_post_as_it_was(history: Any, codec: WatchedCodec) -> Any:
    system = await system_with(history, codec)
    last = (await system.event_store.read_stream(POST))[-1].last_version
    try:
        answer = await system.queries.ask(GetPostAsOf(post_id=POST, version=last))
    except PostNotFound:
        return PostStatus.REMOVED
    return answer.post._replace(version=0), answer.comments


PATHS = (
    the_command_side,
    the_command_side_from_a_snapshot,
    the_replay_of_an_answer,
    the_projector,
    the_projector_of_many_events_at_once,
    the_projector_behind_a_bus,
    the_retry_of_a_parked_post,
    the_rebuild,
    the_last_step_of_a_rebuild,
    the_audit,
    a_sample_of_the_audit,
    the_repair,
    the_check_of_all_events,
    the_post_as_it_was,
)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.__name__)
async def test_an_old_history_is_read_like_the_same_one_in_current_shapes(
    path: Callable[[Any, WatchedCodec], Awaitable[Any]], case: str
) -> None:
    story, codec = CASES[case]
    old, today = WatchedCodec(codec), WatchedCodec(CODEC)

    assert await path(story.stored, old) == await path(story.today, today)
    assert (
        old.events()
        == today.events()
        == [event for commit in commits_of(story.today) for event in CODEC.decode(commit)]
    )


async def the_list_of_events(system: SmallSystem) -> list[Any]:
    page = await system.queries.ask(ListEvents(post_id=POST, limit=100))
    return [event_view(event) for event in page.events]


async def the_stream_of_events(system: SmallSystem) -> list[Any]:
    """The first event, and then those that follow."""
    running = services(poll_seconds=0.001)
    first = await system.queries.ask(ListEvents(post_id=POST, limit=1))
    messages = follow(LogChangeNotifier(system.queries, running.stopping, 0.001), running, POST, first, 0)
    shown = []
    async with asyncio.timeout(5):
        async for message in messages:
            if message.data is not None:
                shown.append(msgspec.json.decode(message.data, type=Event))
            if message.id == (await system.event_store.read_stream(POST))[-1].last_version:
                break
    running.stopping.set()
    return shown


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("path", [the_list_of_events, the_stream_of_events], ids=lambda path: path.__name__)
async def test_an_old_history_is_shown_like_the_same_one_in_current_shapes(
    path: Callable[[SmallSystem], Awaitable[list[Any]]], case: str
) -> None:
    story, codec = CASES[case]
    watched = WatchedCodec(codec)
    system = await system_with(story.stored, watched)
    events = await path(system)

    shown = [StoredEvent(event.type, event.schema_version, event.data) for event in events]
    today = WatchedCodec(CODEC)
    for commit in commits_of(story.today):
        today.describe(commit)
    assert shown == watched.stored_forms() == today.stored_forms()
    stored = [(event.type, event.schema_version) for events in story.stored for event in events]
    assert {(event.stored_type, event.stored_schema_version) for event in events} <= set(stored)


def commits_of(history: Any) -> list[Commit]:
    return [
        Commit(
            position=position,
            stream_id=each.stream_id,
            version=each.version,
            commit_id=each.commit_id,
            recorded_at=each.recorded_at,
            metadata=each.metadata,
            events=each.events,
        )
        for position, each in enumerate(commits(history), 1)
    ]

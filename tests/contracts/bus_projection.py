"""From the log over the bus to the rows, whatever the bus does. An adapter adopts it with a subclass named `Test…` and
the fixture `bus`.
"""

import asyncio
import logging
from contextlib import AsyncExitStack
from itertools import count
from random import Random

import pytest

from adapters.memory.read_db import MemoryParkedStreams
from adapters.wire.cloudevents import WireMessage, to_messages
from adapters.wire.event_codec import MsgspecEventCodec
from application.envelopes import Commit, DescribedEvent, StoredEvent
from application.ports.bus import CommitEntry, Publication
from application.ports.relay_state import Lease
from contracts.bus_faults import FaultyPublisher, UnrulySubscription
from contracts.bus_handle import SOON, BusHandle, World, created, liked, post_id, running
from contracts.waiting import eventually
from domain.errors import EventNotReadable
from domain.events import PostEvent
from domain.ids import PostId
from old_shapes import CODEC as NEWER_CODEC
from old_shapes import STORIES

POSTS = [post_id(partition, number) for partition in range(3) for number in range(3)]


async def write_mixed(world: World, commits: int, seed: int = 1) -> None:
    """Posts in every partition; commits of one event and of several."""
    random = Random(seed)
    known: set[PostId] = set()
    for number in range(commits):
        post = random.choice(POSTS)
        if post not in known:
            known.add(post)
            await world.write(post, created(f"post {number}"))
        else:
            await world.write(post, *[liked(f"user {number}-{i}") for i in range(random.choice([1, 1, 1, 2, 5]))])


class BusProjectionContract:
    @pytest.fixture
    def world(self, bus: BusHandle) -> World:
        return World(bus)

    async def test_what_is_written_appears(self, world: World) -> None:
        async with world.relaying(), world.projecting():
            await world.on_the_bus()
            await write_mixed(world, 100)
            await world.caught_up()
            await world.write(post_id(1), liked())
            await world.caught_up()
        assert world.rows() == await world.fold()
        assert world.metrics.counts["projector_gaps"] == 0
        assert world.metrics.counts["projector_repeated_messages"] == 0

    async def test_two_projectors_share_the_work(self, world: World) -> None:
        second = World(world.bus, memory_log=world.memory_log, read_db=world.read_db)
        async with world.relaying(), world.projecting(), second.projecting():
            await until_both_project(world, second)
            await world.caught_up()
        assert world.rows() == await world.fold()

    async def test_a_projector_takes_over_from_one_that_leaves(self, world: World) -> None:
        second = World(world.bus, memory_log=world.memory_log, read_db=world.read_db)
        async with world.relaying(), world.projecting():
            async with second.projecting():
                await until_both_project(world, second)
            await write_mixed_likes(world, 50)
            await world.caught_up()
        assert world.rows() == await world.fold()

    async def test_two_read_databases_each_get_everything(self, world: World) -> None:
        second = World(world.bus, memory_log=world.memory_log)
        async with world.relaying(), world.projecting(), second.projecting():
            await write_mixed(world, 60)
            await world.caught_up()
            await second.caught_up()
        assert world.rows() == second.rows() == await world.fold()

    async def test_a_projector_resumes_where_it_was(self, world: World) -> None:
        async with world.relaying():
            async with world.projecting():
                await write_mixed(world, 40)
                await world.caught_up()
            await write_mixed_likes(world, 40)
            async with world.projecting():
                await world.caught_up()
        assert world.rows() == await world.fold()
        assert world.metrics.counts["projector_gaps"] == 0
        assert world.metrics.counts["projector_commits"] == 80, "no commit was applied twice"

    async def test_duplicated_and_reordered_messages_change_nothing(self, world: World) -> None:
        async with world.bus.subscription(world.read_db.id) as subscription, world.relaying():
            unruly = UnrulySubscription(subscription, seed=7)
            async with running(world.follower(unruly).run()):
                await write_mixed(world, 30)
                await world.caught_up()
                for seed in range(10):
                    await write_mixed_likes(world, 20, seed=seed)
                    await asyncio.sleep(0)
                await world.caught_up()
        assert world.rows() == await world.fold()
        assert unruly.tampered > 20

    async def test_a_relay_that_restarts_repeats_messages_and_changes_nothing(self, world: World) -> None:
        async with world.projecting():
            await world.on_the_bus()
            for seed in range(4):
                async with world.relaying():
                    await write_mixed_likes(world, 20, seed)
                    await world.caught_up()
                world.memory_log.relay.position -= 10
        assert world.rows() == await world.fold()
        assert world.metrics.counts["projector_repeated_messages"] >= 30
        assert world.metrics.counts["projector_gaps"] == 0

    async def test_two_relays_at_once_change_nothing(self, world: World) -> None:
        """One was paused beyond its lease and does not know it yet."""
        async with world.projecting(), AsyncExitStack() as relays:
            for _ in range(2):
                await relays.enter_async_context(running(world.relay(state=Unfenced()).run()))
            await write_mixed(world, 100)
            await world.caught_up()
            await write_mixed_likes(world, 50)
            await world.caught_up()
        assert world.rows() == await world.fold()

    async def test_a_topic_recreated_with_unread_messages_loses_nothing(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with world.relaying():
            async with world.projecting():
                await write_mixed(world, 30)
                await world.caught_up()
            await world.write(PostId("019b0000-0000-7000-8000-0000000000ff"), created("only on the old topic"))
            await published(world)
            await world.bus.recreate()
            with caplog.at_level(logging.WARNING):
                async with world.projecting():
                    await world.caught_up()
        assert world.rows() == await world.fold()
        assert "the topic was recreated; resuming from the log after position" in caplog.text
        assert world.metrics.counts["projector_bus_resets"] == 3

    async def test_a_topic_recreated_under_a_running_projector_loses_nothing(self, world: World) -> None:
        async with world.relaying(), world.projecting():
            await write_mixed(world, 30)
            await world.caught_up()
            await world.bus.recreate()
            await write_mixed_likes(world, 30)
            await world.caught_up()
            await write_mixed_likes(world, 30, seed=2)
            await world.caught_up()
        assert world.rows() == await world.fold()

    async def test_messages_that_are_gone_by_retention_are_read_from_the_log(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with world.relaying():
            async with world.projecting():
                await write_mixed(world, 30)
                await world.caught_up()
            await world.write(PostId("019b0000-0000-7000-8000-0000000000ff"), created("gone from the topic"))
            await published(world)
            await world.bus.expire()
            with caplog.at_level(logging.WARNING):
                async with world.projecting():
                    await world.caught_up()
        assert world.rows() == await world.fold()
        assert "the topic no longer has the next message; resuming from the log" in caplog.text
        assert world.metrics.counts["projector_bus_resets"] >= 1

    async def test_a_failed_delivery_is_sent_again(self, world: World) -> None:
        publisher = FaultyPublisher(world.bus.publisher, lambda entry: entry.commit.position == 17 and not tried)
        tried = publisher.lost
        async with world.relaying(publisher), world.projecting():
            await world.caught_up()
            await write_mixed(world, 40)
            await world.caught_up()
            await eventually(lambda: counted(world, "relay_interruptions", 1))
            await published(world)
        assert world.rows() == await world.fold()
        assert [entry.commit.position for entry in publisher.lost] == [17]

    async def test_a_post_whose_only_event_was_lost_appears(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Nobody noticed the loss, and nothing else is ever written: a watermark shows it."""
        publisher = FaultyPublisher(world.bus.publisher, lambda entry: entry.commit.position == 1, silent=True)
        async with world.projecting():
            await world.on_the_bus()
            with caplog.at_level(logging.WARNING):
                async with world.relaying(publisher):
                    await world.write(post_id(1), created("lonely"))
                    await world.caught_up()
        assert world.rows() == await world.fold()
        assert len(world.rows()) == 1
        assert len(publisher.lost) == 1
        assert "partition 1: messages are missing; reading positions 1 to 1 from the log" in caplog.text
        assert world.metrics.counts["projector_gaps"] == 1

    @pytest.mark.parametrize("batch_size", [1, 100])
    async def test_events_of_a_commit_are_merged_split_and_dropped_though_each_is_a_message(
        self, world: World, batch_size: int
    ) -> None:
        """The halves of a merge are of one commit, and may be received one by one."""
        world.codec = NEWER_CODEC
        posts = dict(zip(STORIES, POSTS, strict=False))
        async with world.relaying(), world.projecting(batch_size=batch_size):
            await world.on_the_bus()
            for name, story in STORIES.items():
                for events in story.stored:
                    await world.write(posts[name], *events)
            await world.caught_up()
        assert world.rows() == await world.fold()
        likes_and_versions = {
            name: (post.likes, post.version) for name in STORIES if (post := world.rows()[posts[name]][0])
        }
        assert likes_and_versions == {
            "split": (1, 2),
            "split-among-others": (2, 3),
            "merge": (1, 3),
            "merge-among-others": (1, 4),
            "drop": (1, 3),
            "drop-among-others": (1, 3),
            "rename-then-add-a-field": (1, 2),
            "old-versions": (1, 6),
        }
        assert (world.metrics.counts["projector_gaps"], world.read_db.live_parked) == (0, {})

    async def test_an_event_that_can_not_be_read_parks_its_post_only(self, world: World) -> None:
        codec = FixableCodec()
        world.codec = codec
        async with world.relaying():
            async with world.projecting():
                for post in POSTS:
                    await world.write(post, created())
                await world.write(post_id(0), StoredEvent("PostTeleported", 1, {}))
                for post in POSTS:
                    await world.write(post, liked())
                await world.caught_up()
                [parked] = await MemoryParkedStreams(world.read_db).parked()
                assert (parked.post_id, parked.position, parked.code) == (post_id(0), 10, "event-not-readable")
                others = {post: rows for post, rows in world.rows().items() if post != post_id(0)}
                assert others == await world.fold()
            codec.fixed = True
            async with world.projecting():
                await eventually(lambda: nothing_parked(world))
        assert world.rows() == await world.fold()
        post, _ = world.rows()[post_id(0)]
        assert post is not None
        assert (post.likes, post.version) == (2, 3), "the fixed event and the one behind it, in order"

    async def test_a_projector_retries_what_an_older_one_parked_when_it_takes_over_its_partitions(
        self, world: World
    ) -> None:
        """In a rolling upgrade the newer one starts before the older one stops, and parked posts wait for nobody's next
        start."""
        older = World(world.bus, memory_log=world.memory_log, read_db=world.read_db)
        older.codec, world.codec = FixableCodec(), FixableCodec(fixed=True)
        async with world.relaying(), world.projecting():
            async with older.projecting():
                await until_both_project(world, older)
                await write_mixed_likes(world, 60)
                for post in POSTS:
                    await world.write(post, StoredEvent("PostTeleported", 1, {}))
                await world.caught_up()
                assert world.read_db.live_parked, "the older one projects at least one of the three partitions"
            await eventually(lambda: nothing_parked(world), SOON)
            await world.caught_up()
        assert world.rows() == await world.fold()

    async def test_a_damaged_message_is_read_from_the_log(self, world: World) -> None:
        async with world.projecting():
            await world.on_the_bus()
            commit = await world.write(post_id(0), created())
            [message] = to_messages(Publication(world.log_id, 3, [CommitEntry(0, 0, commit)]))
            await world.bus.put(message._replace(value=b"\xff\xfe"))
            await eventually(lambda: has_row(world, post_id(0)))
            assert world.metrics.counts["projector_unreadable_messages"] == 1
            async with world.relaying():
                await write_mixed_likes(world, 20)
                await world.caught_up()
        assert world.rows() == await world.fold()
        assert world.read_db.live_parked == {}

    async def test_strangers_messages_are_passed_over(self, world: World) -> None:
        other_log = World(world.bus)
        async with world.relaying(), other_log.relaying(), world.projecting():
            await world.on_the_bus()
            for partition in range(3):
                await world.bus.put(WireMessage(partition, b"key", b"hello", [("content-type", b"text/plain")]))
            await write_mixed(world, 30)
            await write_mixed(other_log, 30, seed=9)
            await world.caught_up()
            await eventually(lambda: counted(world, "projector_foreign_messages", 30))
        assert world.rows() == await world.fold()
        assert world.metrics.counts["projector_unreadable_messages"] == 3


class Unfenced:
    """Grants every relay a lease at the beginning of the log, for ever."""

    async def acquire(self, owner: str, ttl_seconds: float) -> Lease:
        return Lease(owner=owner, token=1, position=0, ttl_seconds=ttl_seconds)

    async def renew(self, lease: Lease) -> bool:
        return True

    async def advance(self, lease: Lease, position: int) -> bool:
        return True

    async def set_back(self, lease: Lease, position: int) -> bool:
        return True

    async def release(self, lease: Lease) -> None:
        pass

    async def state(self) -> None:
        return None


class FixableCodec:
    """Knows `PostTeleported`, a like, only once it is `fixed`."""

    def __init__(self, *, fixed: bool = False) -> None:
        self.fixed = fixed
        self._codec = MsgspecEventCodec()
        self.encode = self._codec.encode

    def decode(self, commit: Commit) -> list[PostEvent]:
        [*events] = commit.events
        if self.fixed:
            events = [liked() if event.type == "PostTeleported" else event for event in events]
        elif any(event.type == "PostTeleported" for event in events):
            raise EventNotReadable("PostTeleported is not known.")
        return self._codec.decode(
            Commit(
                position=commit.position,
                stream_id=commit.stream_id,
                version=commit.version,
                commit_id=commit.commit_id,
                recorded_at=commit.recorded_at,
                metadata=commit.metadata,
                events=tuple(events),
            )
        )

    def describe(self, commit: Commit) -> list[DescribedEvent]:
        return self._codec.describe(commit)


async def write_mixed_likes(world: World, commits: int, seed: int = 1) -> None:
    """On posts that are there, or are made."""
    random = Random(seed)
    known = {commit.stream_id for commit in await world.log.read(0, 1_000_000)}
    for number in range(commits):
        post = random.choice(POSTS)
        if post not in known:
            known.add(post)
            await world.write(post, created())
        await world.write(post, *[liked(f"{seed}-{number}-{i}") for i in range(random.choice([1, 1, 3]))])


async def until_both_project(first: World, second: World) -> None:
    """Write until each has applied some of what both see."""
    seeds = count(100)

    async def look() -> bool:
        await write_mixed_likes(first, 5, seed=next(seeds))
        return all(world.metrics.counts["projector_commits"] > 0 for world in (first, second))

    await eventually(look, SOON)


async def published(world: World) -> None:
    """Return when the relay has published all of the log."""

    async def look() -> bool:
        return world.memory_log.relay.position >= world.memory_log.tip

    await eventually(look)


async def nothing_parked(world: World) -> bool:
    return not world.read_db.live_parked


async def has_row(world: World, post: PostId) -> bool:
    return post in world.read_db.live_rows.posts


async def counted(world: World, name: str, count: int) -> bool:
    return world.metrics.counts[name] >= count

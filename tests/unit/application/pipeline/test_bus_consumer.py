"""A projector that consumes the bus applies only commits that follow the rows, and reads the rest from the log."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import replace

import pytest

from adapters.memory.bus import MemoryBus, MemorySubscription
from adapters.memory.read_db import MemoryProjectionStore, MemoryReadDb
from adapters.wire.cloudevents import WireMessage, to_messages
from application.envelopes import Commit
from application.errors import ReadDbUnavailable, WrongLog
from application.partitioning import partition_of
from application.ports.bus import CommitEntry, Publication, Subscription, Watermark
from application.ports.read_db import Checkpoint, CheckpointMove, Fold, ProjectionBatch, ProjectionStore, RowChanges
from contracts.bus_faults import UnrulySubscription
from contracts.bus_handle import SOON, World, created, liked, post_id, running
from contracts.damaged_streams import rewrite_in_memory as rewrite
from contracts.memory_bus import memory_bus
from contracts.waiting import eventually
from domain.ids import PostId

AT_THE_BEGINNING = Checkpoint(partition=0, position=0, offset=0)


@pytest.fixture
def memory() -> MemoryBus:
    return MemoryBus(3)


@pytest.fixture
def world(memory: MemoryBus) -> World:
    return World(memory_bus(memory))


@asynccontextmanager
async def projecting(world: World, store: ProjectionStore, batch_size: int = 100) -> AsyncIterator[None]:
    async with (
        world.bus.subscription(world.read_db.id) as subscription,
        running(world.follower(subscription, store, batch_size).run()),
    ):
        yield


async def write_likes(world: World, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        post = post_id(number % 3)
        tail = world.memory_log.last_of(post)
        await world.write(post, liked(f"user {number}") if tail else created())


def stand_at_the_beginning(world: World, memory: MemoryBus, partitions: int = 3) -> None:
    """The database is ready, and every partition resumes at the topic's first message."""
    read_db = world.read_db
    read_db.live = replace(read_db.live, log_id=world.log_id, partitions=partitions, ready=True)
    for partition in range(partitions):
        at = replace(AT_THE_BEGINNING, partition=partition, topic_id=memory.topic.id)
        read_db.checkpoints[1][partition] = at


@pytest.mark.parametrize("batch_size", [1, 100])
async def test_a_post_of_which_the_log_lacks_a_version_is_parked_and_the_others_flow(
    world: World, memory: MemoryBus, batch_size: int
) -> None:
    """The rows are before the gap, the bus carries what is after it, and the log has nothing in between."""
    for number in range(2):
        await world.write(post_id(number), created())
        await world.write(post_id(number), liked("Bob"))
    async with world.relaying(), world.projecting():
        await world.caught_up()
    for number in (0, 0, 1):
        await world.write(post_id(number), liked("Cid"))
    rewrite(world.memory_log, 5, stream_id=post_id(2))
    async with world.relaying(), world.projecting(batch_size=batch_size):
        await world.caught_up()
    rows, parked = world.read_db.live_rows.posts, world.read_db.live_parked
    assert (rows[post_id(0)].version, rows[post_id(1)].version) == (2, 3)
    assert {each.code for each in parked.values()} == {"stream-damaged"}
    assert "version 3 is missing before position 6" in parked[post_id(0)].reason
    assert "versions 1 to 2 are missing before position 5" in parked[post_id(2)].reason


def messages_of(world: World, commit: Commit, partition: int, prev: int) -> list[WireMessage]:
    return list(to_messages(Publication(world.log_id, 3, [CommitEntry(partition, prev, commit)])))


def checkpoint(world: World, partition: int) -> Checkpoint | None:
    return world.read_db.checkpoints[world.read_db.live.generation].get(partition)


async def position_is(world: World, partition: int, position: int) -> None:
    async def look() -> bool:
        at = checkpoint(world, partition)
        return at is not None and at.position >= position

    await eventually(look, SOON)


async def settled() -> None:
    """Let everything run that can run."""
    for _ in range(200):
        await asyncio.sleep(0)


# An empty database


async def test_an_empty_database_is_filled_from_the_log_without_any_message(world: World) -> None:
    await write_likes(world, 250)
    async with world.projecting(batch_size=20):
        await world.caught_up()
    assert world.rows() == await world.fold()
    assert world.read_db.live == replace(world.read_db.live, log_id=world.log_id, partitions=3, ready=True)
    assert (world.metrics.gauges["projector_partitions_assigned"], world.metrics.gauges["projector_partitions"]) == (
        3,
        3,
    )


async def test_it_answers_no_query_before_it_is_filled(world: World) -> None:
    await write_likes(world, 100)
    store = Recording(world.read_db)
    async with projecting(world, store, batch_size=10):
        await world.caught_up()
    assert store.ready_at[:10] == [False] * 10, "ten batches of ten commits"
    assert store.divided_by == {3}, "who divides the posts in another way is refused by the store"


async def test_it_waits_for_the_partitions_of_other_projectors(world: World) -> None:
    await write_likes(world, 30)
    async with world.bus.subscription(world.read_db.id) as other, world.projecting():
        await position_is(world, 1, 30)
        await settled()
        assert not world.read_db.live.ready, "the rest belongs to another projector, which does nothing yet"
        assert world.metrics.gauges["projector_partitions_assigned"] < world.metrics.gauges["projector_partitions"]
        async with running(world.follower(other).run()):
            await world.caught_up()
    assert world.rows() == await world.fold()


async def test_an_empty_log_makes_an_empty_database_that_answers(world: World) -> None:
    async with world.projecting():
        await world.caught_up()
    assert world.rows() == {}


class Recording(MemoryProjectionStore):
    """Whether queries were answered while each batch was written, and by how many partitions posts were divided."""

    def __init__(self, read_db: MemoryReadDb) -> None:
        super().__init__(read_db)
        self._db = read_db
        self.ready_at: list[bool] = []
        self.divided_by: set[int | None] = set()

    async def project(self, batch: ProjectionBatch, fold: Fold) -> None:
        self.ready_at.append(self._db.live.ready)
        self.divided_by.add(batch.partitions)
        await super().project(batch, fold)


# Checkpoints


async def test_offset_and_position_move_together_with_the_rows(world: World, memory: MemoryBus) -> None:
    async with world.projecting():
        await world.caught_up()
        first = await world.write(post_id(1), created())
        memory.put(messages_of(world, first, 1, 0))
        await position_is(world, 1, 1)
    assert checkpoint(world, 1) == Checkpoint(
        partition=1,
        position=1,
        commit_position=1,
        commit_id=first.commit_id,
        topic_id=memory.topic.id,
        offset=1,
    )


async def test_no_checkpoint_passes_a_commit_that_is_not_whole(world: World, memory: MemoryBus) -> None:
    stand_at_the_beginning(world, memory)
    commit = await world.write(post_id(1), created(), liked("ann"), liked("bob"))
    for number, message in enumerate(messages_of(world, commit, 1, 0), 1):
        memory.put([message])
        async with world.projecting():
            await settled()
        at = checkpoint(world, 1)
        assert at is not None
        assert (at.position, at.offset) == ((1, 3) if number == 3 else (0, 0))
    assert world.rows() == await world.fold()
    assert world.metrics.counts["projector_gaps"] == 0


async def test_a_checkpoint_that_only_sees_reminders_is_written_now_and_then(world: World, memory: MemoryBus) -> None:
    """So that its offset does not expire, and not every reminder causes a write."""
    stand_at_the_beginning(world, memory)
    reminder = list(to_messages(Publication(world.log_id, 3, [Watermark(0, 0, 0)])))
    async with world.projecting():
        memory.put(reminder * 999)
        await settled()
        assert checkpoint(world, 0) == replace(AT_THE_BEGINNING, topic_id=memory.topic.id)
        memory.put(reminder)
        await settled()
        assert checkpoint(world, 0) == replace(AT_THE_BEGINNING, topic_id=memory.topic.id, offset=1_000)


async def test_offsets_are_committed_to_the_bus(world: World) -> None:
    async with world.bus.subscription(world.read_db.id) as subscription, running(world.follower(subscription).run()):
        await world.caught_up()
        async with world.relaying():
            await world.write(post_id(1), created())
            await world.caught_up()
        at = checkpoint(world, 1)
        assert at is not None
        assert isinstance(subscription, MemorySubscription)
        assert subscription.committed[1] == at.offset


# Transactions that fail, and others that move the checkpoints


async def test_after_a_failed_transaction_every_partition_goes_back_to_its_checkpoint(world: World) -> None:
    store = Failing(world.read_db)
    async with world.relaying(), projecting(world, store):
        await world.caught_up()
        store.fail_before = 1
        await write_likes(world, 9)
        await world.caught_up()
    assert world.rows() == await world.fold()
    assert world.metrics.counts["projector_interruptions"] == 1
    assert world.metrics.counts["projector_gaps"] == 0, "what was received was received again"


async def test_a_transaction_whose_answer_was_lost_is_not_repeated_on_its_own_rows(world: World) -> None:
    store = Failing(world.read_db)
    async with world.relaying(), projecting(world, store):
        await world.caught_up()
        store.fail_after = 1
        await write_likes(world, 9)
        await world.caught_up()
    assert world.rows() == await world.fold()
    assert world.metrics.counts["projector_interruptions"] == 1


async def test_after_a_swap_it_continues_in_the_new_generation(world: World) -> None:
    async with world.relaying(), world.projecting():
        await write_likes(world, 9)
        await world.caught_up()
        read_db = world.read_db
        read_db.slots["b"] = deepcopy(read_db.slots["a"])
        read_db.checkpoints[2] = dict(read_db.checkpoints[1])
        read_db.live = replace(read_db.live, generation=2, slot="b")
        old = deepcopy(read_db.slots["a"])
        await write_likes(world, 9, first=9)
        await world.caught_up()
    assert world.rows() == await world.fold()
    assert world.read_db.slots["a"] == old, "nothing was written to the old generation"


async def test_a_checkpoint_that_another_projector_moved_is_read_again(world: World) -> None:
    async with world.relaying(), world.projecting():
        await write_likes(world, 9)
        await world.caught_up()
        at = checkpoint(world, 1)
        assert at is not None
        zombie = CheckpointMove(at, replace(at, offset=(at.offset or 0) + 1))
        await MemoryProjectionStore(world.read_db).project(ProjectionBatch(1, [zombie]), lambda _: RowChanges())
        await write_likes(world, 9, first=9)
        await world.caught_up()
    assert world.rows() == await world.fold()


async def test_an_idle_projector_notices_that_a_checkpoint_was_moved_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the database would seem old until the next commit."""
    monkeypatch.setattr("application.pipeline.bus_consumer._READY_CHECK_SECONDS", 0.02)
    async with world.projecting():
        async with world.relaying():
            await write_likes(world, 9)
            await world.caught_up()
        at = checkpoint(world, 1)
        assert at is not None
        world.read_db.checkpoints[1][1] = replace(at, position=2, topic_id=None, offset=None)
        await position_is(world, 1, 9)


class Failing(MemoryProjectionStore):
    """Loses the connection before or after so many transactions."""

    fail_before = 0
    fail_after = 0

    async def project(self, batch: ProjectionBatch, fold: Fold) -> None:
        if self.fail_before:
            self.fail_before -= 1
            raise ReadDbUnavailable("The read database does not answer.")
        await super().project(batch, fold)
        if self.fail_after:
            self.fail_after -= 1
            raise ReadDbUnavailable("The read database does not answer.")


# Long gaps


async def test_a_long_gap_holds_up_its_own_partition_only(world: World, memory: MemoryBus) -> None:
    stand_at_the_beginning(world, memory)
    store = Following(world.read_db)
    for _ in range(500):
        await world.write(post_id(0), liked() if world.memory_log.tip else created())
    lost = await world.write(post_id(0), liked())
    other = await world.write(post_id(1), created())
    async with world.bus.subscription(world.read_db.id) as subscription:
        held = Held(subscription)
        async with running(world.follower(held, store, batch_size=10).run()):
            memory.put(messages_of(world, lost, 0, 500))
            memory.put(messages_of(world, other, 1, 0))
            await position_is(world, 0, 501)
    assert held.held == [0]
    assert store.positions_of_0[post_id(1)] < 100, "partition 1 did not wait for partition 0"
    assert world.rows() == await world.fold()
    assert world.metrics.counts["projector_gaps"] == 1
    assert store.largest <= 10


class Held(UnrulySubscription):
    """Well-behaved, and remembers what was paused."""

    def __init__(self, subscription: Subscription) -> None:
        super().__init__(subscription, seed=0, share=0.0)
        self.held: list[int] = []

    async def pause(self, partitions: Collection[int]) -> None:
        self.held += partitions
        await super().pause(partitions)


class Following(MemoryProjectionStore):
    """The position of partition 0 when each post first appeared, and how many posts' commits were folded at most."""

    def __init__(self, read_db: MemoryReadDb) -> None:
        super().__init__(read_db)
        self._db = read_db
        self.positions_of_0: dict[PostId, int] = {}
        self.largest = 0

    async def project(self, batch: ProjectionBatch, fold: Fold) -> None:
        before = self._likes()
        await super().project(batch, fold)
        self.largest = max(self.largest, self._likes() - before)
        for post in self._db.live_rows.posts:
            self.positions_of_0.setdefault(post, self._db.checkpoints[1][0].position)

    def _likes(self) -> int:
        return sum(post.likes for post in self._db.live_rows.posts.values())


async def test_a_message_that_names_a_position_beyond_the_log_blocks_nothing(world: World, memory: MemoryBus) -> None:
    stand_at_the_beginning(world, memory)
    first = await world.write(post_id(0), created())
    strange = first._replace(position=1_000_000, commit_id="nobody's")
    async with world.projecting():
        memory.put(messages_of(world, strange, 0, 999_999))
        memory.put(messages_of(world, first, 0, 0))
        await position_is(world, 0, 1)
        await settled()
    at = checkpoint(world, 0)
    assert at is not None
    assert at.position == 1
    assert world.rows() == await world.fold()


# Logs and topics that do not belong together


async def test_a_database_of_another_log_ends_it(world: World) -> None:
    world.read_db.live = replace(world.read_db.live, log_id="another log", partitions=3)
    async with world.bus.subscription(world.read_db.id) as subscription:
        with pytest.raises(WrongLog, match="was filled from log another log"):
            await world.follower(subscription).run()


async def test_a_topic_that_remembers_what_a_restored_log_forgot_ends_it(world: World, memory: MemoryBus) -> None:
    """Log and read database were put back to an older state, the topic was not."""
    stand_at_the_beginning(world, memory)
    commit = await world.write(post_id(0), created())
    memory.put(messages_of(world, commit._replace(commit_id="forgotten"), 0, 0))
    async with world.bus.subscription(world.read_db.id) as subscription:
        with pytest.raises(
            WrongLog, match="The bus carries commit forgotten at position 1, which the log does not have"
        ):
            await asyncio.wait_for(world.follower(subscription).run(), SOON)
    assert world.rows() == {}


async def test_old_messages_are_compared_with_the_log_again_and_again(world: World, memory: MemoryBus) -> None:
    stand_at_the_beginning(world, memory)
    for number in range(30):
        commit = await world.write(post_id(0), liked() if number else created())
        memory.put(messages_of(world, commit._replace(commit_id="x") if number > 15 else commit, 0, number))
    async with world.bus.subscription(world.read_db.id) as subscription:
        with pytest.raises(WrongLog, match="The bus carries commit x at position 20"):
            await asyncio.wait_for(world.follower(subscription, batch_size=10).run(), SOON)
    assert checkpoint(world, 0) == replace(
        AT_THE_BEGINNING,
        position=10,
        commit_position=10,
        commit_id=(await world.log.read(9, 1))[0].commit_id,
        topic_id=memory.topic.id,
        offset=10,
    )


async def test_rows_that_remember_what_a_restored_log_forgot_end_it(
    world: World, memory: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log was restored while the projector ran: what the relay publishes next has positions that were seen."""
    monkeypatch.setattr("application.pipeline.topic_check._SECONDS_BETWEEN_CHECKS", 0.0)
    commit = await world.write(post_id(0), created())
    async with world.bus.subscription(world.read_db.id) as subscription:
        following = asyncio.create_task(world.follower(subscription).run())
        await world.caught_up()
        entries = world.memory_log._entries
        entries[0] = replace(entries[0], commit=commit._replace(commit_id="written after the restore"))
        memory.put(messages_of(world, entries[0].commit, 0, 0))
        with pytest.raises(WrongLog, match="which the log does not have there"):
            await asyncio.wait_for(following, 3)


async def test_when_the_topic_gets_more_partitions_nothing_is_lost(world: World, memory: MemoryBus) -> None:
    async with world.relaying(), world.projecting():
        await write_likes(world, 20)
        await world.caught_up()
        memory.recreate(5)
        await write_likes(world, 20, first=20)
        await eventually(lambda: has_partitions(world, 5))
        await world.caught_up()
        await write_likes(world, 20, first=40)
        await world.caught_up()
    assert world.rows() == await world.fold()


async def test_an_idle_projector_notices_that_the_topic_was_repartitioned(
    world: World, memory: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("application.pipeline.bus_consumer._READY_CHECK_SECONDS", 0.02)
    async with world.projecting():
        await write_likes(world, 9)
        await world.caught_up()
        memory.recreate(2)
        await eventually(lambda: has_partitions(world, 2))
        await world.caught_up()


async def test_messages_from_before_the_topic_got_more_partitions_are_not_believed(world: World) -> None:
    """Kafka keeps the messages, and what they say of their partition was true of another number of partitions."""
    memory = MemoryBus(4)
    world = World(memory_bus(memory))
    stand_at_the_beginning(world, memory, 4)
    lost = await world.write(post_id(2, 0), created("its message was lost"))
    last = await world.write(post_id(1, 0), created())
    assert [partition_of(commit.stream_id, 4) for commit in (lost, last)] == [3, 0]
    memory.put(to_messages(Publication(world.log_id, 3, [Watermark(partition, 0, 2) for partition in range(3)])))
    async with world.projecting():
        await eventually(lambda: counted(world, "projector_gaps", 3))
        assert post_id(2, 0) not in world.rows()
        memory.put(to_messages(Publication(world.log_id, 4, [Watermark(3, 2, 2)])))
        await world.caught_up()
    assert world.rows() == await world.fold()


async def has_partitions(world: World, count: int) -> bool:
    return world.read_db.live.partitions == count


async def counted(world: World, name: str, count: int) -> bool:
    return world.metrics.counts[name] >= count

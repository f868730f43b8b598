"""Whatever happens on the way, no checkpoint is ever ahead of the rows, and in the end the rows are the log's fold."""

import asyncio
from contextlib import AsyncExitStack
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.memory.bus import MemoryBus
from adapters.memory.read_db import MemoryProjectionStore
from application.errors import ReadDbUnavailable
from application.partitioning import partition_of
from application.ports.bus import Subscription
from application.ports.read_db import Fold, ProjectionBatch
from contracts.bus_faults import FaultyPublisher, UnrulySubscription
from contracts.bus_handle import World, running
from contracts.bus_projection import Unfenced, write_mixed_likes
from contracts.memory_bus import memory_bus


class CheckedStore(MemoryProjectionStore):
    """Fails now and then, before or after it has written; and after every transaction compares each checkpoint with
    the rows."""

    def __init__(self, world: World, random: Random) -> None:
        super().__init__(world.read_db)
        self._world = world
        self._random = random
        self.fails = True

    async def project(self, batch: ProjectionBatch, fold: Fold) -> None:
        if self.fails and self._random.random() < 0.02:
            raise ReadDbUnavailable("The read database does not answer.")
        before = dict(self._world.read_db.checkpoints[batch.generation])
        await super().project(batch, fold)
        after = self._world.read_db.checkpoints[batch.generation]
        assert all(after[partition].position >= at.position for partition, at in before.items())
        await self._compare()
        if self.fails and self._random.random() < 0.02:
            raise ReadDbUnavailable("The read database does not answer.")

    async def _compare(self) -> None:
        live = self._world.read_db.live
        checkpoints = self._world.read_db.checkpoints[live.generation]
        rows = self._world.read_db.live_rows.posts
        for commit in await self._world.log.read(0, 10_000):
            at = checkpoints.get(partition_of(commit.stream_id, live.partitions))
            if at is not None and at.position >= commit.position:
                assert rows[commit.stream_id].version >= commit.last_version, f"{at} is ahead of {commit}"


class Disorder:
    """The faults and actions that may occur, one a method."""

    def __init__(self, world: World, memory: MemoryBus, random: Random, running_now: AsyncExitStack) -> None:
        self._world = world
        self._memory = memory
        self._random = random
        self._running = running_now
        self._store = CheckedStore(world, random)
        self._projectors: list[AsyncExitStack] = []

    async def happen(self) -> None:
        await self._random.choice(
            [
                self.write,
                self.write,
                self.write,
                self.another_relay,
                self.forget_what_was_published,
                self.another_projector,
                self.projector_dies,
                self.topic_is_made_anew,
                self.messages_expire,
            ]
        )()
        for _ in range(self._random.choice([0, 10, 100, 300])):
            await asyncio.sleep(0)  # let the others run, for a longer or shorter time

    async def write(self) -> None:
        await write_mixed_likes(self._world, self._random.randint(1, 20), seed=self._random.randint(0, 1_000_000))

    async def another_relay(self) -> None:
        """It does not know that there are others, and loses messages without noticing."""
        publisher = FaultyPublisher(self._memory, lambda _: self._random.random() < 0.05, silent=True)
        relay = self._world.relay(publisher, state=Unfenced(), batch_size=self._random.randint(1, 30))
        await self._running.enter_async_context(running(relay.run()))

    async def forget_what_was_published(self) -> None:
        relay = self._world.memory_log.relay
        relay.position = self._random.randint(0, relay.position)

    async def another_projector(self) -> None:
        stack = await self._running.enter_async_context(AsyncExitStack())
        subscription: Subscription = await stack.enter_async_context(self._memory.subscription("postlog"))
        unruly = UnrulySubscription(subscription, seed=self._random.randint(0, 1_000_000))
        follower = self._world.follower(unruly, self._store, batch_size=self._random.randint(3, 40))
        await stack.enter_async_context(running(follower.run()))
        self._projectors.append(stack)

    async def projector_dies(self) -> None:
        if len(self._projectors) > 1:
            await self._projectors.pop(self._random.randrange(len(self._projectors))).aclose()

    async def topic_is_made_anew(self) -> None:
        self._memory.recreate(self._random.choice([3, 3, 3, 2, 5]))

    async def messages_expire(self) -> None:
        for partition in self._memory.topic.partitions:
            partition.drop_before(self._random.randint(0, partition.end))

    def calm_down(self) -> None:
        self._store.fails = False


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a projector that has nothing to write notices in time that its checkpoint was moved."""
    monkeypatch.setattr("application.pipeline.bus_consumer._READY_CHECK_SECONDS", 0.1)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
async def test_disorder_changes_nothing(seed: int) -> None:
    random = Random(seed)
    memory = MemoryBus(3)
    world = World(memory_bus(memory))
    async with AsyncExitStack() as running_now:
        disorder = Disorder(world, memory, random, running_now)
        await running_now.enter_async_context(world.relaying())
        await disorder.another_projector()
        for _ in range(random.randint(5, 25)):
            await disorder.happen()
        disorder.calm_down()
        await world.caught_up()
    assert world.rows() == await world.fold()
    assert world.read_db.live_parked == {}

"""The bus in memory as the suites want it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.memory.bus import MemoryBus, MemorySubscription
from adapters.wire.cloudevents import WireMessage
from contracts.bus_handle import PARTITIONS, BusHandle


def memory_bus(bus: MemoryBus | None = None) -> BusHandle:
    bus = bus or MemoryBus(PARTITIONS)

    async def recreate() -> None:
        bus.recreate(PARTITIONS)

    async def expire() -> None:
        for partition in bus.topic.partitions:
            partition.drop_before(partition.end)

    async def put(message: WireMessage) -> None:
        bus.put([message])

    @asynccontextmanager
    async def subscription(database_id: str) -> AsyncIterator[MemorySubscription]:
        async with bus.subscription("test") as subscription:
            await subscription.join(database_id)
            yield subscription

    return BusHandle(bus, subscription, recreate, expire, put)

"""The bus in memory keeps the contracts."""

import pytest

from adapters.memory.bus import MemoryBus
from adapters.wire.cloudevents import WireMessage
from contracts.bus import BusContract
from contracts.bus_handle import BusHandle
from contracts.bus_projection import BusProjectionContract
from contracts.memory_bus import memory_bus


@pytest.fixture
def bus() -> BusHandle:
    return memory_bus()


class TestBus(BusContract):
    pass


class TestProjection(BusProjectionContract):
    pass


async def test_old_messages_are_dropped_when_the_partition_is_full() -> None:
    bus = MemoryBus(2, retained_bytes=100)
    bus.put([WireMessage(0, b"k", b"x" * 19, []) for _ in range(10)])
    bus.put([WireMessage(1, b"k", b"x" * 19, [])])
    assert [(partition.begin, partition.end) for partition in bus.topic.partitions] == [(8, 10), (0, 1)]

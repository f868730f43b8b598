"""Without faults the simulated stores keep the contracts, so they are neither kinder nor harsher than the real ones."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

import pytest

from adapters.memory.bus import MemoryBus
from adapters.memory.log import MemoryLog
from adapters.memory.read_db import MemoryReadDb
from adapters.wire.cloudevents import WireMessage
from contracts.bus import BusContract
from contracts.bus_handle import PARTITIONS, BusHandle
from contracts.bus_projection import BusProjectionContract
from contracts.commit_log import CommitLogContract
from contracts.event_store import EventStoreContract
from contracts.log_handle import LogHandle, OpenLog
from contracts.parked_streams import ParkedStreamsContract
from contracts.post_views import PostViewsContract
from contracts.projection_store import ProjectionStoreContract
from contracts.read_db_handle import OpenReadDb, ReadDbHandle
from contracts.rebuilding import Maintained, OpenMaintained, RebuildingContract
from contracts.relay_state import RelayStateContract
from contracts.snapshots import SnapshotsContract
from simulation.bus_server import BusServer, SimulatedPublisher, SimulatedSubscription
from simulation.log_server import (
    LogServer,
    Seen,
    SimulatedCommitLog,
    SimulatedEventStore,
    SimulatedRelayState,
    SimulatedSnapshots,
)
from simulation.network import Network
from simulation.read_db_server import (
    ReadDbServer,
    SimulatedAuditRows,
    SimulatedGenerations,
    SimulatedParkedStreams,
    SimulatedPostViews,
    SimulatedProjectionStore,
)
from small_system import ReadSide


def log_server() -> LogServer:
    return LogServer(Network(Random(1)), MemoryLog(), time.monotonic)


@pytest.fixture
def open_log() -> OpenLog:
    server = log_server()

    @asynccontextmanager
    async def opened() -> AsyncIterator[LogHandle]:
        seen = Seen()
        events = SimulatedEventStore(server, seen)
        yield LogHandle(events, SimulatedCommitLog(server, seen), events)

    return opened


class TestEventStore(EventStoreContract):
    pass


class TestCommitLog(CommitLogContract):
    pass


class TestSnapshots(SnapshotsContract):
    @pytest.fixture
    def snapshots(self) -> SimulatedSnapshots:
        return SimulatedSnapshots(log_server(), Seen())


class TestRelayState(RelayStateContract):
    @pytest.fixture
    def relay(self) -> SimulatedRelayState:
        return SimulatedRelayState(log_server(), Seen())


@pytest.fixture
def open_read_db() -> OpenReadDb:
    memory = MemoryReadDb()
    server = ReadDbServer(Network(Random(1)), memory)

    async def swap() -> None:
        live = memory.live
        memory.checkpoints[live.generation + 1] = dict(memory.checkpoints[live.generation])
        memory.live = replace(live, generation=live.generation + 1, slot="b" if live.slot == "a" else "a")

    @asynccontextmanager
    async def opened() -> AsyncIterator[ReadDbHandle]:
        store, views = SimulatedProjectionStore(server), SimulatedPostViews(server)
        yield ReadDbHandle(store, views, SimulatedParkedStreams(server), swap)

    return opened


class TestProjectionStore(ProjectionStoreContract):
    pass


class TestPostViews(PostViewsContract):
    pass


class TestParkedStreams(ParkedStreamsContract):
    pass


@pytest.fixture
def open_maintained() -> OpenMaintained:
    server = ReadDbServer(Network(Random(1)), MemoryReadDb())

    @asynccontextmanager
    async def opened() -> AsyncIterator[Maintained]:
        store, views = SimulatedProjectionStore(server), SimulatedPostViews(server)
        read_side = ReadSide(store, views, SimulatedParkedStreams(server))
        yield Maintained(read_side, SimulatedGenerations(server), SimulatedAuditRows(server))

    return opened


class TestRebuilding(RebuildingContract):
    pass


@pytest.fixture
def bus() -> BusHandle:
    memory = MemoryBus(PARTITIONS)
    server = BusServer(Network(Random(1)), memory)

    async def recreate() -> None:
        memory.recreate(PARTITIONS)

    async def expire() -> None:
        for partition in memory.topic.partitions:
            partition.drop_before(partition.end)

    async def put(message: WireMessage) -> None:
        server.put([message])

    @asynccontextmanager
    async def subscription(database_id: str) -> AsyncIterator[SimulatedSubscription]:
        async with memory.subscription("test") as member:
            simulated = SimulatedSubscription(server, member)
            await simulated.join(database_id)
            yield simulated

    return BusHandle(SimulatedPublisher(server), subscription, recreate, expire, put)


class TestBus(BusContract):
    pass


class TestBusProjection(BusProjectionContract):
    pass

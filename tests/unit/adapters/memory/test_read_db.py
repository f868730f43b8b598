"""The read database in memory keeps the contracts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from adapters.memory.read_db import MemoryParkedStreams, MemoryPostViews, MemoryProjectionStore, MemoryReadDb
from contracts.maintained import maintained_in_memory
from contracts.parked_streams import ParkedStreamsContract
from contracts.post_views import PostViewsContract
from contracts.projection_store import ProjectionStoreContract
from contracts.read_db_handle import OpenReadDb, ReadDbHandle
from contracts.rebuilding import OpenMaintained, RebuildingContract


@pytest.fixture
def open_read_db() -> OpenReadDb:
    """Another process can't share it; a second handle is the nearest equivalent."""
    memory = MemoryReadDb()

    async def swap() -> None:
        live = memory.live
        memory.checkpoints[live.generation + 1] = dict(memory.checkpoints[live.generation])
        memory.live = replace(live, generation=live.generation + 1, slot="b" if live.slot == "a" else "a")

    @asynccontextmanager
    async def opened() -> AsyncIterator[ReadDbHandle]:
        yield ReadDbHandle(MemoryProjectionStore(memory), MemoryPostViews(memory), MemoryParkedStreams(memory), swap)

    return opened


class TestProjectionStore(ProjectionStoreContract):
    pass


class TestPostViews(PostViewsContract):
    pass


class TestParkedStreams(ParkedStreamsContract):
    pass


@pytest.fixture
def open_maintained() -> OpenMaintained:
    return maintained_in_memory()


class TestRebuilding(RebuildingContract):
    pass

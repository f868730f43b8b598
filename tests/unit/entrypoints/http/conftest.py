"""Clients of the application, in process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from entrypoints.http.app import create_app
from entrypoints.http.services import HttpServices
from unit.entrypoints.http.fakes import FakeIds, Scripted, services

Client = AsyncTestClient[Litestar]


@asynccontextmanager
async def client_of(services: HttpServices) -> AsyncIterator[Client]:
    async with AsyncTestClient(create_app(services), base_url="http://postlog.test") as client:
        yield client


@pytest.fixture(scope="module")
async def _shared() -> AsyncIterator[tuple[Client, Scripted, FakeIds]]:
    """Making an application takes longer than most tests."""
    scripted, ids = Scripted(), FakeIds()
    given = services(commands=scripted.commands(), queries=scripted.queries(), ids=ids)
    async with client_of(given) as client:
        yield client, scripted, ids


@pytest.fixture
def scripted(_shared: tuple[Client, Scripted, FakeIds]) -> Scripted:
    """What commands and queries of `client` are answered with."""
    _, scripted, ids = _shared
    scripted.forget()
    ids.count = 0
    return scripted


@pytest.fixture
def client(_shared: tuple[Client, Scripted, FakeIds], scripted: Scripted) -> Client:
    """Of both sides, with at most 4,096 bytes a body."""
    return _shared[0]

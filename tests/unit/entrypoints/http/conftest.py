"""Clients of the application, in process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from entrypoints.http.app import create_app
from entrypoints.http.services import HttpServices
from unit.entrypoints.http.fakes import Scripted, services

Client = AsyncTestClient[Litestar]


@asynccontextmanager
async def client_of(services: HttpServices) -> AsyncIterator[Client]:
    async with AsyncTestClient(create_app(services), base_url="http://postlog.test") as client:
        yield client


@pytest.fixture
def scripted() -> Scripted:
    """What commands and queries of `client` are answered with."""
    return Scripted()


@pytest.fixture
async def client(scripted: Scripted) -> AsyncIterator[Client]:
    """Of both sides, with at most 4,096 bytes a body."""
    async with client_of(services(commands=scripted.commands(), queries=scripted.queries())) as client:
        yield client

"""In-process clients of the whole application with its pages, on services in dictionaries or on a small real system."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import httpx
import pytest

from application.maintenance.rebuilds import Rebuilds
from application.mediator import CommandDispatcher, QueryDispatcher
from application.query_side.pipeline_sampler import PipelineSampler
from command_process import ANYBODY
from domain.commands import PostCommand
from domain.limits import Limits
from entrypoints.http.app import create_app
from entrypoints.serving.access import AccessControl
from entrypoints.web.pages import Pages
from entrypoints.web.services import Operations, WebServices
from small_system import SmallSystem
from unit.entrypoints.http.fakes import PostService, services

Client = httpx.AsyncClient


class World(Protocol):
    def commands(self) -> CommandDispatcher: ...

    def queries(self) -> QueryDispatcher: ...


ADDRESS = "http://postlog.test"
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


@asynccontextmanager
async def browser_of(
    world: World,
    *,
    reading_only: bool = False,
    operations: Operations | None = None,
    stopping: asyncio.Event | None = None,
    access: AccessControl | None = None,
    rebuilds: Rebuilds | None = None,
) -> AsyncIterator[Client]:
    """Does not follow redirects. With `reading_only`, the process serves queries only. The response of a live part ends
    when `stopping` is set, and has all its messages."""
    commands = None if reading_only else world.commands()
    given = services(
        commands=commands,
        queries=world.queries(),
        stopping=stopping or asyncio.Event(),
        access=access,
        rebuilds=rebuilds,
    )
    web = WebServices(
        commands=commands,
        queries=given.queries,  # type: ignore[arg-type]
        clock=given.clock,
        ids=given.ids,
        limits=given.limits,
        stopping=given.stopping,
        sampler=PipelineSampler(given.queries.ask),  # type: ignore[arg-type]
        access=access,
        operations=operations,
        max_body_bytes=given.max_body_bytes,
    )
    app = create_app(given, Pages(web))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ADDRESS, headers={"Accept": "text/html"}) as client:
        yield client


@pytest.fixture
async def browser() -> AsyncIterator[Client]:
    """Of a service in memory, empty at first, with at most 4,096 bytes a form."""
    service = PostService(Limits(name=50, message=1_000, comment=500))
    await service.project()
    async with browser_of(service) as client:
        yield client


class RealWorld:
    def __init__(self, patience: float = 10.0) -> None:
        self.system = SmallSystem(patience=patience)

    def commands(self) -> CommandDispatcher:
        dispatcher = CommandDispatcher()
        self.system.process.commands.register_with(dispatcher)
        return dispatcher

    def queries(self) -> QueryDispatcher:
        return self.system.queries

    async def did(self, *commands: PostCommand) -> None:
        for command in commands:
            await self.system.process.commands.handle(command, ANYBODY)


@asynccontextmanager
async def living(world: RealWorld) -> AsyncIterator[Client]:
    """A browser while the projector runs."""
    async with world.system.projecting(), browser_of(world) as client:
        await world.system.caught_up()
        yield client

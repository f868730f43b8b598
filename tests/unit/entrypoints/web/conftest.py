"""Browsers without a browser: clients of the whole application, pages included, in process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from domain.limits import Limits
from entrypoints.http.app import create_app
from entrypoints.web.services import WebServices
from entrypoints.web.site import Site
from unit.entrypoints.http.fakes import PostService, Scripted, services

Client = httpx.AsyncClient
ADDRESS = "http://postlog.test"
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


@asynccontextmanager
async def browser_of(world: Scripted | PostService, *, reading_only: bool = False) -> AsyncIterator[Client]:
    """Follows no redirect. With `reading_only` as a process that serves queries alone."""
    commands = None if reading_only else world.commands()
    given = services(commands=commands, queries=world.queries())
    web = WebServices(
        commands=commands,
        queries=given.queries,  # type: ignore[arg-type]
        clock=given.clock,
        ids=given.ids,
        limits=given.limits,
        stopping=given.stopping,
        operations=given.operations,
        max_body_bytes=given.max_body_bytes,
    )
    app = create_app(given, Site(web))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ADDRESS, headers={"Accept": "text/html"}) as client:
        yield client


@pytest.fixture
async def browser() -> AsyncIterator[Client]:
    """Of a post service in dictionaries, empty at first, with at most 4,096 bytes a form."""
    async with browser_of(PostService(Limits(name=50, message=1_000, comment=500))) as client:
        yield client

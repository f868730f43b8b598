"""Browsers without a browser: clients of the whole application, pages included, in process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from domain.limits import Limits
from entrypoints.http.app import create_app
from entrypoints.web.services import WebServices
from entrypoints.web.site import Site
from unit.entrypoints.http.fakes import PostService, Scripted, services

Client = AsyncTestClient[Litestar]
ADDRESS = "http://postlog.test"
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


@asynccontextmanager
async def browser_of(world: Scripted | PostService, *, reading_only: bool = False) -> AsyncIterator[Client]:
    """Follows no redirect by itself. With `reading_only` as a process that serves queries alone."""
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
    async with AsyncTestClient(app, base_url=ADDRESS) as client:
        client.follow_redirects = False
        client.headers["Accept"] = "text/html"
        yield client


@pytest.fixture
async def browser() -> AsyncIterator[Client]:
    """Of a post service in dictionaries, empty at first, with at most 4,096 bytes a form."""
    async with browser_of(PostService(Limits(name=50, message=1_000, comment=500))) as client:
        yield client


async def send(client: Client, path: str, **fields: str) -> object:
    """As a form of the site's own pages."""
    return await client.post(path, data={"key": "form-1"} | fields, headers=OWN_PAGE)

"""How much work one query may cause is a setting; over a socket, on a log in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
from msgspec.structs import replace

from application.mediator import CommandContext
from containers import IN_MEMORY, container_with
from domain.commands import CreatePost, LikePost
from domain.ids import PostId
from entrypoints.settings.model import Queries
from entrypoints.web.pages import Pages
from unit.entrypoints.http.test_server import served

POST = PostId("0192f0c1-7a3e-7cc2-9d52-3f6f0a1b2c3d")
COMMITS = 1_010
"""More than one read of the log has."""


@asynccontextmanager
async def service_with(queries: Queries) -> AsyncIterator[httpx.AsyncClient]:
    """Of a log with one post, and 1,009 likes of it."""
    container = container_with(replace(IN_MEMORY, queries=queries))
    dispatch = container.command_dispatcher().dispatch
    created = CreatePost(post_id=POST, author="ann", message="Hello", date_posted=datetime(2026, 11, 30, tzinfo=UTC))
    await dispatch(created, CommandContext())
    like = LikePost(post_id=POST, username=None)
    await asyncio.gather(*(dispatch(like, CommandContext()) for _ in range(COMMITS - 1)))
    stopping = asyncio.Event()
    queries_of = container.query_dispatcher()
    services = container.http_services(commands=None, queries=queries_of, probes=[], stopping=stopping)
    pages = Pages(container.web_services(commands=None, stopping=stopping, operations=None))
    async with served(services, pages) as (address, _), httpx.AsyncClient(base_url=address, timeout=20) as client:
        yield client


async def test_a_past_state_takes_as_long_as_the_setting_says_and_the_next_query_resumes() -> None:
    async with service_with(Queries(history_seconds=0.000_001)) as client:
        answer = await client.get(f"/api/v1/posts/{POST}?version={COMMITS}")
        assert (answer.status_code, answer.json()["code"]) == (503, "history-not-read")
        assert int(answer.headers["retry-after"]) >= 1
        for _ in range(COMMITS):
            if answer.status_code == httpx.codes.OK:
                break
            answer = await client.get(f"/api/v1/posts/{POST}?version={COMMITS}")
        assert answer.json()["likes"] == COMMITS - 1
    async with service_with(Queries()) as client:
        assert (await client.get(f"/api/v1/posts/{POST}?version={COMMITS}")).status_code == 200


async def test_a_filter_of_the_log_searches_as_many_commits_as_the_setting_says() -> None:
    async with service_with(Queries(search_commits=1_000)) as client:
        page = (await client.get("/log?who=nobody")).text
        assert 'before=11"' in page
    async with service_with(Queries(search_seconds=0.000_001)) as client:
        assert 'before=11"' in (await client.get("/log?who=nobody")).text
    async with service_with(Queries(search_seconds=20)) as client:
        assert "before=" not in (await client.get("/log?who=nobody")).text

"""A post's events as a stream."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from litestar.response.sse import ServerSentEventMessage

from application.errors import StoreUnavailable
from application.query_side.history import HistoryPage, ListEvents, PastEvent
from domain.errors import PostNotFound
from entrypoints.http.events import LogChangeNotifier, follow
from entrypoints.http.services import HttpServices
from unit.entrypoints.http.conftest import Client
from unit.entrypoints.http.fakes import POST, FakeClock, Scripted, past_event, services

STREAM = {"Accept": "text/event-stream"}


def page(*events: PastEvent, more: bool = False) -> HistoryPage:
    return HistoryPage(events=events, next_after=events[-1].version if more else None)


def in_turn(*answers: object) -> Callable[[object], object]:
    """These, then empty pages."""
    left = list(answers)
    return lambda _: left.pop(0) if left else page()


def changes_of(scripted: Scripted, given: HttpServices) -> LogChangeNotifier:
    return LogChangeNotifier(scripted.queries(), given.stopping, given.poll_seconds)


async def followed(scripted: Scripted, first: HistoryPage, count: int, **changes: Any) -> list[ServerSentEventMessage]:
    """The first messages after the greeting, of a stream that begins after version 0."""
    given = services(**changes)
    messages = follow(changes_of(scripted, given), given, POST, first, 0)
    async with asyncio.timeout(5):
        await anext(messages)
        got = [await anext(messages) for _ in range(count)]
    given.stopping.set()
    async with asyncio.timeout(1):
        assert [message async for message in messages] == []
    return got


async def test_existing_events_come_first_and_then_new_ones() -> None:
    scripted = Scripted(in_turn(page(past_event(version=2)), page(), page(past_event(version=3))))
    messages = await followed(scripted, page(past_event(version=1), more=True), 3)
    assert [message.id for message in messages] == [1, 2, 3]
    assert [query.after for query in scripted.handed[:4]] == [1, 2, 2, 3]


async def test_the_data_is_that_of_the_list_of_events() -> None:
    (message,) = await followed(Scripted(page()), page(past_event(version=1)), 1)
    assert message.data == (
        '{"type":"PostLiked","schemaVersion":1,"storedType":"PostLiked","storedSchemaVersion":1,"version":1,'
        '"position":1,"recordedAt":"2026-11-23T15:46:59.123Z","actor":"ann","data":{"username":"ann"}}'
    )


async def test_only_the_last_event_of_a_version_has_its_id() -> None:
    """Otherwise a client that was cut off between them would resume after the version, and miss the rest of it."""
    events = [past_event(version=version) for version in (1, 2, 2, 2, 3)]
    messages = await followed(Scripted(page()), page(*events), 5)
    assert [message.id for message in messages] == [1, None, None, 2, 3]


async def test_a_silent_stream_sends_a_heartbeat() -> None:
    clock = FakeClock()

    def later(_: object) -> HistoryPage:
        clock.seconds += 5
        return page()

    (message,) = await followed(Scripted(later), page(), 1, clock=clock, heartbeat_seconds=15)
    assert (message.data, message.id, message.comment) == (None, None, "still here")


async def test_a_store_that_goes_away_is_waited_for() -> None:
    scripted = Scripted(in_turn(StoreUnavailable("away"), StoreUnavailable("away"), page(past_event(version=1))))
    (message,) = await followed(scripted, page(), 1)
    assert message.id == 1


async def test_the_stream_ends_when_the_service_stops_though_it_would_wait_long() -> None:
    stopping = asyncio.Event()
    given = services(stopping=stopping, poll_seconds=60)
    messages = follow(changes_of(Scripted(page()), given), given, POST, page(), 0)
    await anext(messages)
    ending = asyncio.create_task(_all(messages))
    await asyncio.sleep(0)
    stopping.set()
    async with asyncio.timeout(1):
        assert await ending == []


async def _all(messages: AsyncIterator[ServerSentEventMessage]) -> list[ServerSentEventMessage]:
    return [message async for message in messages]


@pytest.mark.parametrize(
    ("query", "headers", "after"),
    [
        ("", {}, 0),
        ("?after=7", {}, 7),
        ("?after=7", {"Last-Event-ID": "9"}, 9),
        ("?after=7", {"Last-Event-ID": ""}, 7),
    ],
)
async def test_a_client_that_reconnects_resumes(
    client: Client, scripted: Scripted, query: str, headers: dict[str, str], after: int
) -> None:
    scripted.answer = PostNotFound("There is no such post.", path="id")
    answer = await client.get(f"/api/v1/posts/{POST}/events{query}", headers=STREAM | headers)
    assert scripted.last == ListEvents(post_id=POST, limit=500, after=after)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("headers", [{}, {"Last-Event-ID": "2"}])
async def test_a_page_resumes_like_a_stream(client: Client, scripted: Scripted, headers: dict[str, str]) -> None:
    scripted.answer = page()
    answer = await client.get(f"/api/v1/posts/{POST}/events?after=1&limit=7", headers=headers)
    assert answer.headers["content-type"] == "application/json"
    assert scripted.last == ListEvents(post_id=POST, limit=7, after=int(headers.get("Last-Event-ID", "1")))


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
async def test_a_last_event_id_that_is_not_a_version_is_400(client: Client, accept: str) -> None:
    headers = {"Accept": accept, "Last-Event-ID": "x"}
    answer = await client.get(f"/api/v1/posts/{POST}/events?after=1", headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "Last-Event-ID")


@pytest.mark.parametrize("accept", ["text/event-stream", "text/event-stream;q=1", "text/html, Text/Event-Stream"])
async def test_a_client_that_accepts_only_a_stream_gets_one(client: Client, scripted: Scripted, accept: str) -> None:
    scripted.answer = page()
    answer = await client.head(f"/api/v1/posts/{POST}/events", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/*"])
async def test_every_other_client_gets_a_list(client: Client, scripted: Scripted, accept: str) -> None:
    scripted.answer = page()
    answer = await client.get(f"/api/v1/posts/{POST}/events", headers={"Accept": accept})
    assert answer.json() == {"events": [], "nextAfter": None}

"""Rebuilds over HTTP: started, observed, cancelled, refused."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from unit.entrypoints.http.conftest import Client, client_of
from unit.entrypoints.http.fakes import FakeRebuilds, Scripted, services

REBUILDS = "/api/v1/read-db/rebuilds"


@pytest.fixture
async def given() -> AsyncIterator[tuple[Client, FakeRebuilds]]:
    fake = FakeRebuilds()
    async with fake.processes, client_of(services(queries=Scripted().queries(), rebuilds=fake.rebuilds)) as client:
        yield client, fake


async def test_a_rebuild_is_started_and_observed(given: tuple[Client, FakeRebuilds]) -> None:
    client, fake = given
    begun = await client.post(REBUILDS)
    assert (begun.status_code, begun.headers["location"]) == (202, f"{REBUILDS}/memory-2")
    assert begun.json() == {
        "id": "memory-2",
        "adapter": "memory",
        "state": "running",
        "position": 0,
        "target": 3,
        "eventsPerSecond": None,
        "secondsLeft": None,
        "startedAt": begun.json()["startedAt"],
        "error": None,
    }
    fake.gate.set()
    async with asyncio.timeout(5):
        while (watched := (await client.get(begun.headers["location"])).json())["state"] == "running":
            await asyncio.sleep(0)
    assert (watched["state"], watched["position"], watched["secondsLeft"]) == ("swapped", 3, None)
    assert (await client.get(REBUILDS)).json() == {"rebuilds": [watched]}
    assert (await client.get(REBUILDS, params={"adapter": "postgres"})).json() == {"rebuilds": []}


async def test_a_second_rebuild_is_409_with_the_location_of_the_first(given: tuple[Client, FakeRebuilds]) -> None:
    client, _ = given
    await client.post(REBUILDS, json={"adapter": "memory"})
    second = await client.post(REBUILDS)
    assert (second.status_code, second.headers["location"]) == (409, f"{REBUILDS}/memory-2")
    assert second.json()["code"] == "rebuild-running"
    assert "Rebuild memory-2 is running, at position 0 of 3." in second.json()["detail"]


async def test_a_rebuild_is_cancelled(given: tuple[Client, FakeRebuilds]) -> None:
    client, fake = given
    await client.post(REBUILDS)
    cancelled = await client.delete(f"{REBUILDS}/memory-2")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    fake.gate.set()
    assert fake.system.read_db.live.generation == 1


async def test_a_rebuild_that_has_ended_can_not_be_cancelled(given: tuple[Client, FakeRebuilds]) -> None:
    client, fake = given
    fake.gate.set()
    await client.post(REBUILDS)
    async with asyncio.timeout(5):
        while (await client.get(f"{REBUILDS}/memory-2")).json()["state"] == "running":
            await asyncio.sleep(0)
    refused = await client.delete(f"{REBUILDS}/memory-2")
    assert (refused.status_code, refused.json()["code"]) == (409, "rebuild-ended")


@pytest.mark.parametrize("rebuild_id", ["memory-7", "memory-1", "x", "%2F", "postgres-2"])
async def test_an_unknown_rebuild_is_404(given: tuple[Client, FakeRebuilds], rebuild_id: str) -> None:
    client, _ = given
    for answer in (await client.get(f"{REBUILDS}/{rebuild_id}"), await client.delete(f"{REBUILDS}/{rebuild_id}")):
        assert (answer.status_code, answer.json()["code"]) == (404, "rebuild-not-found")


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({"adapter": "oracle"}, 400, "adapter"),
        ({"adaptor": "postgres"}, 400, "adaptor"),
        ({"adapter": 7}, 400, "adapter"),
        ([], 400, "body"),
    ],
)
async def test_an_invalid_body_is_refused(
    given: tuple[Client, FakeRebuilds], body: object, status: int, path: str
) -> None:
    client, _ = given
    answer = await client.post(REBUILDS, json=body)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (status, path)
    assert (await client.get(REBUILDS)).json() == {"rebuilds": []}


async def test_a_database_that_can_not_be_rebuilt_from_here_is_409(given: tuple[Client, FakeRebuilds]) -> None:
    client, _ = given
    answer = await client.post(REBUILDS, json={"adapter": "postgres"})
    assert (answer.status_code, answer.json()["code"]) == (409, "rebuild-not-possible")
    assert "location" not in answer.headers


async def test_rebuilds_are_disabled_with_the_other_operations() -> None:
    fake = FakeRebuilds()
    given = services(queries=Scripted().queries(), rebuilds=fake.rebuilds, operations=False)
    async with client_of(given) as client:
        assert (await client.post(REBUILDS)).json()["code"] == "route-not-found"

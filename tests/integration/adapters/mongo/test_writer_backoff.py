"""A writer whose way to the store is longer than a busy one's still gets through."""

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from adapters.mongo.database import MongoDatabase
from adapters.mongo.event_store import MongoEventStore
from adapters.mongo.provisioning import MongoProvisioning
from adapters.mongo.writer_backoff import Claim, Claims
from application.ports.event_store import Appended
from contracts.log_handle import proposed
from domain.ids import PostId
from local.databases import MongoDatabase as Place
from local.mongod import ReplicaSet
from proxy import Proxy

LONGER_WAY = 0.005
"""Seconds, in each direction."""


@pytest.fixture
async def far_and_near(killable_mongod: ReplicaSet) -> AsyncIterator[tuple[MongoEventStore, MongoEventStore]]:
    name = f"test_{uuid4().hex[:12]}"
    async with (
        Proxy(killable_mongod.ports[0], LONGER_WAY) as way,
        MongoDatabase(f"mongodb://127.0.0.1:{way.port}/?directConnection=true", name) as far,
        MongoDatabase(killable_mongod.url, name) as near,
    ):
        await MongoProvisioning(near).provision()
        yield MongoEventStore(far), MongoEventStore(near)


async def rate(store: MongoEventStore, seconds: float) -> float:
    """Commits a second of a writer that sends the next when the last is answered."""
    stream, version, end = PostId(str(uuid4())), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        version += 1
        [outcome] = await store.append([proposed(stream, version)])
        assert isinstance(outcome, Appended)
    return version / seconds


@pytest.mark.parametrize("seconds", [1.5, pytest.param(15.0, marks=pytest.mark.long)])
async def test_a_far_writer_keeps_a_tenth_of_its_lone_rate_beside_a_busy_near_one(
    far_and_near: tuple[MongoEventStore, MongoEventStore], seconds: float
) -> None:
    far, near = far_and_near
    alone = await rate(far, seconds)
    beside, busy = await asyncio.gather(rate(far, seconds), rate(near, seconds))
    assert beside >= alone / 10
    assert busy >= beside


@pytest.mark.long  # of two rivals' shares little can be said while another test takes a processor
async def test_two_writers_that_are_equally_near_both_get_through(fresh_mongo_database: Place) -> None:
    place = fresh_mongo_database
    async with MongoDatabase(place.url, place.name) as one, MongoDatabase(place.url, place.name) as two:
        await MongoProvisioning(one).provision()
        rates = await asyncio.gather(rate(MongoEventStore(one), 1.0), rate(MongoEventStore(two), 1.0))
    assert min(rates) >= max(rates) / 5


FAR, NEAR = 0.020, 0.002
"""Seconds that an attempt takes."""


def claims(*attempts: float) -> Claims:
    return Claims([Claim(attempt, until=100.0) for attempt in attempts], clock_ahead=0.0)


def test_without_claims_no_writer_waits() -> None:
    assert claims().seconds_to_wait(own_attempt=0.0, succeeded_at=10.0, now=10.0) == 0.0


@pytest.mark.parametrize(("now", "seconds"), [(10.005, 0.0), (10.039, 0.0), (10.041, 0.039), (10.079, 0.001)])
def test_a_near_writer_skips_every_other_slice_while_a_far_one_has_a_claim(now: float, seconds: float) -> None:
    """A slice is two attempts of the far writer: 40 ms."""
    for own_attempt in (0.0, NEAR):
        assert claims(FAR).seconds_to_wait(own_attempt, None, now) == pytest.approx(seconds)


def test_all_near_writers_skip_the_same_slices() -> None:
    """The slices are cut by the server's clock, not by that of the process."""
    here = Claims([Claim(FAR, until=100.0)], clock_ahead=1_000.0)
    there = Claims([Claim(FAR, until=200.0)], clock_ahead=907.5)
    for millisecond in range(200):
        now = 5 + millisecond / 1_000
        mine, theirs = here.seconds_to_wait(0.0, None, now), there.seconds_to_wait(0.0, None, now + 92.5)
        assert mine == pytest.approx(theirs, abs=1e-6)


def test_a_far_writer_does_not_wait_for_near_ones() -> None:
    for millisecond in range(100):
        now = 10 + millisecond / 1_000
        assert claims(NEAR).seconds_to_wait(own_attempt=FAR, succeeded_at=now, now=now) == 0.0


def test_of_equals_the_one_that_got_through_pauses_as_long_as_an_attempt_takes() -> None:
    assert claims(NEAR).seconds_to_wait(own_attempt=NEAR, succeeded_at=10.0, now=10.0005) == pytest.approx(0.0015)
    assert claims(NEAR).seconds_to_wait(own_attempt=NEAR, succeeded_at=10.0, now=10.003) == 0.0
    assert claims(NEAR).seconds_to_wait(own_attempt=NEAR, succeeded_at=None, now=10.0005) == 0.0


def test_a_claim_ends_and_no_writer_waits_longer_than_a_quarter_of_a_second() -> None:
    assert claims(FAR).seconds_to_wait(own_attempt=0.0, succeeded_at=None, now=100.061) == 0.0
    for millisecond in range(1_000):
        assert claims(60.0).seconds_to_wait(0.0, None, 10 + millisecond / 1_000) <= 0.25

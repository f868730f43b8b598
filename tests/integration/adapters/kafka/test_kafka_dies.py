"""A broker that is unavailable, dies or hangs: logged once, retried, and no obstacle to stopping."""

import asyncio
import logging
import time
from uuid import uuid4

import pytest

from adapters.kafka import client
from adapters.kafka import producer as publisher_module
from adapters.kafka.client import KafkaConnection
from adapters.kafka.consumer import KafkaSubscription
from adapters.kafka.producer import KafkaPublisher
from adapters.kafka.topic import KafkaProbe, KafkaProvisioning
from application.errors import BusUnavailable
from contracts.bus import entry, positions, publication, receive, started
from contracts.bus_handle import PARTITIONS, BusHandle, CountedMetrics, World, liked
from contracts.bus_projection import write_mixed_likes
from contracts.waiting import eventually
from local.kafka import Kafka

NOWHERE = KafkaConnection(bootstrap_servers="127.0.0.1:1")


@pytest.fixture
async def mortal(killable_kafka: Kafka) -> KafkaConnection:
    return KafkaConnection(bootstrap_servers=killable_kafka.bootstrap)


@pytest.fixture
async def mortal_topic(mortal: KafkaConnection) -> str:
    topic = f"mortal-{uuid4().hex[:8]}"
    await KafkaProvisioning(mortal, topic, PARTITIONS, 1).provision()
    return topic


async def test_opening_does_not_need_a_broker_and_closing_does_not_wait_for_one() -> None:
    before = time.monotonic()
    async with (
        KafkaPublisher(NOWHERE, "any", CountedMetrics()),
        KafkaSubscription(NOWHERE, "any", "group", CountedMetrics()) as subscription,
    ):
        await subscription.join("rows")
        assert (await subscription.receive(10, 0.1)).messages == []
    assert time.monotonic() - before < 2


async def test_a_broker_that_is_away_is_an_error_that_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.kafka.topic._SECONDS", 0.3)
    monkeypatch.setattr("adapters.kafka.producer._METADATA_SECONDS", 0.3)
    async with (
        KafkaPublisher(NOWHERE, "any", CountedMetrics()) as publisher,
        KafkaSubscription(NOWHERE, "any", "group", CountedMetrics()) as subscription,
    ):
        for ask in (publisher.partitions, subscription.topic):
            with pytest.raises(
                BusUnavailable, match=r"^Kafka at 127\.0\.0\.1:1 \(bus\.kafka\.bootstrap_servers\) "
            ) as away:
                await ask()
            assert away.value.path == "bus.kafka.bootstrap_servers"


async def test_a_topic_that_is_not_there_is_an_error_that_names_the_command(
    connection: KafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(publisher_module._PRODUCER_SETTINGS, "topic.metadata.propagation.max.ms", 200)
    async with (
        KafkaPublisher(connection, "not-there", CountedMetrics()) as publisher,
        KafkaSubscription(connection, "not-there", "group", CountedMetrics()) as subscription,
    ):
        for ask in (
            publisher.partitions,
            lambda: publisher.publish(publication(entry(1, 0, liked()))),
            subscription.topic,
        ):
            with pytest.raises(BusUnavailable, match=r"has no topic not-there\. Run `postlog init`"):
                await ask()


async def test_an_outage_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    metrics = CountedMetrics()
    with caplog.at_level(logging.INFO):
        async with KafkaSubscription(NOWHERE, "any", "group", metrics) as subscription:
            await subscription.join("rows")

            async def troubled() -> bool:
                await subscription.receive(1, 0.1)
                return metrics.counts["kafka_errors"] >= 3

            await eventually(troubled)
    said = [record.getMessage() for record in caplog.records if record.name == client.__name__]
    assert len(said) == len(set(said)) <= 3
    assert all(message.startswith("Kafka's consumer can't work with bus.kafka.bootstrap_servers") for message in said)
    assert "Connection refused" in caplog.text


async def test_messages_wait_for_a_broker_that_comes_back(
    killable_kafka: Kafka, mortal: KafkaConnection, mortal_topic: str
) -> None:
    async with KafkaPublisher(mortal, mortal_topic, CountedMetrics()) as publisher:
        await publisher.publish(publication(entry(1, 0, liked())))
        killable_kafka.kill()
        waiting = asyncio.create_task(publisher.publish(publication(entry(2, 1, liked()))))
        await asyncio.to_thread(killable_kafka.restart)
        assert await waiting == 1
    async with KafkaSubscription(mortal, mortal_topic, "group", CountedMetrics()) as subscription:
        await subscription.join("rows")
        await started(subscription)
        assert positions(await receive(subscription, 2)) == [1, 2]


async def test_closing_does_not_wait_for_a_broker_that_hangs(
    killable_kafka: Kafka, mortal: KafkaConnection, mortal_topic: str
) -> None:
    publisher = KafkaPublisher(mortal, mortal_topic, CountedMetrics())
    subscription = KafkaSubscription(mortal, mortal_topic, "group", CountedMetrics())
    await publisher.__aenter__()
    await subscription.__aenter__()
    await subscription.join("rows")
    await started(subscription)
    await publisher.publish(publication(entry(1, 0, liked())))
    await receive(subscription, 1)
    subscription.commit_offsets({0: 1})
    killable_kafka.freeze()
    publishing = asyncio.create_task(publisher.publish(publication(entry(2, 1, liked()))))
    await asyncio.sleep(0)
    before = time.monotonic()
    publishing.cancel()
    await asyncio.gather(publisher.__aexit__(), subscription.__aexit__())
    assert time.monotonic() - before < 1


async def test_rows_come_up_to_date_after_the_broker_was_killed(
    killable_kafka: Kafka, mortal: KafkaConnection, mortal_topic: str
) -> None:
    async with KafkaPublisher(mortal, mortal_topic, CountedMetrics()) as publisher:
        world = World(bus_of(publisher, mortal, mortal_topic))
        async with world.relaying(), world.projecting():
            await write_mixed_likes(world, 30)
            await world.caught_up()
            killable_kafka.kill()
            await write_mixed_likes(world, 30, seed=2)
            await asyncio.to_thread(killable_kafka.restart)
            await write_mixed_likes(world, 30, seed=3)
            await world.caught_up()
        assert world.rows() == await world.fold()


def bus_of(publisher: KafkaPublisher, connection: KafkaConnection, topic: str) -> BusHandle:
    async def never(*_: object) -> None:
        raise AssertionError("not wanted here")

    def subscription(_: str) -> KafkaSubscription:
        return KafkaSubscription(connection, topic, topic, CountedMetrics())

    return BusHandle(publisher, subscription, never, never, never)


async def test_a_broker_that_hangs_is_called_slow_and_not_away(
    killable_kafka: Kafka, mortal: KafkaConnection, mortal_topic: str
) -> None:
    """It accepts connections, and never answers."""
    killable_kafka.freeze()
    found = await KafkaProbe(mortal, mortal_topic).probe()
    killable_kafka.thaw()
    assert not found.ok
    assert "did not answer in time (" in found.detail
    assert found.detail.endswith("; it hangs, or it or its network is overloaded.")
    assert (await KafkaProbe(mortal, mortal_topic).probe()).ok

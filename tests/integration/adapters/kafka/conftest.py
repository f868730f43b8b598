"""A topic of its own for every test, on the session's broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from confluent_kafka import KafkaException, TopicPartition

from adapters.kafka.client import KafkaConnection
from adapters.kafka.consumer import KafkaSubscription
from adapters.kafka.producer import KafkaPublisher
from adapters.kafka.topic import KafkaProvisioning, TopicAdmin, end_offsets, find_topic, find_topic_or_none
from adapters.wire.cloudevents import WireMessage
from application.ports.bus import Subscription
from contracts.bus_handle import PARTITIONS, BusHandle, CountedMetrics
from contracts.waiting import eventually


@pytest.fixture
def connection(kafka_bootstrap: str) -> KafkaConnection:
    return KafkaConnection(bootstrap_servers=kafka_bootstrap)


@pytest.fixture
def topic() -> str:
    return f"bus-{uuid4().hex[:12]}"


@pytest.fixture
async def bus(connection: KafkaConnection, topic: str) -> AsyncIterator[BusHandle]:
    provisioning = KafkaProvisioning(connection, topic, PARTITIONS, 1)
    await provisioning.provision()
    admin = TopicAdmin(connection)

    @asynccontextmanager
    async def subscription(database_id: str) -> AsyncIterator[Subscription]:
        async with KafkaSubscription(connection, topic, topic, CountedMetrics()) as subscription:
            await subscription.join(database_id)
            yield subscription

    async def recreate() -> None:
        before = find_topic(admin, topic)
        admin.delete_topics([topic])[topic].result(20)
        await eventually(made_anew)

        async def seen() -> bool:
            found = await asyncio.to_thread(find_topic_or_none, admin, topic)
            return found is not None and found.id != before.id

        await eventually(seen)

    async def made_anew() -> bool:
        """Kafka refuses while it is still deleting."""
        try:
            return bool(await provisioning.provision())
        except KafkaException:
            return False

    async def expire() -> None:
        ends = end_offsets(admin, topic, range(PARTITIONS))
        before = [TopicPartition(topic, partition, offset) for partition, offset in ends.items()]
        for answer in admin.delete_records(before).values():
            answer.result(20)

    async with KafkaPublisher(connection, topic, CountedMetrics()) as publisher:

        async def put(message: WireMessage) -> None:
            await publisher._producer.send([message])

        yield BusHandle(publisher, subscription, recreate, expire, put)

"""A topic of its own for every test, on the session's broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from confluent_kafka import KafkaException, TopicPartition

from adapters.kafka import topic_admin
from adapters.kafka.connection import KafkaConnection
from adapters.kafka.producer_bridge import ProducerBridge
from adapters.kafka.provisioning import KafkaProvisioning
from adapters.kafka.publisher import KafkaPublisher
from adapters.kafka.subscription import KafkaSubscription
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
    admin = topic_admin.QuietAdmin(connection)

    @asynccontextmanager
    async def subscription(database_id: str) -> AsyncIterator[Subscription]:
        async with KafkaSubscription(connection, topic, topic, CountedMetrics()) as subscription:
            await subscription.join(database_id)
            yield subscription

    async def remake() -> None:
        before = topic_admin.find(admin, topic)
        admin.delete_topics([topic])[topic].result(20)
        await eventually(made_anew)

        async def seen() -> bool:
            found = await asyncio.to_thread(topic_admin.find_or_none, admin, topic)
            return found is not None and found.id != before.id

        await eventually(seen)

    async def made_anew() -> bool:
        """Kafka refuses while it is still deleting."""
        try:
            return bool(await provisioning.provision())
        except KafkaException:
            return False

    async def expire() -> None:
        ends = topic_admin.ends(admin, topic, range(PARTITIONS))
        before = [TopicPartition(topic, partition, offset) for partition, offset in ends.items()]
        for answer in admin.delete_records(before).values():
            answer.result(20)

    async with KafkaPublisher(connection, topic, CountedMetrics()) as publisher:

        async def put(message: WireMessage) -> None:
            await bridge_of(publisher).send([message])

        yield BusHandle(publisher, subscription, remake, expire, put)


def bridge_of(publisher: KafkaPublisher) -> ProducerBridge:
    return publisher._bridge

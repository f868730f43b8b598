"""Whatever a broker answers, publisher and subscription take it for an answer: away, to be tried again, no fault of
Postlog; and when it answers well again, so do they."""

import asyncio
from collections.abc import Iterable, Iterator

import pytest
from confluent_kafka import KafkaError

from adapters.kafka.consumer import KafkaSubscription
from adapters.kafka.producer import KafkaPublisher
from application.errors import BusUnavailable
from application.ports.bus import Publication, Watermark
from contracts.bus_handle import CountedMetrics
from contracts.waiting import eventually
from unit.adapters.kafka.planting import PARTITIONS, PlantedBroker, Request, planted_broker

ALL = sorted(
    value
    for name, value in vars(KafkaError).items()
    if name.isupper() and isinstance(value, int) and (value > 0 or value == KafkaError.UNKNOWN)
)
"""That a broker may answer; the others are the client's own."""

SOME = (-1, 3, 6, 10, 14, 19, 22, 25, 29, 30, 31, 45, 47, 82, 87, 90)
OF_A_GROUP = (
    Request.FETCH,
    Request.HEARTBEAT,
    Request.OFFSET_COMMIT,
    Request.JOIN_GROUP,
    Request.SYNC_GROUP,
    Request.FIND_COORDINATOR,
    Request.METADATA,
)
MESSAGE = Publication("log", PARTITIONS, [Watermark(0, 0, 1)])

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def broker() -> Iterator[PlantedBroker]:
    with planted_broker() as broker:
        yield broker


async def published(publisher: KafkaPublisher) -> bool:
    """As a relay's term does it; whatever else is raised is a fault."""
    try:
        async with asyncio.timeout(60):
            await publisher.partitions()
            return await publisher.publish(MESSAGE) == 1
    except BusUnavailable:
        return False


async def publish_through(broker: PlantedBroker, request: Request, codes: Iterable[int]) -> None:
    async with KafkaPublisher(broker.connection, "posts", CountedMetrics()) as publisher:
        for code in codes:
            broker.plant(request, code)
            await published(publisher)
            broker.clear(request)
            await eventually(lambda: published(publisher))


async def begin_through(broker: PlantedBroker, codes: Iterable[int]) -> None:
    """A producer asks for its id once, so each error needs a producer of its own."""
    for code in codes:
        broker.plant(Request.INIT_PRODUCER_ID, code)
        async with KafkaPublisher(broker.connection, "posts", CountedMetrics()) as publisher:
            await published(publisher)
            broker.clear(Request.INIT_PRODUCER_ID)
            await eventually(lambda: published(publisher))


async def listen_through(broker: PlantedBroker, requests: Iterable[Request], codes: Iterable[int]) -> None:
    async with KafkaSubscription(broker.connection, "posts", "group", CountedMetrics()) as subscription:
        await subscription.join("database")
        for request in requests:
            for code in codes:
                broker.plant(request, code)
                await takes_part(subscription)
                broker.clear(request)
            # After some errors the client waits for its next look at the topic, every 30 s.
            await eventually(lambda: takes_part(subscription), seconds=90)


async def takes_part(subscription: KafkaSubscription) -> bool:
    try:
        async with asyncio.timeout(60):
            delivery = await subscription.receive(10, 0.05)
            await subscription.start(dict.fromkeys(delivery.assigned, 0))
            subscription.commit_offsets(dict.fromkeys(delivery.assigned, 0))
    except BusUnavailable:
        return False
    return len(delivery.assigned) == PARTITIONS


async def test_errors_of_all_kinds_in_answer_to_a_publication(broker: PlantedBroker) -> None:
    await publish_through(broker, Request.PRODUCE, SOME)


@pytest.mark.parametrize("code", [KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER])
async def test_a_producer_that_an_error_has_killed_is_replaced(broker: PlantedBroker, code: int) -> None:
    """And what was under way is reported as failed: its caller would wait for ever."""
    request = Request.PRODUCE if code == KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER else Request.INIT_PRODUCER_ID
    broker.plant(request, code, times=2)
    async with KafkaPublisher(broker.connection, "posts", CountedMetrics()) as publisher, asyncio.timeout(30):
        told = await asyncio.gather(*(publisher.publish(MESSAGE) for _ in range(4)), return_exceptions=True)
        assert all(isinstance(each, BusUnavailable) or each == 1 for each in told), told
        assert any(isinstance(each, BusUnavailable) for each in told)
        broker.clear(request)
        await eventually(lambda: published(publisher))


async def test_errors_of_all_kinds_in_answer_to_a_member_of_a_group(broker: PlantedBroker) -> None:
    await listen_through(broker, [Request.FETCH, Request.HEARTBEAT], SOME)


@pytest.mark.long
@pytest.mark.parametrize("request_", [Request.PRODUCE, Request.METADATA], ids=str)
async def test_every_error_in_answer_to_a_publication(broker: PlantedBroker, request_: Request) -> None:
    await publish_through(broker, request_, ALL)


@pytest.mark.long
async def test_every_error_in_answer_to_a_new_producer(broker: PlantedBroker) -> None:
    await begin_through(broker, ALL)


@pytest.mark.long
@pytest.mark.parametrize("request_", OF_A_GROUP, ids=str)
async def test_every_error_in_answer_to_a_member_of_a_group(broker: PlantedBroker, request_: Request) -> None:
    await listen_through(broker, [request_], ALL)

"""S15: the relay from a log in MongoDB to Kafka, until all its messages are in the topic; beside a loop over a producer
(idempotent, acks=all) that sends the same keys, values and headers to another topic.
"""

import asyncio
import time
import uuid
from contextlib import suppress
from typing import Any, Self

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from benchmarks.bench import Bench, make_topic, new_topic, opened, provision
from benchmarks.figures import Figure, rate
from benchmarks.logs import fill_mongo
from benchmarks.rounds import in_turn, require
from benchmarks.workload import commits
from entrypoints.composition.resources import Resources
from entrypoints.settings.model import Bus, Settings

ROWS = ("S15",)
_EVENTS, _PARTITIONS = 50_000, 3
_POLL_SECONDS, _LONGEST_SECONDS = 0.02, 120.0

_Headers = list[tuple[str, str | bytes | None]]
_Record = tuple[bytes | None, bytes | None, _Headers]


def measure(bench: Bench) -> list[Figure]:
    events = bench.size(_EVENTS)
    records: list[_Record] = []
    ours, theirs = in_turn(
        bench.rounds,
        lambda: rate(events, _relay_seconds(bench, events, records)),
        lambda: rate(events, _produce_seconds(bench.servers.kafka_bootstrap, records)),
    )
    note = f"{events:,} events, one a commit; {_PARTITIONS} partitions"
    return [Figure(line="S15", ours=ours, theirs=theirs, unit="messages/s", note=note)]


def _relay_seconds(bench: Bench, events: int, records: list[_Record]) -> float:
    """Leaves in `records` what it sent."""
    kafka = new_topic(bench.servers.kafka_bootstrap)
    log, read_db = bench.empty_mongo(), bench.sqlite("unused").read_db
    settings = Settings(event_store=log, read_db=read_db, bus=Bus(adapter="kafka", kafka=kafka))
    asyncio.run(provision(settings))
    fill_mongo(log.mongo.url.reveal(), log.mongo.database, commits(events))
    seconds = asyncio.run(_relay(settings, events))
    records[:] = _sent(kafka.bootstrap_servers, kafka.topic)
    require(len({dict(headers)["ce_id"] for _, _, headers in records}), events, "events in the topic")
    return seconds


async def _relay(settings: Settings, events: int) -> float:
    async with opened(settings) as container, Resources(container) as resources:
        await resources.open_publisher(container.bus())
        relay = container.relay()
        if relay is None:
            raise RuntimeError("there is no bus")
        with _Reading(settings.bus.kafka.bootstrap_servers, settings.bus.kafka.topic) as topic:
            started = time.perf_counter()
            relaying = asyncio.create_task(relay.run())
            try:
                async with asyncio.timeout(_LONGEST_SECONDS):
                    while await asyncio.to_thread(topic.length) < events:  # noqa: ASYNC110 (the broker knows)
                        await asyncio.sleep(_POLL_SECONDS)
                return time.perf_counter() - started
            finally:
                relaying.cancel()
                with suppress(asyncio.CancelledError):
                    await relaying


def _produce_seconds(bootstrap: str, records: list[_Record]) -> float:
    kafka = new_topic(bootstrap)
    asyncio.run(make_topic(kafka))
    topic = kafka.topic
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "linger.ms": 5})
    producer.list_topics(topic, timeout=10)
    started = time.perf_counter()
    for key, value, headers in records:
        while True:
            try:
                producer.produce(topic, value, key, headers=headers)
                break
            except BufferError:
                producer.poll(0.01)
        producer.poll(0)
    producer.flush(_LONGEST_SECONDS)
    seconds = time.perf_counter() - started
    with _Reading(bootstrap, topic) as reading:
        require(reading.length(), len(records), "messages in the topic")
    return seconds


class _Reading:
    """Of a whole topic, from its beginning. Nothing is fetched before `all`: the relay has this process to itself while
    it is measured."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        options = {"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex, "enable.auto.commit": False}
        self._consumer = Consumer(options)
        self._partitions = [TopicPartition(topic, partition, 0) for partition in range(_PARTITIONS)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def length(self) -> int:
        return sum(self._consumer.get_watermark_offsets(each, timeout=10)[1] for each in self._partitions)

    def all(self) -> list[Message]:
        wanted, messages = self.length(), list[Message]()
        self._consumer.assign(self._partitions)
        deadline = time.monotonic() + _LONGEST_SECONDS
        while len(messages) < wanted and time.monotonic() < deadline:
            messages += self._consumer.consume(10_000, 1)
        return messages


def _sent(bootstrap: str, topic: str) -> list[_Record]:
    """Without watermarks, which have no key."""
    with _Reading(bootstrap, topic) as reading:
        messages = [message for message in reading.all() if message.key() is not None]
    return [(_bytes(each.key()), _bytes(each.value()), _headers(each)) for each in messages]


def _headers(message: Message) -> _Headers:
    headers: Any = message.headers() or []  # the driver's own types allow what it never gives
    return [(name, value) for name, value in headers]


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value

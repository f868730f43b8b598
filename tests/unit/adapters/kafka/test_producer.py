"""Which messages go together into a flush, and whose error is whose."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from adapters.kafka.producer import AsyncProducer, DeliveryFailed
from adapters.wire.cloudevents import WireMessage

REJECTED = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)


class InMemoryProducer:
    """Acknowledges at a flush what it was given before, in `flushed`; a value `b"rejected"` fails there, and
    `b"refused"` at once. A flush waits until it `may_flush`. The queue has `room` for so many messages."""

    def __init__(self, room: int = 100) -> None:
        self._room = room
        self.flushed: list[list[bytes | None]] = []
        self.may_flush = threading.Event()
        self.is_flushing = threading.Event()
        self._given: list[tuple[bytes | None, Any]] = []

    def produce(self, _: str, value: bytes | None, *__: object, on_delivery: Any, headers: object) -> None:
        if value == b"refused":
            raise KafkaException(REJECTED)
        if len(self._given) == self._room:
            raise BufferError
        self._given.append((value, on_delivery))

    def flush(self, _: float) -> int:
        if not self._given:
            return 0
        self.is_flushing.set()
        if not self.may_flush.wait(0.01):
            return len(self._given)
        given, self._given = self._given, []
        self.flushed.append([value for value, _ in given])
        for value, report in given:
            if value == b"rejected":  # with `delivery.report.only.error`, successes are not reported
                report(REJECTED, None)
        return 0

    def poll(self, _: float) -> int:
        return 0


def message(value: bytes) -> WireMessage:
    return WireMessage(0, b"key", value, [])


@asynccontextmanager
async def producing(client: InMemoryProducer) -> AsyncIterator[AsyncProducer]:
    producer = AsyncProducer(lambda: cast("Producer", client), "topic")
    producer.open()
    yield producer
    client.may_flush.set()
    await producer.close()


async def test_what_waits_for_a_flush_goes_together_into_the_next_one() -> None:
    client = InMemoryProducer()
    async with producing(client) as producer:
        first = asyncio.create_task(producer.send([message(b"1")]))
        await asyncio.to_thread(client.is_flushing.wait, 10)
        others = [asyncio.create_task(producer.send([message(b"%d" % n), message(b"b")])) for n in (2, 3, 4)]
        await asyncio.sleep(0)
        client.may_flush.set()
        assert [await each for each in (first, *others)] == [1, 2, 2, 2]
    assert client.flushed == [[b"1"], [b"2", b"b", b"3", b"b", b"4", b"b"]]


async def test_a_full_queue_is_flushed_and_the_order_is_kept() -> None:
    client = InMemoryProducer(room=2)
    client.may_flush.set()
    async with producing(client) as producer:
        assert await producer.send([message(b"%d" % n) for n in range(5)]) == 5
    assert client.flushed == [[b"0", b"1"], [b"2", b"3"], [b"4"]]


@pytest.mark.parametrize("value", [b"rejected", b"refused"])
async def test_a_failed_message_fails_its_own_call(value: bytes) -> None:
    client = InMemoryProducer()
    async with producing(client) as producer:
        first = asyncio.create_task(producer.send([message(b"1")]))
        await asyncio.to_thread(client.is_flushing.wait, 10)
        failing = asyncio.create_task(producer.send([message(b"2"), message(value)]))
        other = asyncio.create_task(producer.send([message(b"3")]))
        await asyncio.sleep(0)
        client.may_flush.set()
        with pytest.raises(DeliveryFailed, match=REJECTED.str()):
            await failing
        assert (await first, await other) == (1, 1)


async def test_an_error_while_messages_are_made_is_raised_in_the_call() -> None:
    def broken() -> Iterator[WireMessage]:
        yield message(b"1")
        raise LookupError("no header")

    client = InMemoryProducer()
    client.may_flush.set()
    async with producing(client) as producer:
        with pytest.raises(LookupError, match="no header"):
            await producer.send(broken())
        assert await producer.send([message(b"2")]) == 1


async def test_a_call_that_was_cancelled_before_its_turn_sends_nothing() -> None:
    client = InMemoryProducer()
    async with producing(client) as producer:
        first = asyncio.create_task(producer.send([message(b"1")]))
        await asyncio.to_thread(client.is_flushing.wait, 10)
        cancelled = asyncio.create_task(producer.send([message(b"2")]))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        client.may_flush.set()
        assert await first == 1
        assert await producer.send([message(b"3")]) == 1
    assert client.flushed == [[b"1"], [b"3"]]

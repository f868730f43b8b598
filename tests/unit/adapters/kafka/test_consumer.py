"""What a member of a consumer group takes at once."""

from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, TopicPartition

from adapters.kafka import consumer
from adapters.kafka.consumer import GroupConsumer
from adapters.wire.cloudevents import WireMessage, to_messages
from application.envelopes import Commit, StoredEvent
from application.ports.bus import CommitEntry, Publication, Watermark
from given import NOON, POST


@pytest.fixture(autouse=True)
def enough_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "_GATHER_WATERMARKS_SECONDS", 60.0)


class Received:
    def __init__(self, message: WireMessage, offset: int) -> None:
        self._message = message
        self._offset = offset

    def partition(self) -> int:
        return self._message.partition

    def offset(self) -> int:
        return self._offset

    def headers(self) -> Any:
        return self._message.headers

    def key(self) -> bytes | None:
        return self._message.key

    def value(self) -> bytes | None:
        return self._message.value

    def error(self) -> None:
        return None


class Replies:
    """A client with what the brokers send, reply by reply: the next one is there when the client waits for it."""

    def __init__(self, *replies: Sequence[Received]) -> None:
        self._replies = deque(replies)
        self._here: deque[Received] = deque()

    def subscribe(self, _: list[str], *, on_assign: Any, **__: Any) -> None:
        on_assign(self, [TopicPartition("topic", partition) for partition in range(3)])

    def incremental_assign(self, _: list[TopicPartition]) -> None:
        pass

    def poll(self, _: float) -> Received | None:
        if not self._here and self._replies:
            self._here.extend(self._replies.popleft())
        return self._here.popleft() if self._here else None

    def consume(self, limit: int, timeout: float) -> list[Received]:
        assert timeout == 0
        return [self._here.popleft() for _ in range(min(limit, len(self._here)))]


def mark(partition: int, position: int) -> Received:
    [message] = to_messages(Publication("log", 3, [Watermark(partition, position - 1, position)]))
    return Received(message, position)


def event(partition: int, position: int) -> Received:
    commit = Commit(
        position=position,
        stream_id=POST,
        version=1,
        commit_id="c",
        recorded_at=NOON,
        metadata={},
        events=(StoredEvent("PostLiked", 2, {}),),
    )
    [message] = to_messages(Publication("log", 3, [CommitEntry(partition, position - 1, commit)]))
    return Received(message, position)


def places(client: Replies, started: Sequence[int], limit: int = 100) -> list[tuple[int, int]]:
    member = GroupConsumer(cast("Consumer", client), "topic", lambda: False)
    member.join()
    member.start(dict.fromkeys(started, 0))
    return received(member, limit)


def received(member: GroupConsumer, limit: int = 100) -> list[tuple[int, int]]:
    return [(each.partition, each.offset) for each in member.receive(limit, 1.0).messages]


def test_what_comes_in_several_replies_for_several_partitions_is_one_delivery() -> None:
    client = Replies([mark(1, 5)], [mark(0, 5), mark(2, 5)], [mark(1, 6)])
    assert places(client, [0, 1, 2]) == [(1, 5), (0, 5), (2, 5)]


def test_a_partition_that_is_not_started_is_not_waited_for() -> None:
    client = Replies([mark(1, 5), mark(0, 5)], [mark(1, 6)])
    assert places(client, [0, 1]) == [(1, 5), (0, 5)]


def test_a_delivery_without_a_message_of_some_partition_is_not_withheld() -> None:
    assert places(Replies([mark(1, 5)]), [0, 1, 2]) == [(1, 5)]


@pytest.mark.parametrize("limit", [1, 2])
def test_no_delivery_has_more_messages_than_wanted(limit: int) -> None:
    client = Replies([mark(1, 5), mark(1, 6), mark(1, 7)], [mark(0, 5)])
    assert places(client, [0, 1, 2], limit) == [(1, 5), (1, 6)][:limit]


def test_an_event_does_not_wait_for_watermarks() -> None:
    assert places(Replies([event(0, 5)], [mark(1, 5)]), [0, 1, 2]) == [(0, 5)]
    assert places(Replies([mark(1, 5)], [event(0, 5)], [mark(2, 5)]), [0, 1, 2]) == [(1, 5), (0, 5)]


def test_watermarks_that_follow_an_event_do_not_wait_for_one_of_its_partition() -> None:
    client = Replies([event(0, 5)], [mark(2, 5), mark(1, 5)], [mark(0, 6)], [mark(1, 6), mark(2, 6)])
    member = GroupConsumer(cast("Consumer", client), "topic", lambda: False)
    member.join()
    member.start(dict.fromkeys([0, 1, 2], 0))
    assert received(member) == [(0, 5)]
    assert received(member) == [(2, 5), (1, 5)]
    assert received(member) == [(0, 6), (1, 6), (2, 6)], "the event is forgotten: a watermark waits for the others"

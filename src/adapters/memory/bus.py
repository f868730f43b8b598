"""A bus in this process's memory: partitions, offsets, groups, and a retention by size. Messages are kept in Kafka's
format, so that a received message was encoded and decoded in the same way.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from itertools import count, islice
from typing import Self
from uuid import uuid4

from adapters.wire.cloudevents import WireMessage, from_message, to_messages
from application.errors import BusUnavailable
from application.ports.bus import BusMessage, Delivery, Publication, Topic


class TopicPartition:
    """The messages from offset `begin` to the one before `end`, at most `room` bytes of them."""

    def __init__(self, room: int) -> None:
        self.begin = 0
        self.end = 0
        self._room = room
        self._messages: dict[int, WireMessage] = {}

    def append(self, message: WireMessage) -> None:
        self._messages[self.end] = message
        self._room -= _bytes_of(message)
        self.end += 1
        while self._room < 0:
            self.drop_before(self.begin + 1)

    def drop_before(self, offset: int) -> None:
        while self.begin < min(offset, self.end):
            self._room += _bytes_of(self._messages.pop(self.begin))
            self.begin += 1

    def __getitem__(self, offset: int) -> WireMessage:
        return self._messages[offset]


class MemoryTopic:
    def __init__(self, partitions: int, retained_bytes: int) -> None:
        self.id = uuid4().hex
        self.partitions = [TopicPartition(retained_bytes // partitions) for _ in range(partitions)]


def _bytes_of(message: WireMessage) -> int:
    return len(message.key or b"") + len(message.value or b"") + sum(len(n) + len(v or b"") for n, v in message.headers)


_RETAINED_BYTES = 64_000_000


class MemoryBus:
    """A publisher, the topic that it publishes to, and its groups. Belongs to one event loop."""

    def __init__(self, partitions: int, retained_bytes: int = _RETAINED_BYTES) -> None:
        self.topic = MemoryTopic(partitions, retained_bytes)
        self._retained_bytes = retained_bytes
        self._groups: dict[str, list[MemorySubscription]] = {}
        self._changed = asyncio.Event()

    def subscription(self, group_prefix: str) -> "MemorySubscription":
        return MemorySubscription(self, group_prefix)

    async def partitions(self) -> int:
        return len(self.topic.partitions)

    async def publish(self, publication: Publication) -> int:
        return self.put(to_messages(publication))

    def put(self, messages: Iterable[WireMessage]) -> int:
        """Add messages, which Postlog need not have encoded; returns how many. Raises `BusUnavailable` for a partition
        that does not exist."""
        put = 0
        for message in messages:
            if message.partition >= len(self.topic.partitions):
                raise BusUnavailable(f"The topic has no partition {message.partition}.")
            self.topic.partitions[message.partition].append(message)
            put += 1
        self._wake()
        return put

    def recreate(self, partitions: int) -> None:
        """Delete the topic with all its messages and create it again."""
        self.topic = MemoryTopic(partitions, self._retained_bytes)
        for members in self._groups.values():
            self._rebalance(members)

    def join(self, group_id: str, member: "MemorySubscription") -> None:
        members = self._groups.setdefault(group_id, [])
        members.append(member)
        self._rebalance(members)

    def leave(self, group_id: str, member: "MemorySubscription") -> None:
        self._groups[group_id].remove(member)
        self._rebalance(self._groups[group_id])

    async def changed(self) -> None:
        """Return when there are more messages, or the partitions were reassigned."""
        await self._changed.wait()

    def _rebalance(self, members: "list[MemorySubscription]") -> None:
        for number, member in enumerate(members):
            member.assign(range(number, len(self.topic.partitions), len(members)))
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class MemorySubscription:
    """Takes part in the group that it joined while it is open. `committed` are the offsets that it was given."""

    def __init__(self, bus: MemoryBus, group_prefix: str) -> None:
        self.committed: dict[int, int] = {}
        self._bus = bus
        self._group_prefix = group_prefix
        self._group_id: str | None = None
        self._assignments = count(1)
        self._assigned: dict[int, int] = {}
        self._next: dict[int, int] = {}
        self._shown: dict[int, int] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    async def join(self, database_id: str) -> None:
        group_id = f"{self._group_prefix}-{database_id}"
        if group_id != self._group_id:
            self._leave()
            self._group_id = group_id
            self._bus.join(group_id, self)

    def _leave(self) -> None:
        if self._group_id is not None:
            self._bus.leave(self._group_id, self)
            self._group_id = None
            self.assign(())

    def assign(self, partitions: Collection[int]) -> None:
        """Keep the partitions that were assigned before, add new ones, and give up the rest."""
        self._assigned = {p: self._assigned.get(p) or next(self._assignments) for p in partitions}
        self._next = {partition: offset for partition, offset in self._next.items() if partition in self._assigned}

    async def topic(self) -> Topic:
        return Topic(self._bus.topic.id, len(self._bus.topic.partitions))

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        return {partition: self._bus.topic.partitions[partition].end for partition in partitions}

    async def receive(self, limit: int, timeout: float) -> Delivery:
        await asyncio.sleep(0)  # there may always be more; other tasks must run
        out_of_range, messages = self._poll(limit)
        if not out_of_range and not messages and self._assigned == self._shown:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._bus.changed()
            out_of_range, messages = self._poll(limit)
        self._shown = dict(self._assigned)
        return Delivery(self._shown, out_of_range, messages)

    async def start(self, offsets: Mapping[int, int]) -> None:
        self._next |= {partition: offset for partition, offset in offsets.items() if partition in self._assigned}

    async def pause(self, partitions: Collection[int]) -> None:
        for partition in partitions:
            self._next.pop(partition, None)

    def commit_offsets(self, offsets: Mapping[int, int]) -> None:
        self.committed |= offsets

    def _poll(self, limit: int) -> tuple[list[int], list[BusMessage]]:
        partitions = self._bus.topic.partitions
        out_of_range = [p for p, offset in self._next.items() if not partitions[p].begin <= offset <= partitions[p].end]
        for partition in out_of_range:
            del self._next[partition]
        messages = list(islice(self._waiting(), limit))
        for message in messages:
            self._next.pop(message.partition)  # moves the partition to the end, behind the others
            self._next[message.partition] = message.offset + 1
        return out_of_range, messages

    def _waiting(self) -> Iterable[BusMessage]:
        for number, first in self._next.items():
            partition = self._bus.topic.partitions[number]
            for offset in range(first, partition.end):
                message = partition[offset]
                yield from_message(number, offset, message.key, message.value, message.headers)

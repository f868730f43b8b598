"""The bus carries the log's commits to projectors and other consumers, one message per event.

No consumer relies on the delivery of a message. Each message states a fact about the log that stays true, whoever sends
it and however often: with `partitions` partitions, the commits of this partition after `prev_position` and up to
`position` are exactly this one (for a watermark: none). A consumer at or past `prev_position` has missed nothing; one
below it must read the gap from the log.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from application.envelopes import Commit


class CommitEntry(NamedTuple):
    """A commit to be published to the partition of its stream, one message per event."""

    partition: int
    prev_position: int
    commit: Commit


class Watermark(NamedTuple):
    """States that the partition has no commit after `prev_position` and up to `position`."""

    partition: int
    prev_position: int
    position: int


@dataclass(frozen=True, slots=True)
class Publication:
    """A batch for the bus, with each partition's entries in order."""

    log_id: str
    partitions: int
    entries: Sequence[CommitEntry | Watermark]


class Publisher(Protocol):
    async def partitions(self) -> int:
        """How many partitions the topic has now. Raises `BusUnavailable`."""
        ...

    async def publish(self, publication: Publication) -> int:
        """Returns the number of messages, once the bus has durably acknowledged all of them. Calls may overlap: in each
        partition messages are in the order of the calls. Raises `BusUnavailable` when a delivery failed; it is unknown
        then which of the others arrived.
        """
        ...


class EventMessage(NamedTuple):
    """One event received from the bus. `part` is its commit with this event only, number `commit_index` (from 0) of
    `commit_size`, and with the metadata that the bus carries.
    """

    partition: int
    offset: int
    log_id: str
    partitions: int
    prev_position: int
    position: int
    commit_index: int
    commit_size: int
    part: Commit


class WatermarkMessage(NamedTuple):
    partition: int
    offset: int
    log_id: str
    partitions: int
    prev_position: int
    position: int


class UnreadableMessage(NamedTuple):
    """A malformed message, or one of another application. `log_id` and `position` if they can be read."""

    partition: int
    offset: int
    log_id: str | None
    position: int | None
    reason: str


BusMessage = EventMessage | WatermarkMessage | UnreadableMessage


@dataclass(frozen=True, slots=True)
class Topic:
    """`id` changes when the topic is deleted and recreated."""

    id: str
    partitions: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """`assigned` are the subscription's partitions, each with the number of its assignment: a changed number means that
    the partition was assigned elsewhere in between. `out_of_range` are partitions whose next offset the bus no longer
    has; they are paused. `messages` are in order within a partition.
    """

    assigned: Mapping[int, int]
    out_of_range: Collection[int]
    messages: Sequence[BusMessage]


class Subscription(Protocol):
    """Some of the topic's partitions, which are divided among all subscriptions that have joined for the same read
    database. A newly assigned partition is paused: nothing of it is delivered until it is started.
    """

    async def join(self, database_id: str) -> None:
        """Join the group of this read database, and leave that of another one. Repeating it has no effect. Before it,
        only `topic` and `ends` may be called. Raises `BusUnavailable`.
        """
        ...

    async def topic(self) -> Topic:
        """The topic as it is now. Raises `BusUnavailable`."""
        ...

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """The offset after the last message of each partition. Raises `BusUnavailable`."""
        ...

    async def receive(self, limit: int, timeout: float) -> Delivery:
        """At most `limit` messages, immediately if there are any, otherwise after about `timeout` seconds or sooner. It
        must be called regularly, or the group reassigns the partitions. Raises `BusUnavailable`.
        """
        ...

    async def start(self, offsets: Mapping[int, int]) -> None:
        """Deliver each of these partitions from its offset on, and drop its messages in flight. Partitions that are no
        longer assigned are ignored. Raises `BusUnavailable`.
        """
        ...

    async def pause(self, partitions: Collection[int]) -> None:
        """Deliver nothing of these partitions until they are started again. Raises `BusUnavailable`."""
        ...

    def commit_offsets(self, offsets: Mapping[int, int]) -> None:
        """Report to the bus's own tools how far each partition is projected. No decision depends on
        it; it may be lost.
        """
        ...

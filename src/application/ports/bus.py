"""The bus carries the log's commits to projectors, one message an event, and to anybody else who listens.

Nobody relies on a message arriving. What counts is what each one says of the log, and that is true for ever, whoever
sends it and however often: with `partitions` partitions, the commits of this partition behind `prev_position` and up
to `position` are exactly this one (a watermark: none). Who stands at `prev_position` or beyond has missed nothing; who
stands below it reads what is between from the log.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from application.envelopes import Commit


@dataclass(frozen=True, slots=True)
class CommitEntry:
    """A commit to be published, one message an event, to the partition of its stream."""

    partition: int
    prev_position: int
    commit: Commit


@dataclass(frozen=True, slots=True)
class Watermark:
    """Tells a partition how far the log was published: nothing is for it behind `prev_position` up to `position`."""

    partition: int
    prev_position: int
    position: int


@dataclass(frozen=True, slots=True)
class Publication:
    """What goes to the bus in one go, each partition's entries in their order."""

    log_id: str
    partitions: int
    entries: Sequence[CommitEntry | Watermark]


class Publisher(Protocol):
    async def partitions(self) -> int:
        """How many the topic has now. Raises `BusUnavailable`."""
        ...

    async def publish(self, publication: Publication) -> int:
        """Returns how many messages it made, once the bus has acknowledged all of them for good. Calls may overlap:
        in each partition messages stand in the order of the calls. Raises `BusUnavailable` when a delivery failed;
        which of the others arrived is unknown then.
        """
        ...


class EventMessage(NamedTuple):
    """One event as it came from the bus. `part` is its commit with this event only, number `commit_index` (from 0)
    of `commit_size`; of the commit's metadata it has what the bus carries.
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
    """Not a message of this application, or a spoilt one. `log_id` and `position` as far as they can be read."""

    partition: int
    offset: int
    log_id: str | None
    position: int | None
    reason: str


BusMessage = EventMessage | WatermarkMessage | UnreadableMessage


@dataclass(frozen=True, slots=True)
class Topic:
    """`id` is another one when the topic was deleted and made anew."""

    id: str
    partitions: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """`owned` are the partitions that are this subscription's now, each with the number of its assignment: another
    number means that it was somebody else's in between. `lost` are partitions whose next offset the bus does not have
    any more; they are held. `messages` are in order within a partition.
    """

    assigned: Mapping[int, int]
    out_of_range: Collection[int]
    messages: Sequence[BusMessage]


class Subscription(Protocol):
    """A share of the topic's partitions, divided among all subscriptions that have joined for the same read database. A
    partition that is newly owned is held: nothing of it is delivered until it is started.
    """

    async def join(self, database_id: str) -> None:
        """Share the partitions with those who joined for this database, and no longer with those of another. Joining
        once more changes nothing. Before it only `topic` and `ends` are answered. Raises `BusUnavailable`."""
        ...

    async def topic(self) -> Topic:
        """As it is now. Raises `BusUnavailable`."""
        ...

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """The offset behind the last message of each. Raises `BusUnavailable`."""
        ...

    async def receive(self, limit: int, timeout: float) -> Delivery:
        """At most `limit` messages, at once when there are any, otherwise after about `timeout` seconds or sooner. It
        must be called again and again, else the group takes the partitions away. Raises `BusUnavailable`.
        """
        ...

    async def start(self, offsets: Mapping[int, int]) -> None:
        """From now on deliver each of these partitions from its offset on, and nothing of it that was under way
        before. Partitions that are not owned any more are passed over. Raises `BusUnavailable`.
        """
        ...

    async def pause(self, partitions: Collection[int]) -> None:
        """Deliver nothing more of these partitions until they are started again. Raises `BusUnavailable`."""
        ...

    def commit_offsets(self, offsets: Mapping[int, int]) -> None:
        """Let the bus's own tools see how far each partition is projected; it decides nothing and may be lost."""
        ...

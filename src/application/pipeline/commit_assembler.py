"""From the messages of one partition to the commits that the rows lack: pure, and never guessing.

Messages may come twice, in another order, damaged, or not at all. A commit is taken only when it follows what the rows
have, and only whole. Whatever does not fit is answered with a `Gap`: read this much from the log, then continue. A
`GapFill` does that, for one or several partitions at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from application.envelopes import Commit
from application.partitioning import partition_of
from application.ports.bus import BusMessage, EventMessage, UnreadableMessage, WatermarkMessage
from application.ports.read_db import Checkpoint


@dataclass(frozen=True, slots=True)
class Gap:
    """The commits of the partition after the assembler's position and up to `until` must be read from the log, before
    the same message is offered again."""

    until: int
    reason: str


class CommitAssembler:
    """Of one partition. Every commit of it up to `position` was handed out; `offset` is the next to read, never past
    the first message of a commit that is not whole, and None while it is unknown. `repeated` counts events that were
    seen before, `foreign` messages of another log.
    """

    def __init__(
        self, partition: int, partitions: int, log_id: str, topic_id: str, checkpoint: Checkpoint | None
    ) -> None:
        self.partition = partition
        self.position = checkpoint.position if checkpoint else 0
        self.offset = checkpoint.offset if checkpoint and checkpoint.topic_id == topic_id else None
        self.repeated = 0
        self.foreign = 0
        self._partitions = partitions
        self._log_id = log_id
        self._topic_id = topic_id
        self._commit_position = checkpoint.commit_position if checkpoint else 0
        self._commit_id = checkpoint.commit_id if checkpoint else ""
        self._parts: list[EventMessage] = []

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(
            partition=self.partition,
            position=self.position,
            commit_position=self._commit_position,
            commit_id=self._commit_id,
            topic_id=self._topic_id if self.offset is not None else None,
            offset=self.offset,
        )

    def take(self, message: BusMessage) -> Commit | Gap | None:
        """A commit that is next and whole, or None: nothing to do, or not yet. A message that met a `Gap` is not taken;
        offer it again, or `skip` it."""
        taken = self._take(message)
        if not isinstance(taken, Gap):
            self.offset = self._parts[0].offset if self._parts else message.offset + 1
        return taken

    def skip(self, message: BusMessage) -> None:
        """Continue after it; what it announced is read from the log when the next message shows that it is missing."""
        self._parts.clear()
        self.offset = message.offset + 1

    def read_from_log(self, position: int, last: Commit | None) -> None:
        """Every commit of this partition up to `position` was read from the log. `last` is the last commit of the log
        that was read, whichever partition it is for."""
        self._parts.clear()
        self.position = position
        if last is not None:
            self._remember(last)

    def _take(self, message: BusMessage) -> Commit | Gap | None:
        if message.position is None:
            return None
        if message.log_id != self._log_id:
            self.foreign += 1
            return None
        if message.position <= self.position:
            self.repeated += isinstance(message, EventMessage)
            return None
        if isinstance(message, UnreadableMessage):
            return Gap(message.position, f"a message is unreadable: {message.reason}")
        return self._gap_before(message) or self._take_next(message)

    def _gap_before(self, message: EventMessage | WatermarkMessage) -> Gap | None:
        if message.partitions != self._partitions:
            return Gap(message.position, f"a message was published when the topic had {message.partitions} partitions")
        if message.prev_position > self.position:
            return Gap(message.prev_position, "messages are missing")
        if self._parts and (isinstance(message, WatermarkMessage) or message.position != self._parts[0].position):
            return Gap(message.position, "the rest of a commit is missing")
        return None

    def _take_next(self, message: EventMessage | WatermarkMessage) -> Commit | Gap | None:
        if isinstance(message, WatermarkMessage):
            self.position = message.position
            return None
        if message.commit_index == 0:
            self._parts.clear()
        if message.commit_index != len(self._parts):
            return Gap(message.position, "the events of a commit are not in order")
        self._parts.append(message)
        return self._whole(message) if len(self._parts) == message.commit_size else None

    def _whole(self, message: EventMessage) -> Commit:
        events = tuple([part.part.events[0] for part in self._parts])
        commit = message.part if len(events) == 1 else message.part._replace(events=events)
        self._parts.clear()
        self.position = commit.position
        self._remember(commit)
        return commit

    def _remember(self, commit: Commit) -> None:
        self._commit_position = commit.position
        self._commit_id = commit.commit_id


@dataclass(frozen=True, slots=True)
class GapFill:
    """What is after the assembler's position and up to `until` is read from the log; then the bus is resumed at
    `offset`."""

    assembler: CommitAssembler
    until: int
    offset: int

    @property
    def done(self) -> bool:
        return self.assembler.position >= self.until


def log_range(fills: Sequence[GapFill]) -> tuple[int, int]:
    """After which position, and up to which, the log must be read."""
    return min(fill.assembler.position for fill in fills), max(fill.until for fill in fills)


def missing_commits(page: Sequence[Commit], fills: Mapping[int, GapFill], partitions: int) -> list[Commit]:
    """The commits of a page of the log that are missing, `fills` by partition; their assemblers move past the page. It
    begins at or before the first position that any of them lacks."""
    missing: list[Commit] = []
    for commit in page:
        fill = fills.get(partition_of(commit.stream_id, partitions))
        if fill is not None and fill.assembler.position < commit.position <= fill.until:
            missing.append(commit)
    for fill in fills.values():
        _move(fill, page)
    return missing


def _move(fill: GapFill, page: Sequence[Commit]) -> None:
    reached = min(page[-1].position, fill.until) if page else 0
    if reached > fill.assembler.position:
        fill.assembler.read_from_log(reached, page[reached - page[0].position])

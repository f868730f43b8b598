"""Messages in, rows out: what fits is applied, batch by batch, and what is missing is read from the log."""

import logging
from collections import deque
from collections.abc import Mapping, Sequence

from application.envelopes import Commit
from application.pipeline.assembling import Gap, PartitionReader
from application.pipeline.bus_trust import BusTrust
from application.pipeline.progress import Progress
from application.pipeline.projector import Projector
from application.pipeline.spans import Span, behind, hand_out
from application.ports.bus import BusMessage, Subscription, UnreadableMessage
from application.ports.commit_log import CommitLog
from application.ports.read_db import Checkpoint
from application.ports.system import Metrics
from application.projections.batch import at_most

logger = logging.getLogger(__name__)


class Intake:
    """Of one generation of the read database, at one number of partitions. After anything that it raises its idea of
    the checkpoints is wrong, and it must be thrown away."""

    def __init__(
        self,
        *,
        generation: int,
        partitions: int,
        projector: Projector,
        log: CommitLog,
        subscription: Subscription,
        trust: BusTrust,
        metrics: Metrics,
        batch_size: int,
    ) -> None:
        self._generation = generation
        self._partitions = partitions
        self._projector = projector
        self._log = log
        self._subscription = subscription
        self._trust = trust
        self._metrics = metrics
        self._batch_size = batch_size
        self._progress = Progress()
        self._spans: dict[int, Span] = {}

    @property
    def reads_log(self) -> bool:
        """Whether there are partitions that wait for what is being read from the log."""
        return bool(self._spans)

    @property
    def stored(self) -> Mapping[int, Checkpoint | None]:
        """The checkpoints, by partition, as they were found or written last."""
        return self._progress.stored

    def begin(self, reader: PartitionReader, stored: Checkpoint | None) -> None:
        self._progress.add(reader, stored)
        self._trust.doubt(reader.partition)

    def drop(self, partition: int) -> None:
        self._progress.drop(partition)
        self._spans.pop(partition, None)

    def position(self, partition: int) -> int:
        return self._progress.readers[partition].position

    def go_on_from_log(self, partition: int, until: int, offset: int) -> None:
        """Read the partition's commits up to position `until` from the log, then start it at `offset`."""
        self._spans[partition] = Span(self._progress.readers[partition], until, offset)
        self._trust.doubt(partition)

    async def take(self, messages: Sequence[BusMessage]) -> None:
        """Raises `CheckpointMoved`, `Unavailable`, `WrongLog`."""
        self._note_unreadable(messages)
        waiting = deque(messages)
        while waiting:
            commits, gap = self._assemble(waiting)
            await self._look_at_passed_over()
            await self._trust.check_commits(commits, catching_up=len(messages) >= self._batch_size)
            await self._apply(commits)
            if gap is not None:
                await self._heal(waiting, gap)

    async def read_log(self) -> None:
        """A page for the partitions that wait for it. Raises as `take`."""
        if not self._spans:
            return
        at_end = await self._read_page(self._spans)
        done = {partition: span for partition, span in self._spans.items() if at_end or span.done}
        for partition, span in done.items():
            del self._spans[partition]
            span.reader.offset = span.offset
        if done:
            await self._subscription.start({partition: span.offset for partition, span in done.items()})
            await self._apply([])

    def _assemble(self, waiting: deque[BusMessage]) -> tuple[list[Commit], Gap | None]:
        """Whole commits up to the end or to a message that does not follow; that one stays first in `waiting`."""
        commits: list[Commit] = []
        while waiting:
            message = waiting[0]
            reader = self._progress.readers.get(message.partition)
            if reader is not None and message.partition not in self._spans:
                taken = reader.take(message)
                if isinstance(taken, Gap):
                    return commits, taken
                if taken is not None:
                    commits.append(taken)
            waiting.popleft()
        return commits, None

    async def _heal(self, waiting: deque[BusMessage], gap: Gap) -> None:
        """A short gap is closed at once; for a long one the partition is held, so that the others go on."""
        message = waiting[0]
        reader = self._progress.readers[message.partition]
        logger.warning(
            "partition %d: %s; reading positions %d to %d from the log",
            reader.partition,
            gap.reason,
            reader.position + 1,
            gap.until,
        )
        self._metrics.count("projector_gaps")
        span = Span(reader, gap.until, message.offset)
        at_end = await self._read_page({reader.partition: span})
        if at_end:
            logger.warning("partition %d: the log ends at position %d", reader.partition, reader.position)
            reader.skip(waiting.popleft())
        elif not span.done:
            self._spans[reader.partition] = span
            await self._subscription.hold([reader.partition])

    async def _read_page(self, spans: Mapping[int, Span]) -> bool:
        """Whether the log ended before the spans did."""
        after, until = behind(list(spans.values()))
        if after >= until:
            return False
        page = at_most(await self._log.read(after, min(self._batch_size, until - after)))
        commits = hand_out(page, spans, self._partitions)
        await self._apply(commits)
        self._metrics.count("projector_commits_from_log", len(commits))
        return not page

    async def _apply(self, commits: list[Commit]) -> None:
        moves = self._progress.moves()
        if not moves:
            return
        await self._projector.apply(self._generation, moves, commits, self._partitions)
        self._progress.note_stored(moves)
        for move in moves:
            self._metrics.gauge("projector_position", move.after.position, partition=str(move.after.partition))
        self._subscription.tell({m.after.partition: m.after.offset for m in moves if m.after.offset is not None})

    async def _look_at_passed_over(self) -> None:
        passed = self._progress.take_passed_over()
        if passed.foreign:
            logger.warning("passed over %d messages of another log", passed.foreign)
            self._metrics.count("projector_foreign_messages", passed.foreign)
        if passed.repeated:
            self._metrics.count("projector_repeated_messages", passed.repeated)
            await self._trust.check_rows()

    def _note_unreadable(self, messages: Sequence[BusMessage]) -> None:
        for message in messages:
            if isinstance(message, UnreadableMessage):
                logger.warning("partition %d: message %d is spoilt: %s", *message[:2], message.reason)
                self._metrics.count("projector_unreadable_messages")

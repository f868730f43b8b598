"""A projector that consumes the bus: one checkpoint a partition, and the log for what the bus does not bring.

A session begins at the checkpoints, with every partition that it is assigned, and ends when anything goes wrong; then
the next session begins. Commits that follow the rows are applied batch by batch. Whatever is missing, in another order
or unreadable is read from the log, while the other partitions continue.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Never

from application.backoff import Backoff
from application.envelopes import Commit
from application.errors import BusUnavailable
from application.partitioning import partition_of
from application.pipeline.commit_assembler import CommitAssembler, Gap, GapFill, log_range, missing_commits
from application.pipeline.consumer_loop import TopicChanged, gauge_partitions, run_sessions
from application.pipeline.parking import ParkedRetry
from application.pipeline.projector import Projector
from application.pipeline.topic_check import TopicVerifier
from application.ports.bus import BusMessage, Subscription, Topic, UnreadableMessage
from application.ports.commit_log import CommitLog
from application.ports.read_db import Checkpoint, CheckpointMove, CheckpointMoved, LiveGeneration, lowest_checkpoint
from application.ports.system import Metrics
from application.projections.batch import at_most

logger = logging.getLogger(__name__)

_IDLE_SECONDS = 1.0
_MANY_MESSAGES = 1_000
"""So many at once are old ones: the consumer is catching up."""

_OFFSETS_BETWEEN_CHECKPOINTS = 1_000
"""A checkpoint whose position has not moved is written again only after so many messages."""

_FILLING_CHECK_SECONDS = 0.2
_READY_CHECK_SECONDS = 5.0


class BusConsumer:
    """`batch_size` is how many messages, or commits from the log, one transaction takes at most."""

    def __init__(
        self,
        *,
        projector: Projector,
        parked: ParkedRetry,
        log: CommitLog,
        subscription: Subscription,
        metrics: Metrics,
        batch_size: int,
    ) -> None:
        self._projector = projector
        self._parked = parked
        self._log = log
        self._subscription = subscription
        self._metrics = metrics
        self._batch_size = batch_size

    async def run(self) -> None:
        """Until cancelled. Raises `WrongLog`."""
        await run_sessions(self._session, self._metrics)

    async def _session(self, backoff: Backoff) -> Never:
        session = await self._open()
        while True:
            await session.step()
            backoff.reset()

    async def _open(self) -> "BusSession":
        await self._subscription.join(await self._projector.database_id())
        topic = await self._subscription.topic()
        live, _ = await self._projector.open(topic.partitions)
        return BusSession(
            live=live,
            topic=topic,
            log_id=await self._log.log_id(),
            projector=self._projector,
            parked=self._parked,
            log=self._log,
            subscription=self._subscription,
            verifier=TopicVerifier(self._projector, self._log, topic.partitions),
            readiness=ReadinessCheck(self._projector, live, await self._log.tip()),
            metrics=self._metrics,
            batch_size=self._batch_size,
        )


class BusSession:
    """Of one generation of the read database, at one number of partitions. After anything that it raises its view of
    the checkpoints may be wrong, and it must not be used any more."""

    def __init__(
        self,
        *,
        live: LiveGeneration,
        topic: Topic,
        log_id: str,
        projector: Projector,
        parked: ParkedRetry,
        log: CommitLog,
        subscription: Subscription,
        verifier: TopicVerifier,
        readiness: "ReadinessCheck",
        metrics: Metrics,
        batch_size: int,
    ) -> None:
        self._live = live
        self._topic = topic
        self._log_id = log_id
        self._projector = projector
        self._parked = parked
        self._log = log
        self._subscription = subscription
        self._verifier = verifier
        self._readiness = readiness
        self._metrics = metrics
        self._batch_size = batch_size
        self._progress = PartitionProgress()
        self._assigned: dict[int, int] = {}
        self._fills: dict[int, GapFill] = {}
        """The partitions that wait for what is being read from the log."""

    async def step(self) -> None:
        """Receive and apply once. Raises `CheckpointMoved`, `TopicChanged`, `Unavailable`, `WrongLog`."""
        timeout = 0.0 if self._fills else min(_IDLE_SECONDS, self._readiness.due_in())
        delivery = await self._subscription.receive(self._batch_size, timeout)
        begun = await self._assign(delivery.assigned)
        gauge_partitions(self._metrics, len(self._assigned), self._topic.partitions)
        await self._resume_from_log([p for p in delivery.out_of_range if p in self._assigned and p not in begun])
        await self._apply_messages([message for message in delivery.messages if message.partition not in begun])
        await self._read_log()
        if not self._fills and await self._readiness.check(self._progress.stored):
            await self._require_same_topic()

    # Which partitions are assigned, and where they begin

    async def _assign(self, assigned: Mapping[int, int]) -> Collection[int]:
        """The partitions that begin now; what was delivered of them is from before that."""
        for partition in [p for p, number in self._assigned.items() if assigned.get(p) != number]:
            del self._assigned[partition]
            self._progress.remove(partition)
            self._fills.pop(partition, None)
        new = assigned.keys() - self._assigned.keys()
        if new:
            checkpoints = await self._checkpoints(assigned)
            logger.info("projecting partitions %s", sorted(assigned))
            self._assigned = dict(assigned)
            await self._begin({partition: checkpoints.get(partition) for partition in sorted(new)})
            await self._parked.retry_taken_over(lambda post_id: partition_of(post_id, self._topic.partitions) in new)
        return new

    async def _checkpoints(self, assigned: Collection[int]) -> dict[int, Checkpoint]:
        """As they are now: until now another projector may have moved them."""
        await self._require_same_topic()
        if max(assigned) >= self._topic.partitions:
            raise BusUnavailable("Partitions are being added to the topic.", path="bus.kafka.partitions")
        live, checkpoints = await self._projector.open(self._topic.partitions)
        if live.generation != self._live.generation:
            raise CheckpointMoved
        return checkpoints

    async def _begin(self, checkpoints: Mapping[int, Checkpoint | None]) -> None:
        known: dict[int, int] = {}
        for partition, checkpoint in checkpoints.items():
            assembler = CommitAssembler(partition, self._topic.partitions, self._log_id, self._topic.id, checkpoint)
            self._progress.add(assembler, checkpoint)
            self._verifier.doubt(partition)
            if assembler.offset is not None:
                known[partition] = assembler.offset
            elif checkpoint is not None and checkpoint.topic_id is not None:
                self._report_reset(assembler, "the topic was recreated", "topic")
        await self._subscription.start(known)
        await self._catch_up_from_log(checkpoints.keys() - known.keys())

    async def _resume_from_log(self, out_of_range: Collection[int]) -> None:
        if out_of_range:
            await self._require_same_topic()
            for partition in out_of_range:
                assembler = self._progress.assemblers[partition]
                self._report_reset(assembler, "the topic no longer has the next message", "offset")
            await self._catch_up_from_log(out_of_range)

    async def _catch_up_from_log(self, partitions: Collection[int]) -> None:
        """Read the log up to its tip, then the bus. The end of the bus is asked for first, so whatever the log gets
        after the tip was asked for comes by the bus."""
        if partitions:
            ends = await self._subscription.ends(partitions)
            tip = await self._log.tip()
            for partition in partitions:
                self._fills[partition] = GapFill(self._progress.assemblers[partition], tip, ends[partition])
                self._verifier.doubt(partition)

    async def _require_same_topic(self) -> None:
        if await self._subscription.topic() != self._topic:
            raise TopicChanged

    def _report_reset(self, assembler: CommitAssembler, reason: str, label: str) -> None:
        logger.warning(
            "partition %d: %s; resuming from the log after position %d",
            assembler.partition,
            reason,
            assembler.position,
        )
        self._metrics.count("projector_bus_resets", reason=label)

    # From messages to rows

    async def _apply_messages(self, messages: Sequence[BusMessage]) -> None:
        self._report_unreadable(messages)
        waiting = deque(messages)
        while waiting:
            commits, gap = self._assemble(waiting)
            await self._report_skipped()
            await self._verifier.check_commits(
                commits, catching_up=len(messages) >= min(self._batch_size, _MANY_MESSAGES)
            )
            await self._apply(commits)
            if gap is not None:
                await self._fill(waiting, gap)

    def _assemble(self, waiting: deque[BusMessage]) -> tuple[list[Commit], Gap | None]:
        """Whole commits up to the end or to a message that does not follow; that one stays first in `waiting`."""
        commits: list[Commit] = []
        while waiting:
            message = waiting[0]
            assembler = self._progress.assemblers.get(message.partition)
            if assembler is not None and message.partition not in self._fills:
                taken = assembler.take(message)
                if isinstance(taken, Gap):
                    return commits, taken
                if taken is not None:
                    commits.append(taken)
            waiting.popleft()
        return commits, None

    async def _apply(self, commits: Sequence[Commit]) -> None:
        moves = self._progress.moves()
        if not moves:
            return
        await self._projector.apply(self._live.generation, moves, commits, self._topic.partitions)
        self._progress.record_stored(moves)
        for move in moves:
            self._metrics.gauge("projector_position", move.after.position, partition=str(move.after.partition))
        offsets = {move.after.partition: move.after.offset for move in moves if move.after.offset is not None}
        self._subscription.commit_offsets(offsets)

    # What is missing, from the log

    async def _fill(self, waiting: deque[BusMessage], gap: Gap) -> None:
        """A short gap is filled at once; for a long one the partition is paused, so that the others continue."""
        message = waiting[0]
        assembler = self._progress.assemblers[message.partition]
        logger.warning(
            "partition %d: %s; reading positions %d to %d from the log",
            assembler.partition,
            gap.reason,
            assembler.position + 1,
            gap.until,
        )
        self._metrics.count("projector_gaps")
        fill = GapFill(assembler, gap.until, message.offset)
        at_end = await self._read_page({assembler.partition: fill})
        if at_end:
            logger.warning("partition %d: the log ends at position %d", assembler.partition, assembler.position)
            assembler.skip(waiting.popleft())
        elif not fill.done:
            self._fills[assembler.partition] = fill
            await self._subscription.pause([assembler.partition])

    async def _read_log(self) -> None:
        """A page for the partitions that wait for it."""
        if not self._fills:
            return
        at_end = await self._read_page(self._fills)
        done = {partition: fill for partition, fill in self._fills.items() if at_end or fill.done}
        for partition, fill in done.items():
            del self._fills[partition]
            fill.assembler.offset = fill.offset
        if done:
            await self._subscription.start({partition: fill.offset for partition, fill in done.items()})
            await self._apply([])

    async def _read_page(self, fills: Mapping[int, GapFill]) -> bool:
        """Whether the log ended before the gaps did."""
        after, until = log_range(list(fills.values()))
        if after >= until:
            return False
        page = at_most(await self._log.read(after, min(self._batch_size, until - after)))
        commits = missing_commits(page, fills, self._topic.partitions)
        await self._apply(commits)
        self._metrics.count("projector_commits_from_log", len(commits))
        return not page

    # What was not applied

    async def _report_skipped(self) -> None:
        skipped = self._progress.take_skipped()
        if skipped.foreign:
            logger.warning("skipped %d messages that belong to another log", skipped.foreign)
            self._metrics.count("projector_foreign_messages", skipped.foreign)
        if skipped.repeated:
            self._metrics.count("projector_repeated_messages", skipped.repeated)
            await self._verifier.check_rows()

    def _report_unreadable(self, messages: Sequence[BusMessage]) -> None:
        for message in messages:
            if isinstance(message, UnreadableMessage):
                partition, offset = message.partition, message.offset
                logger.warning("partition %d: unreadable message at offset %d: %s", partition, offset, message.reason)
                self._metrics.count("projector_unreadable_messages")


class Skipped(NamedTuple):
    """How many messages were seen before, and how many are not of this log."""

    repeated: int
    foreign: int


class PartitionProgress:
    """How far the assigned partitions are, as read and as stored."""

    def __init__(self) -> None:
        self.assemblers: dict[int, CommitAssembler] = {}
        self.stored: dict[int, Checkpoint | None] = {}
        """The checkpoints as they were found or written last."""

    def add(self, assembler: CommitAssembler, stored: Checkpoint | None) -> None:
        self.assemblers[assembler.partition] = assembler
        self.stored[assembler.partition] = stored

    def remove(self, partition: int) -> None:
        del self.assemblers[partition], self.stored[partition]

    def moves(self) -> list[CheckpointMove]:
        """From what is stored to what was read, where that is worth a write."""
        moves = [CheckpointMove(self.stored[p], assembler.checkpoint()) for p, assembler in self.assemblers.items()]
        return [move for move in moves if _is_worth_storing(move)]

    def record_stored(self, moves: Iterable[CheckpointMove]) -> None:
        for move in moves:
            self.stored[move.after.partition] = move.after

    def take_skipped(self) -> Skipped:
        """Since the last call."""
        skipped = Skipped(
            sum(assembler.repeated for assembler in self.assemblers.values()),
            sum(assembler.foreign for assembler in self.assemblers.values()),
        )
        for assembler in self.assemblers.values():
            assembler.repeated = assembler.foreign = 0
        return skipped


def _is_worth_storing(move: CheckpointMove) -> bool:
    before, after = move.before, move.after
    if before is None or before.position != after.position or before.topic_id != after.topic_id:
        return True
    return (after.offset or 0) - (before.offset or 0) >= _OFFSETS_BETWEEN_CHECKPOINTS


class ReadinessCheck:
    """Reads the checkpoints of the database now and then, whether there is anything to write or not.

    Is it filled enough to answer queries? It is once every partition, whichever process projects it, has reached the
    tip that was found at the beginning, `fill_until`. And is it still where this projector left it? A swap, or a
    projector with another number of partitions, moves checkpoints; a projector with nothing to write would not notice.
    """

    def __init__(self, projector: Projector, live: LiveGeneration, fill_until: int) -> None:
        self._projector = projector
        self._live = live
        self._fill_until = fill_until
        self._ready = live.ready
        self._check_at = 0.0

    def due_in(self) -> float:
        """Seconds until the next check."""
        return max(0.0, self._check_at - asyncio.get_running_loop().time())

    async def check(self, stored: Mapping[int, Checkpoint | None]) -> bool:
        """Whether it was time to check. `stored` are this projector's checkpoints, as it left them. Raises
        `CheckpointMoved`, `Unavailable`, `WrongLog`."""
        if self.due_in():
            return False
        live, checkpoints = await self._projector.open(self._live.partitions)
        if live.generation != self._live.generation or any(checkpoints.get(p) != at for p, at in stored.items()):
            raise CheckpointMoved
        if not live.ready and lowest_checkpoint(checkpoints, live.partitions).position >= self._fill_until:
            await self._projector.mark_ready(live.generation)
            logger.info("the read database is complete; queries are answered from now on")
            self._ready = True
        self._ready = self._ready or live.ready
        pause = _READY_CHECK_SECONDS if self._ready else _FILLING_CHECK_SECONDS
        self._check_at = asyncio.get_running_loop().time() + pause
        return True

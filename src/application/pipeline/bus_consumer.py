"""Where the partitions of this projector stand, as read and as stored.

Looks at the read database now and then, whether there is anything to write or not.

Is it filled enough to answer queries? It is once every partition, whoever projects it, stands at the tip that was found
at the beginning. And does it still stand where this projector left it? A swap, or a projector that divides the posts in
another way, moves checkpoints; who has nothing to write would not notice.

Messages in, rows out: what fits is applied, batch by batch, and what is missing is read from the log.

Follows the bus from the checkpoints as they stand when the session begins, until anything goes wrong; then the next
session begins at the checkpoints again, with every partition.

A projector that follows the bus: one checkpoint a partition, and the log for what the bus does not bring.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Never

from application.backoff import Backoff
from application.envelopes import Commit
from application.errors import BusUnavailable
from application.pipeline.commit_assembler import CommitAssembler, Gap, GapFill, log_range, missing_commits
from application.pipeline.consumer_loop import TopicChanged, run_sessions
from application.pipeline.parking import ParkedRetry
from application.pipeline.projector import Projector
from application.pipeline.topic_check import TopicVerifier
from application.ports.bus import BusMessage, Subscription, Topic, UnreadableMessage
from application.ports.commit_log import CommitLog
from application.ports.read_db import Checkpoint, CheckpointMove, CheckpointMoved, LiveGeneration
from application.ports.system import Metrics
from application.projections.batch import at_most

_OFFSETS_BETWEEN_CHECKPOINTS = 1_000
"""A checkpoint whose position stands still is written again only after so many messages."""


class PassedOver(NamedTuple):
    """How many messages were seen before, and how many are not of this log."""

    repeated: int
    foreign: int


class Progress:
    def __init__(self) -> None:
        self.readers: dict[int, CommitAssembler] = {}
        self.stored: dict[int, Checkpoint | None] = {}

    def add(self, reader: CommitAssembler, stored: Checkpoint | None) -> None:
        self.readers[reader.partition] = reader
        self.stored[reader.partition] = stored

    def drop(self, partition: int) -> None:
        del self.readers[partition], self.stored[partition]

    def moves(self) -> list[CheckpointMove]:
        """From what is stored to what was read, where that is worth a write."""
        return [move for move in self._all_moves() if _is_worth_storing(move)]

    def note_stored(self, moves: Iterable[CheckpointMove]) -> None:
        for move in moves:
            self.stored[move.after.partition] = move.after

    def take_passed_over(self) -> PassedOver:
        """Since the last call."""
        passed = PassedOver(
            sum(reader.repeated for reader in self.readers.values()),
            sum(reader.foreign for reader in self.readers.values()),
        )
        for reader in self.readers.values():
            reader.repeated = reader.foreign = 0
        return passed

    def _all_moves(self) -> Iterable[CheckpointMove]:
        for partition, reader in self.readers.items():
            yield CheckpointMove(self.stored[partition], reader.checkpoint())


def _is_worth_storing(move: CheckpointMove) -> bool:
    before, after = move.before, move.after
    if before is None or before.position != after.position or before.topic_id != after.topic_id:
        return True
    return (after.offset or 0) - (before.offset or 0) >= _OFFSETS_BETWEEN_CHECKPOINTS


logger = logging.getLogger(__name__)

_FILLING_CHECK_SECONDS = 0.2
_READY_CHECK_SECONDS = 5.0


class ReadinessCheck:
    """`fill_until` is the position that every partition must reach before queries are answered."""

    def __init__(self, projector: Projector, live: LiveGeneration, fill_until: int) -> None:
        self._projector = projector
        self._live = live
        self._fill_until = fill_until
        self._ready = live.ready
        self._look_at = 0.0

    def due_in(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._look_at - asyncio.get_running_loop().time())

    async def look(self, stored: Mapping[int, Checkpoint | None]) -> bool:
        """Whether it was time to look. `stored` are this projector's checkpoints, as it left them. Raises
        `CheckpointMoved`, `Unavailable`, `WrongLog`."""
        if self.due_in():
            return False
        live, checkpoints = await self._projector.open(self._live.partitions)
        if live.generation != self._live.generation or any(checkpoints.get(p) != at for p, at in stored.items()):
            raise CheckpointMoved
        if not live.ready and self._lowest(checkpoints) >= self._fill_until:
            await self._projector.mark_ready(live.generation)
            logger.info("the read database is filled and answers queries now")
            self._ready = True
        self._ready = self._ready or live.ready
        pause = _READY_CHECK_SECONDS if self._ready else _FILLING_CHECK_SECONDS
        self._look_at = asyncio.get_running_loop().time() + pause
        return True

    def _lowest(self, checkpoints: Mapping[int, Checkpoint]) -> int:
        at = [checkpoints.get(partition) for partition in range(self._live.partitions)]
        return min(checkpoint.position if checkpoint else 0 for checkpoint in at)


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
        trust: TopicVerifier,
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
        self._spans: dict[int, GapFill] = {}

    @property
    def reads_log(self) -> bool:
        """Whether there are partitions that wait for what is being read from the log."""
        return bool(self._spans)

    @property
    def stored(self) -> Mapping[int, Checkpoint | None]:
        """The checkpoints, by partition, as they were found or written last."""
        return self._progress.stored

    def begin(self, reader: CommitAssembler, stored: Checkpoint | None) -> None:
        self._progress.add(reader, stored)
        self._trust.doubt(reader.partition)

    def drop(self, partition: int) -> None:
        self._progress.drop(partition)
        self._spans.pop(partition, None)

    def position(self, partition: int) -> int:
        return self._progress.readers[partition].position

    def go_on_from_log(self, partition: int, until: int, offset: int) -> None:
        """Read the partition's commits up to position `until` from the log, then start it at `offset`."""
        self._spans[partition] = GapFill(self._progress.readers[partition], until, offset)
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
        span = GapFill(reader, gap.until, message.offset)
        at_end = await self._read_page({reader.partition: span})
        if at_end:
            logger.warning("partition %d: the log ends at position %d", reader.partition, reader.position)
            reader.skip(waiting.popleft())
        elif not span.done:
            self._spans[reader.partition] = span
            await self._subscription.pause([reader.partition])

    async def _read_page(self, spans: Mapping[int, GapFill]) -> bool:
        """Whether the log ended before the spans did."""
        after, until = log_range(list(spans.values()))
        if after >= until:
            return False
        page = at_most(await self._log.read(after, min(self._batch_size, until - after)))
        commits = missing_commits(page, spans, self._partitions)
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
        self._subscription.commit_offsets(
            {m.after.partition: m.after.offset for m in moves if m.after.offset is not None}
        )

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


_IDLE_SECONDS = 1.0


class BusSession:
    def __init__(
        self,
        *,
        live: LiveGeneration,
        topic: Topic,
        log_id: str,
        projector: Projector,
        log: CommitLog,
        subscription: Subscription,
        intake: Intake,
        watch: ReadinessCheck,
        metrics: Metrics,
        batch_size: int,
    ) -> None:
        self._live = live
        self._topic = topic
        self._log_id = log_id
        self._projector = projector
        self._log = log
        self._subscription = subscription
        self._intake = intake
        self._watch = watch
        self._metrics = metrics
        self._batch_size = batch_size
        self._assigned: dict[int, int] = {}

    async def turn(self) -> None:
        """Receive and apply once. Raises `CheckpointMoved`, `TopicChanged`, `Unavailable`, `WrongLog`."""
        timeout = 0.0 if self._intake.reads_log else min(_IDLE_SECONDS, self._watch.due_in())
        delivery = await self._subscription.receive(self._batch_size, timeout)
        begun = await self._assign(delivery.assigned)
        await self._go_on_without(
            [each for each in delivery.out_of_range if each in self._assigned and each not in begun]
        )
        await self._intake.take([message for message in delivery.messages if message.partition not in begun])
        await self._intake.read_log()
        if not self._intake.reads_log and await self._watch.look(self._intake.stored):
            await self._require_same_topic()

    async def _assign(self, assigned: Mapping[int, int]) -> Collection[int]:
        """Which partitions begin anew; what was delivered of them is from before that."""
        for partition in [p for p, number in self._assigned.items() if assigned.get(p) != number]:
            del self._assigned[partition]
            self._intake.drop(partition)
        new = assigned.keys() - self._assigned.keys()
        if new:
            checkpoints = await self._checkpoints(assigned)
            logger.info("projecting partitions %s", sorted(assigned))
            self._assigned = dict(assigned)
            await self._begin({partition: checkpoints.get(partition) for partition in sorted(new)})
        return new

    async def _checkpoints(self, assigned: Collection[int]) -> dict[int, Checkpoint]:
        """As they are now: until now another projector may have moved them."""
        await self._require_same_topic()
        if max(assigned) >= self._topic.partitions:
            raise BusUnavailable("The topic's partitions are being added to.", path="bus.kafka.partitions")
        live, checkpoints = await self._projector.open(self._topic.partitions)
        if live.generation != self._live.generation:
            raise CheckpointMoved
        return checkpoints

    async def _begin(self, checkpoints: Mapping[int, Checkpoint | None]) -> None:
        known: dict[int, int] = {}
        for partition, checkpoint in checkpoints.items():
            reader = CommitAssembler(partition, self._topic.partitions, self._log_id, self._topic.id, checkpoint)
            self._intake.begin(reader, checkpoint)
            if reader.offset is not None:
                known[partition] = reader.offset
            elif checkpoint is not None and checkpoint.topic_id is not None:
                self._note_reset(partition, "the topic was deleted and made anew", "topic")
        await self._subscription.start(known)
        await self._take_over(checkpoints.keys() - known.keys())

    async def _go_on_without(self, out_of_range: Collection[int]) -> None:
        if out_of_range:
            await self._require_same_topic()
            for partition in out_of_range:
                self._note_reset(partition, "the topic does not have the next message any more", "offset")
            await self._take_over(out_of_range)

    async def _take_over(self, partitions: Collection[int]) -> None:
        """Go on from the log up to its tip, then from the bus. The end of the bus is asked for first, so what the log
        got after the tip was asked for comes by the bus."""
        if partitions:
            ends = await self._subscription.ends(partitions)
            tip = await self._log.tip()
            for partition in partitions:
                self._intake.go_on_from_log(partition, tip, ends[partition])

    async def _require_same_topic(self) -> None:
        if await self._subscription.topic() != self._topic:
            raise TopicChanged

    def _note_reset(self, partition: int, reason: str, label: str) -> None:
        position = self._intake.position(partition)
        logger.warning("partition %d: %s; going on from the log behind position %d", partition, reason, position)
        self._metrics.count("projector_bus_resets", reason=label)


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
        await self._parked.retry_at_start()
        while True:
            await session.turn()
            backoff.reset()

    async def _open(self) -> BusSession:
        await self._subscription.join(await self._projector.database_id())
        topic = await self._subscription.topic()
        live, _ = await self._projector.open(topic.partitions)
        intake = Intake(
            generation=live.generation,
            partitions=topic.partitions,
            projector=self._projector,
            log=self._log,
            subscription=self._subscription,
            trust=TopicVerifier(self._projector, self._log, topic.partitions),
            metrics=self._metrics,
            batch_size=self._batch_size,
        )
        return BusSession(
            live=live,
            topic=topic,
            log_id=await self._log.log_id(),
            projector=self._projector,
            log=self._log,
            subscription=self._subscription,
            intake=intake,
            watch=ReadinessCheck(self._projector, live, await self._log.tip()),
            metrics=self._metrics,
            batch_size=self._batch_size,
        )

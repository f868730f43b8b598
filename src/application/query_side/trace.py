"""What became of a command, step by step, and when: what readers can ask, and what they are answered.

Handler of the query for what became of a command: from the log, the rows, and what this process has noted and seen.

Processes do not tell each other when they took a step, and it is not worth a write to do so. So a step's time is the
log's, or this process's own, or lies between two of its looks; where it is none of these it is not guessed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from application.envelopes import Commit
from application.errors import CommitNotFound
from application.mediator import Query, QueryDispatcher
from application.partitioning import partition_of
from application.ports.event_codec import EventCodec
from application.ports.event_store import PastEvents
from application.ports.post_views import PostViews
from application.ports.system import Journal, StepTimes
from application.query_side.log import LoggedCommit, describe_commit
from application.query_side.pipeline_sampler import PipelineSampler, Position
from application.query_side.status import PipelineStatus
from domain.errors import PostlogError


class Step(StrEnum):
    """In this order. DECIDED is the commit's `recordedAt`. VISIBLE: whoever asks for rows of this position gets
    them."""

    RECEIVED = "received"
    DECIDED = "decided"
    DURABLE = "durable"
    PUBLISHED = "published"
    PROJECTED = "projected"
    VISIBLE = "visible"


class Source(StrEnum):
    """How a time is known. LOG: it stands in the log. HERE: this process took the step, and noted when. SEEN: this
    process saw that it was taken, and not long before that it was not. None of these: UNKNOWN."""

    LOG = "log"
    HERE = "here"
    SEEN = "seen"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedStep:
    """`at` is None when it is not taken yet, and when its time is UNKNOWN. What was SEEN was not so yet at `after`.
    `reached` is the last position for which this step is taken, whichever process takes it; None: not known."""

    step: Step
    taken: bool
    source: Source
    at: datetime | None = None
    after: datetime | None = None
    reached: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTrace:
    """`logged` is None as long as the command is under way in this process. `partition` is the projector's.
    `row_version` is that of the post's row now, None without one; `parked_at` the position from which on it waits."""

    commit_id: str
    logged: LoggedCommit | None
    steps: Sequence[TracedStep]
    partition: int
    generation: int | None
    row_version: int | None
    parked_at: int | None
    problems: Sequence[str]

    @property
    def is_done(self) -> bool:
        """Nothing more happens: it is visible, or its post waits."""
        return self.parked_at is not None or (bool(self.steps) and self.steps[-1].taken)


@dataclass(frozen=True, slots=True)
class TraceCommand(Query[CommandTrace]):
    """Raises `CommitNotFound` when neither the log nor this process knows it, `StoreUnavailable`."""

    commit_id: str


@dataclass(frozen=True, slots=True)
class _Row:
    generation: int | None
    position: int
    version: int | None
    parked_at: int | None


class CommandTraceQuery:
    def __init__(
        self, past_events: PastEvents, views: PostViews, codec: EventCodec, journal: Journal, watch: PipelineSampler
    ) -> None:
        self._past_events = past_events
        self._views = views
        self._codec = codec
        self._journal = journal
        self._watch = watch

    def register_with(self, dispatcher: QueryDispatcher) -> None:
        dispatcher.register(TraceCommand, self.trace)

    async def trace(self, query: TraceCommand) -> CommandTrace:
        commit = await self._past_events.find_commit(query.commit_id)
        if commit is None:
            return self._under_way(query.commit_id)
        problems: list[str] = []
        row, status = await self._row(commit, problems), await self._watch.latest()
        partition = _partition(commit, status)
        steps = self._steps(commit, partition, row, status)
        return CommandTrace(
            commit_id=commit.commit_id,
            logged=describe_commit(commit, self._codec),
            steps=steps,
            partition=partition,
            generation=row.generation,
            row_version=row.version,
            parked_at=row.parked_at if row.parked_at is not None and row.parked_at <= commit.position else None,
            problems=problems,
        )

    def _under_way(self, commit_id: str) -> CommandTrace:
        received = self._journal.times(commit_id, 0, 0).received
        if received is None:
            raise CommitNotFound(
                f"The log has no commit {commit_id}, and no command that this process knows of leads to it."
            )
        return CommandTrace(
            commit_id=commit_id,
            logged=None,
            steps=[
                TracedStep(step=Step.RECEIVED, taken=True, source=Source.HERE, at=received),
                *(_not_taken(step) for step in (Step.DECIDED, Step.DURABLE, Step.PROJECTED, Step.VISIBLE)),
            ],
            partition=0,
            generation=None,
            row_version=None,
            parked_at=None,
            problems=(),
        )

    async def _row(self, commit: Commit, problems: list[str]) -> _Row:
        try:
            found = await self._views.post(commit.stream_id)
        except PostlogError as error:
            problems.append(error.message)
            return _Row(None, 0, None, None)
        stamp, post = found.stamp, found.value.post if found.value else None
        position = stamp.position if stamp.ready else 0
        return _Row(stamp.generation, position, post.version if post else None, stamp.post_parked_at)

    def _steps(self, commit: Commit, partition: int, row: _Row, status: PipelineStatus) -> list[TracedStep]:
        position, times = commit.position, self._times(commit, partition)
        visible = row.position >= position and not _waits(row, position)
        in_rows = row.position >= position or _position_in(status, partition) >= position or bool(times.projected)
        steps = [
            TracedStep(
                step=Step.RECEIVED,
                taken=True,
                source=Source.HERE if times.received else Source.UNKNOWN,
                at=times.received,
            ),
            TracedStep(step=Step.DECIDED, taken=True, source=Source.LOG, at=commit.recorded_at),
            self._step(Step.DURABLE, True, times.durable, position, _Moves(lambda look: look.tip, status.tip)),
        ]
        if status.relay is not None:
            published = status.relay.position >= position or bool(times.published) or in_rows
            moves = _Moves(_published, status.relay.position)
            steps.append(self._step(Step.PUBLISHED, published, times.published, position, moves))
        projected = in_rows and not _waits(row, position)
        moves = _Moves(
            lambda look: _position_in(look, partition) if look.rows else None,
            _position_in(status, partition) if status.rows else None,
        )
        steps.append(self._step(Step.PROJECTED, projected, times.projected, position, moves))
        alone = status.rows is not None and len(status.rows.partitions) == 1
        at = times.projected if alone else None
        moves = _Moves(_visible, row.position if row.generation is not None else None)
        steps.append(self._step(Step.VISIBLE, visible, at, position, moves))
        return steps

    def _times(self, commit: Commit, partition: int) -> StepTimes:
        """Who repeats a command long after it was done is not the one who did it."""
        times = self._journal.times(commit.commit_id, commit.position, partition)
        if times.received and times.received > commit.recorded_at + _CLOCK:
            return StepTimes(received=None, durable=None, published=times.published, projected=times.projected)
        return times

    def _step(self, step: Step, taken: bool, here: datetime | None, position: int, moves: "_Moves") -> TracedStep:
        if not taken:
            return TracedStep(step=step, taken=False, source=Source.UNKNOWN, reached=moves.now)
        # The row may be read after the look at the other positions, and then tells more.
        reached = None if moves.now is None else max(moves.now, position)
        if here is not None:
            return TracedStep(step=step, taken=True, source=Source.HERE, at=here, reached=reached)
        seen = self._watch.seen(position, moves.of)
        if seen is not None:
            return TracedStep(step=step, taken=True, source=Source.SEEN, at=seen.by, after=seen.after, reached=reached)
        return TracedStep(step=step, taken=True, source=Source.UNKNOWN, reached=reached)


@dataclass(frozen=True, slots=True)
class _Moves:
    """The position of a step that processes take: `of` each look, and `now`."""

    of: Position
    now: int | None


_CLOCK = timedelta(milliseconds=1)
"""What is received is noted exactly, and `recordedAt` cut to milliseconds."""


def _not_taken(step: Step) -> TracedStep:
    return TracedStep(step=step, taken=False, source=Source.UNKNOWN)


def _waits(row: _Row, position: int) -> bool:
    return row.parked_at is not None and row.parked_at <= position


def _partition(commit: Commit, status: PipelineStatus) -> int:
    return partition_of(commit.stream_id, len(status.rows.partitions)) if status.rows else 0


def _position_in(look: PipelineStatus, partition: int) -> int:
    standings = look.rows.partitions if look.rows else ()
    return next((each.position for each in standings if each.partition == partition), 0)


def _visible(look: PipelineStatus) -> int | None:
    return look.rows.position if look.rows else None


def _published(look: PipelineStatus) -> int | None:
    return look.relay.position if look.relay else None

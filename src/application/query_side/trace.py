"""The query for what became of a command, step by step, and when.

Processes do not tell each other when they took a step: a write just for that would not be worth its cost. So the time
of a step comes from the log, from this process's journal, or lies between two samples of the pipeline. A time that
none of these gives is not guessed.
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
    """In this order. DECIDED is the commit's `recordedAt`. VISIBLE: a query for rows of this position gets them."""

    RECEIVED = "received"
    DECIDED = "decided"
    DURABLE = "durable"
    PUBLISHED = "published"
    PROJECTED = "projected"
    VISIBLE = "visible"


class Source(StrEnum):
    """How a time is known. LOG: it is in the log. HERE: this process took the step and recorded when. SEEN: a sample of
    this process shows that it was taken, and the sample before that it was not. None of these: UNKNOWN."""

    LOG = "log"
    HERE = "here"
    SEEN = "seen"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedStep:
    """`at` is None when the step is not taken yet, and when its time is UNKNOWN. A SEEN step was not taken yet at
    `after`. `reached` is the last position for which this step is taken, by any process; None: not known."""

    step: Step
    taken: bool
    source: Source
    at: datetime | None = None
    after: datetime | None = None
    reached: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTrace:
    """`logged` is None while the command is in flight in this process. `partition` is the projector's. `row_version` is
    that of the post's row now, None without one; `parked_at` is the position from which on its post is parked."""

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
        """Nothing more happens: it is visible, or its post is parked."""
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


class TraceQueries:
    def __init__(
        self, past_events: PastEvents, views: PostViews, codec: EventCodec, journal: Journal, sampler: PipelineSampler
    ) -> None:
        self._past_events = past_events
        self._views = views
        self._codec = codec
        self._journal = journal
        self._sampler = sampler

    def register_with(self, dispatcher: QueryDispatcher) -> None:
        dispatcher.register(TraceCommand, self.trace)

    async def trace(self, query: TraceCommand) -> CommandTrace:
        commit = await self._past_events.find_commit(query.commit_id)
        if commit is None:
            return self._in_flight(query.commit_id)
        problems: list[str] = []
        row, status = await self._row(commit, problems), await self._sampler.latest()
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

    def _in_flight(self, commit_id: str) -> CommandTrace:
        received = self._journal.times(commit_id, 0, 0).received
        if received is None:
            raise CommitNotFound(
                f"The log has no commit {commit_id}, and no command in flight in this process leads to it."
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
        visible = row.position >= position and not _is_parked(row, position)
        in_rows = row.position >= position or _position_in(status, partition) >= position or bool(times.projected)
        steps = [
            TracedStep(
                step=Step.RECEIVED,
                taken=True,
                source=Source.HERE if times.received else Source.UNKNOWN,
                at=times.received,
            ),
            TracedStep(step=Step.DECIDED, taken=True, source=Source.LOG, at=commit.recorded_at),
            self._step(Step.DURABLE, True, times.durable, position, _Progress(lambda sample: sample.tip, status.tip)),
        ]
        if status.relay is not None:
            published = status.relay.position >= position or bool(times.published) or in_rows
            progress = _Progress(_published, status.relay.position)
            steps.append(self._step(Step.PUBLISHED, published, times.published, position, progress))
        projected = in_rows and not _is_parked(row, position)
        progress = _Progress(
            lambda sample: _position_in(sample, partition) if sample.rows else None,
            _position_in(status, partition) if status.rows else None,
        )
        steps.append(self._step(Step.PROJECTED, projected, times.projected, position, progress))
        alone = status.rows is not None and len(status.rows.partitions) == 1
        at = times.projected if alone else None
        progress = _Progress(_visible, row.position if row.generation is not None else None)
        steps.append(self._step(Step.VISIBLE, visible, at, position, progress))
        return steps

    def _times(self, commit: Commit, partition: int) -> StepTimes:
        """A command repeated long after it took effect was received again: that is not when this commit began."""
        times = self._journal.times(commit.commit_id, commit.position, partition)
        if times.received and times.received > commit.recorded_at + _CLOCK:
            return StepTimes(received=None, durable=None, published=times.published, projected=times.projected)
        return times

    def _step(self, step: Step, taken: bool, here: datetime | None, position: int, progress: "_Progress") -> TracedStep:
        if not taken:
            return TracedStep(step=step, taken=False, source=Source.UNKNOWN, reached=progress.now)
        # The row may have been read after the sample of the other positions, and then it is newer.
        reached = None if progress.now is None else max(progress.now, position)
        if here is not None:
            return TracedStep(step=step, taken=True, source=Source.HERE, at=here, reached=reached)
        seen = self._sampler.observed(position, progress.of)
        if seen is not None:
            return TracedStep(step=step, taken=True, source=Source.SEEN, at=seen.by, after=seen.after, reached=reached)
        return TracedStep(step=step, taken=True, source=Source.UNKNOWN, reached=reached)


@dataclass(frozen=True, slots=True)
class _Progress:
    """The position that a step has reached: `of` any sample, and `now`."""

    of: Position
    now: int | None


_CLOCK = timedelta(milliseconds=1)
"""The journal has exact times, and `recordedAt` is cut to milliseconds."""


def _not_taken(step: Step) -> TracedStep:
    return TracedStep(step=step, taken=False, source=Source.UNKNOWN)


def _is_parked(row: _Row, position: int) -> bool:
    return row.parked_at is not None and row.parked_at <= position


def _partition(commit: Commit, status: PipelineStatus) -> int:
    return partition_of(commit.stream_id, len(status.rows.partitions)) if status.rows else 0


def _position_in(sample: PipelineStatus, partition: int) -> int:
    return (sample.rows.position_of(partition) if sample.rows else None) or 0


def _visible(sample: PipelineStatus) -> int | None:
    return sample.rows.position if sample.rows else None


def _published(sample: PipelineStatus) -> int | None:
    return sample.relay.position if sample.relay else None

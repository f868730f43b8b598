"""What is traced: each class here adds a span around one step of the class that it extends.

The container uses them if there is a tracer, and the plain classes otherwise: then tracing costs nothing. The spans of
a command hang below that of its request. The commit stores the command's `traceparent`, and the bus carries it, so the
relay and the projector, which work on the commits of many commands at once, add their spans to the traces of all.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from application.command_side.command_queue import Batch, CommandQueue, Decided, Decider, Request
from application.command_side.group_commit import GroupCommitter
from application.command_side.post_commands import PostCommands
from application.command_side.stream_state import StreamState
from application.envelopes import AnyCommit, Commit, ProposedCommit
from application.maintenance.audit import Audit, AuditProgress, AuditReport
from application.maintenance.rebuild import Rebuild
from application.mediator import CommandContext, CommandResult, Query, QueryDispatcher, Result
from application.pipeline.log_consumer import LogConsumer
from application.pipeline.projector import Projector
from application.ports.bus import CommitEntry, Publication, Publisher
from application.ports.event_store import Appended, AppendOutcome
from application.ports.generations import Build
from application.ports.post_views import Stamped
from application.ports.read_db import CheckpointMove
from application.ports.system import Span, Step, Tracer
from application.projections.batch import DecodedCommit
from application.query_side.freshness import Freshness
from domain.commands import PostCommand
from domain.ids import PostId

T = TypeVar("T")


class _Traced:
    """Takes a tracer beside the arguments of the class that it is combined with."""

    def __init__(self, *args: Any, tracer: Tracer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tracer = tracer


# Command side


class TracedCommands(_Traced, PostCommands):
    async def commit(
        self,
        post_id: PostId,
        commands: Sequence[PostCommand],
        context: CommandContext,
        commit_id: str,
        *,
        is_new_id: bool = False,
    ) -> CommandResult:
        name = type(commands[0]).__name__
        with self._tracer.span(Step.COMMAND, name, parent=context.traceparent, post_id=post_id) as span:
            context = replace(context, traceparent=span.traceparent)
            result = await super().commit(post_id, commands, context, commit_id, is_new_id=is_new_id)
            span.set(version=result.version, position=result.position, replayed=result.replayed)
            return result


class TracedQueue(_Traced, CommandQueue):
    async def _load(self, batch: Batch, stream: StreamState | None) -> None:
        with self._tracer.shared(Step.LOAD, _of_requests(batch.requests), cached=stream is not None):
            await super()._load(batch, stream)


class TracedDecider(_Traced, Decider):
    def decide_batch(self, requests: Sequence[Request], stream: StreamState) -> list[Decided]:
        with self._tracer.shared(Step.DECIDE, _of_requests(requests), requests=len(requests)) as span:
            decided = super().decide_batch(requests, stream)
            span.set(
                version=stream.version,
                events=sum(len(each.commit.events) for each in decided if each.commit),
                refused=sum(each.error is not None for each in decided),
            )
            return decided


class TracedGroupCommitter(_Traced, GroupCommitter):
    async def _append(self, commits: Sequence[ProposedCommit]) -> list[AppendOutcome]:
        traceparents = [each.metadata.get("traceparent") for each in commits]
        with self._tracer.shared(Step.APPEND, traceparents, group_size=len(commits)) as span:
            outcomes = await super()._append(commits)
            positions = [each.position for each in outcomes if isinstance(each, Appended)]
            _set_positions(span, positions)
            return outcomes


def _of_requests(requests: Iterable[Request]) -> list[str | None]:
    return [each.context.traceparent for each in requests]


# From the log to the rows


class TracedPublisher:
    def __init__(self, publisher: Publisher, tracer: Tracer) -> None:
        self._publisher = publisher
        self._tracer = tracer

    async def partitions(self) -> int:
        return await self._publisher.partitions()

    async def publish(self, publication: Publication) -> int:
        commits = [each.commit for each in publication.entries if isinstance(each, CommitEntry)]
        if not commits:
            return await self._publisher.publish(publication)
        with self._tracer.shared(Step.PUBLISH, _of_commits(commits), commits=len(commits)) as span:
            _set_positions(span, [each.position for each in commits])
            messages = await self._publisher.publish(publication)
            span.set(messages=messages)
            return messages


class TracedProjector(_Traced, Projector):
    async def apply_decoded(
        self,
        generation: int,
        moves: Sequence[CheckpointMove],
        decoded: Sequence[DecodedCommit],
        partitions: int | None = None,
    ) -> None:
        if not decoded:
            await super().apply_decoded(generation, moves, decoded, partitions)
            return
        commits = [commit for commit, _ in decoded]
        with self._tracer.shared(
            Step.PROJECT, _of_commits(commits), commits=len(commits), generation=generation
        ) as span:
            _set_positions(span, [each.position for each in commits])
            await super().apply_decoded(generation, moves, decoded, partitions)


class TracedLogConsumer(_Traced, LogConsumer):
    async def _read(self, after: int) -> list[DecodedCommit]:
        """Whole commits: their metadata has the traces."""
        return await self._projector.decode(self._taken(await self._log.read(after, self._limit)))


def _of_commits(commits: Iterable[AnyCommit]) -> list[str | None]:
    return [each.metadata.get("traceparent") if isinstance(each, Commit) else None for each in commits]


def _set_positions(span: Span, positions: Sequence[int]) -> None:
    if positions:
        span.set(position=min(positions), last_position=max(positions))


# Query side


class TracedQueries(QueryDispatcher):
    """Queries that no request asks for, such as those of an open stream, are not traced."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    async def ask(self, query: Query[Result]) -> Result:
        with self._tracer.span(Step.QUERY, type(query).__name__, inner=True):
            return await super().ask(query)


class TracedFreshness(_Traced, Freshness):
    async def read(self, read: Callable[[], Awaitable[Stamped[T]]], min_position: int | None) -> Stamped[T]:
        reads = 0

        async def counted() -> Stamped[T]:
            nonlocal reads
            reads += 1
            return await read()

        with self._tracer.span(Step.READ_ROWS, inner=True, min_position=min_position) as span:
            try:
                found = await super().read(counted, min_position)
            finally:
                span.set(reads=reads)
            span.set(position=found.stamp.position)
            return found


# Maintenance


class TracedRebuild(_Traced, Rebuild):
    async def run(self, *, restart: bool = False, swap: bool = True) -> AsyncGenerator[Build]:
        with self._tracer.span(Step.REBUILD) as span:
            async with aclosing(super().run(restart=restart, swap=swap)) as builds:
                while (build := await self._next(builds)) is not None:
                    span.set(generation=build.generation, position=build.position, events=build.events)
                    yield build

    async def _next(self, builds: AsyncGenerator[Build]) -> Build | None:
        with self._tracer.span(Step.REBUILD_STEP) as span:
            build = await anext(builds, None)
            if build is not None:
                span.set(state=build.state.value, position=build.position, events=build.events)
            return build


class TracedAudit(_Traced, Audit):
    async def run(self, progress: AuditProgress | None = None) -> AuditReport:
        with self._tracer.span(Step.AUDIT) as span:
            return _reported(await super().run(progress), span)

    async def sample(self, posts: int) -> AuditReport:
        with self._tracer.span(Step.AUDIT, "sample") as span:
            return _reported(await super().sample(posts), span)


def _reported(report: AuditReport, span: Span) -> AuditReport:
    span.set(
        generation=report.generation,
        position=report.position,
        posts=report.posts,
        differences=len(report.differences),
        parked=len(report.parked),
    )
    return report


_TRACED: dict[type, type] = {
    PostCommands: TracedCommands,
    CommandQueue: TracedQueue,
    Decider: TracedDecider,
    GroupCommitter: TracedGroupCommitter,
    Projector: TracedProjector,
    LogConsumer: TracedLogConsumer,
    Freshness: TracedFreshness,
    Rebuild: TracedRebuild,
    Audit: TracedAudit,
}


def traceable(kind: type[T], tracer: Tracer | None, *args: Any, **kwargs: Any) -> T:
    """An object of this class, or with a tracer of the class here that extends it."""
    made: T = kind(*args, **kwargs) if tracer is None else _TRACED[kind](*args, tracer=tracer, **kwargs)
    return made

"""The services of the HTTP entrypoint in tests: dispatchers that return what a test sets, and a whole post service in
dictionaries, on the real domain and the real projection. It belongs to no event loop: schemathesis has one for each
request, which the command queue and the projector of a real service can't follow.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from adapters.memory.generations import MemoryGenerations, MemoryRebuildProcess
from application.envelopes import VersionedEvent
from application.errors import IdempotencyKeyReused, VersionMismatch
from application.mediator import CommandContext, CommandDispatcher, CommandResult, QueryDispatcher
from application.ports.generations import Build
from application.ports.post_views import CommentKeyset, PostKey
from application.ports.provisioning import Probe
from application.projections.post import WholePost
from application.query_side.history import CountEvents, HistoryPage, ListEvents, PastEvent
from application.query_side.log import ChangedPosts, ListChangedPosts, ListCommits, ListNewCommits
from application.query_side.posts import CommentsPage, GetPost, ListComments, ListPosts, PostDetail, PostsPage
from application.query_side.posts_as_of import GetPostAsOf
from application.query_side.status import GetPipelineStatus, GetReadDbStatus, PartitionLag, ReadDbStatus
from application.query_side.trace import TraceCommand
from application.rows import CommentRow, PostRow, PostStatus
from domain.commands import (
    AddComment,
    CreatePost,
    EditComment,
    EditMessage,
    LikePost,
    PostCommand,
    RemoveComment,
    RemovePost,
    UnlikePost,
)
from domain.errors import PostNotFound, PostRemovedAlready
from domain.ids import CommentId, PostId
from domain.limits import Limits
from domain.post import INITIAL, PostState, RemovedPost, decide, evolve
from entrypoints.http.services import HttpServices
from small_system import SmallSystem

COMMANDS = (CreatePost, EditMessage, LikePost, UnlikePost, AddComment, EditComment, RemoveComment, RemovePost)
QUERIES = (
    GetPost,
    ListPosts,
    ListComments,
    GetPostAsOf,
    ListEvents,
    CountEvents,
    GetReadDbStatus,
    ListCommits,
    ListNewCommits,
    ListChangedPosts,
    GetPipelineStatus,
    TraceCommand,
)
NOW = datetime(2026, 11, 23, 15, 46, 58, 123_000, UTC)
POST = PostId("0192f0c1-7a3e-7cc2-9d52-3f6f0a1b2c3d")
COMMENT = CommentId("0192f0c1-7a3e-7cc2-9d52-000000000001")


class FakeClock:
    def __init__(self) -> None:
        self.time = NOW
        self.seconds = 0.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.seconds


class FakeIds:
    """00000000-0000-7000-8000-000000000001, then …2, and so on."""

    def __init__(self) -> None:
        self.count = 0

    def new(self) -> str:
        self.count += 1
        return f"00000000-0000-7000-8000-{self.count:012x}"


class FakeMetrics:
    def __init__(self) -> None:
        self.noted: list[tuple[str, dict[str, str]]] = []

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        self.noted.append((name, labels))

    def gauge(self, name: str, value: float, *, good_for: float | None = None, **labels: str) -> None:
        self.noted.append((name, labels))

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        self.noted.append((name, labels))


@dataclass
class Scripted:
    """Dispatchers that record what they were handed, and return `answer`: the result of calling it when it is a
    function; an error is raised."""

    answer: Any = None
    handed: list[Any] = field(default_factory=list)
    contexts: list[CommandContext] = field(default_factory=list)

    def forget(self) -> None:
        self.answer = None
        self.handed.clear()
        self.contexts.clear()

    @property
    def last(self) -> Any:
        return self.handed[-1]

    @property
    def context(self) -> CommandContext:
        return self.contexts[-1]

    def commands(self) -> CommandDispatcher:
        dispatcher = CommandDispatcher()
        for command_type in COMMANDS:
            dispatcher.register(command_type, self._command)
        return dispatcher

    def queries(self) -> QueryDispatcher:
        dispatcher = QueryDispatcher()
        for query_type in QUERIES:
            dispatcher.register(query_type, self._query)
        return dispatcher

    async def _command(self, command: PostCommand, context: CommandContext) -> Any:
        self.contexts.append(context)
        return await self._query(command)

    async def _query(self, request: Any) -> Any:
        if isinstance(request, ListChangedPosts):  # polls of open streams, whose result says: read again
            return ChangedPosts(posts=None, position=1)
        self.handed.append(request)
        answer = self.answer(request) if callable(self.answer) else self.answer
        if isinstance(answer, BaseException):
            raise answer
        return await answer if asyncio.iscoroutine(answer) else answer


@dataclass
class _Stream:
    state: PostState = INITIAL
    rows: WholePost | None = None
    row: PostRow | None = None
    comments: dict[CommentId, CommentRow] = field(default_factory=dict)
    events: list[PastEvent] = field(default_factory=list)
    history: list[tuple[PostRow | None, dict[CommentId, CommentRow]]] = field(default_factory=list)


class PostService:
    """Every command and query, in dictionaries. Rows are never behind."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._streams: dict[PostId, _Stream] = {}
        self._spent: dict[str, tuple[str, CommandResult]] = {}
        self._position = 0

    def commands(self) -> CommandDispatcher:
        dispatcher = CommandDispatcher()
        for command_type in COMMANDS:
            dispatcher.register(command_type, self._handle)
        return dispatcher

    def queries(self) -> QueryDispatcher:
        dispatcher = QueryDispatcher()
        handlers: Mapping[type, Callable[..., Any]] = {
            GetPost: self._get_post,
            ListPosts: self._list_posts,
            ListComments: self._list_comments,
            GetPostAsOf: self._get_post_as_of,
            ListEvents: self._list_events,
            CountEvents: self._count_events,
            GetReadDbStatus: self._read_db,
            ListChangedPosts: self._list_changed_posts,
        }
        for query_type, handler in handlers.items():
            dispatcher.register(query_type, handler)
        return dispatcher

    async def _handle(self, command: PostCommand, context: CommandContext) -> CommandResult:
        key = context.idempotency_key
        if key and key.key in self._spent:
            digest, result = self._spent[key.key]
            if digest != key.request_digest:
                raise IdempotencyKeyReused("The key was spent by another request.", path="Idempotency-Key")
            return result
        stream = self._streams.get(command.post_id, _Stream())
        version = len(stream.events)
        if context.expected_version is not None and context.expected_version != version:
            raise VersionMismatch(f"The post is at version {version}.", current_version=version)
        for event in decide(command, stream.state, self._limits):
            self._append(command.post_id, stream, event)
        comment_id = command.comment_id if isinstance(command, AddComment) else None
        result = CommandResult(
            post_id=command.post_id,
            version=len(stream.events),
            position=stream.events[-1].position,
            comment_id=comment_id,
        )
        if key and len(stream.events) > version:
            self._spent[key.key] = (key.request_digest, result)
        return result

    def _append(self, post_id: PostId, stream: _Stream, event: Any) -> None:
        self._position += 1
        self._streams[post_id] = stream
        stream.state = evolve(stream.state, event)
        version = len(stream.events) + 1
        rows = stream.rows = stream.rows or WholePost(post_id)
        rows.apply([VersionedEvent(version, event)], version)
        stream.row, stream.comments = rows.post, dict(rows.comments)
        stream.events.append(_past(event, version, self._position))
        stream.history.append((stream.row, stream.comments))

    def _live(self, post_id: PostId) -> _Stream:
        stream = self._streams.get(post_id)
        if stream is None or isinstance(stream.state, RemovedPost):
            raise PostNotFound(f"There is no post {post_id}.", path="id")
        return stream

    async def _get_post(self, query: GetPost) -> PostDetail:
        stream = self._live(query.post_id)
        assert stream.row is not None
        return PostDetail(post=stream.row, comments=list(stream.comments.values())[::-1])

    async def _get_post_as_of(self, query: GetPostAsOf) -> PostDetail:
        stream = self._streams.get(query.post_id, _Stream())
        seen = len([e for e in stream.events if query.at is None or e.recorded_at <= query.at])
        version = min(query.version or seen, len(stream.history))
        row, comments = stream.history[version - 1] if version else (None, {})
        if row is None or row.status is not PostStatus.LIVE:
            raise PostNotFound(f"There is no post {query.post_id}.", path="id")
        return PostDetail(post=row, comments=list(comments.values()))

    async def _list_posts(self, query: ListPosts) -> PostsPage:
        rows = [s.row for s in self._streams.values() if s.row and s.row.status is PostStatus.LIVE]
        rows.sort(key=lambda row: (row.date_posted, row.post_id), reverse=True)
        after = query.after
        behind = [r for r in rows if after is None or (r.date_posted, r.post_id) < (after.date_posted, after.post_id)]
        page = behind[: query.limit]
        more = PostKey(page[-1].date_posted, page[-1].post_id) if len(behind) > query.limit else None
        return PostsPage(posts=page, next=more, parked=0)

    async def _list_comments(self, query: ListComments) -> CommentsPage:
        rows = sorted(self._live(query.post_id).comments.values(), key=lambda c: c.comment_id, reverse=True)
        behind = [row for row in rows if query.after is None or row.comment_id < query.after.comment_id]
        page = behind[: query.limit]
        more = CommentKeyset(page[-1].comment_date, page[-1].comment_id) if len(behind) > query.limit else None
        return CommentsPage(comments=page, next=more)

    async def _list_events(self, query: ListEvents) -> HistoryPage:
        stream = self._streams.get(query.post_id)
        if stream is None:
            raise PostNotFound(f"There is no post {query.post_id}.", path="id")
        behind = stream.events[query.after :]
        page = behind[: query.limit]
        return HistoryPage(events=page, next_after=page[-1].version if len(behind) > query.limit else None)

    async def _count_events(self, query: CountEvents) -> int:
        stream = self._streams.get(query.post_id)
        if stream is None:
            raise PostNotFound(f"There is no post {query.post_id}.", path="id")
        return len(stream.events)

    async def _list_changed_posts(self, _: ListChangedPosts) -> ChangedPosts:
        return ChangedPosts(posts=None, position=self._position)

    async def _read_db(self, _: GetReadDbStatus) -> ReadDbStatus:
        return read_db_status(position=self._position)


def _past(event: Any, version: int, position: int) -> PastEvent:
    name = type(event).__name__
    return past_event(type_=name, version=version, position=position)


def past_event(
    *, type_: str = "PostLiked", version: int = 1, position: int = 1, actor: str | None = "ann"
) -> PastEvent:
    return PastEvent(
        type=type_,
        schema_version=1,
        stored_type=type_,
        stored_schema_version=1,
        version=version,
        position=position,
        recorded_at=NOW + timedelta(seconds=version),
        actor=actor,
        correlation_id=None,
        data={"username": actor},
    )


def read_db_status(*, position: int = 7) -> ReadDbStatus:
    return ReadDbStatus(
        adapter="memory",
        generation=1,
        ready=True,
        position=position,
        lag=2,
        parked=1,
        partitions=[PartitionLag(partition=0, position=position, lag=2)],
    )


def post_row(**changes: Any) -> PostRow:
    return PostRow(POST, PostStatus.LIVE, "ann", NOW, "Hello", 2, 1, 4)._replace(**changes)


def comment_row(**changes: Any) -> CommentRow:
    return CommentRow(POST, COMMENT, "ben", "Well said", NOW, False)._replace(**changes)


class FakeRebuilds:
    """Of a small system in memory with three commits. A started rebuild waits until `gate` is set."""

    def __init__(self, *, waits: bool = True) -> None:
        self.system = SmallSystem()
        self.gate = asyncio.Event()
        self._waits = waits
        self.processes = MemoryRebuildProcess(self._run)
        self.rebuilds = self.system.container.rebuilds(
            adapters=["memory"], generations_of=self._generations_of, process=self.processes
        )

    async def _generations_of(self, _: str) -> MemoryGenerations:
        return self.system.generations

    async def _run(self) -> AsyncIterator[Build]:
        while await self.system.commit_log.tip() < 3:
            command = CreatePost(post_id=PostId(str(uuid4())), author="ann", message="Hello", date_posted=NOW)
            await self.system.process.commands.handle(command, CommandContext())
        async for build in self.system.container.rebuild(batch_events=2).run():
            yield build
            if self._waits:
                await self.gate.wait()


def services(
    *,
    commands: CommandDispatcher | None = None,
    queries: QueryDispatcher | None = None,
    probes: tuple[Probe, ...] = (),
    **changes: Any,
) -> HttpServices:
    return HttpServices(
        commands=commands,
        queries=queries,
        clock=changes.pop("clock", FakeClock()),
        ids=changes.pop("ids", FakeIds()),
        limits=Limits(name=50, message=1_000, comment=500),
        metrics=changes.pop("metrics", FakeMetrics()),
        metrics_text=lambda: (b"postlog_up 1\n", "text/plain; version=0.0.4; charset=utf-8"),
        probes=probes,
        stopping=changes.pop("stopping", asyncio.Event()),
        operations=changes.pop("operations", True),
        max_body_bytes=changes.pop("max_body_bytes", 4_096),
        **({"poll_seconds": 0.01} | changes),
    )


def done(version: int = 1, position: int = 1, comment_id: CommentId | None = None) -> CommandResult:
    return CommandResult(post_id=POST, version=version, position=position, comment_id=comment_id)


def removed() -> PostRemovedAlready:
    return PostRemovedAlready("Post was removed.", path="id")

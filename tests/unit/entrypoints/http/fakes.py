"""What the tests of the HTTP entrypoint work with: dispatchers that return what a test says, and a whole service in
memory."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from adapters.memory.generations import MemoryGenerations, MemoryRebuildProcess
from application.command_side.post_commands import COMMANDS
from application.mediator import CommandContext, CommandDispatcher, CommandResult, QueryDispatcher
from application.ports.generations import Build
from application.ports.provisioning import Probe
from application.query_side.history import CountEvents, ListEvents, PastEvent
from application.query_side.log import ChangedPosts, ListChangedPosts, ListCommits, ListNewCommits
from application.query_side.posts import GetPost, ListComments, ListPosts
from application.query_side.posts_as_of import GetPostAsOf
from application.query_side.status import GetPipelineStatus, GetReadDbStatus, PartitionLag, ReadDbStatus
from application.query_side.trace import TraceCommand
from application.rows import CommentRow, PostRow, PostStatus
from containers import container_with
from domain.commands import (
    CreatePost,
    PostCommand,
)
from domain.errors import PostRemovedAlready
from domain.ids import CommentId, PostId
from domain.limits import Limits
from entrypoints.http.services import HttpServices
from entrypoints.serving.cross_origin import CrossOriginPolicy
from small_system import SmallSystem

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


class PostService:
    """A whole service in memory, whose rows are up to date when a command returns."""

    def __init__(self, limits: Limits) -> None:
        self._container = container_with(limits=limits)
        self.queries = self._container.query_dispatcher

    def commands(self) -> CommandDispatcher:
        dispatcher = CommandDispatcher()
        for command_type in COMMANDS:
            dispatcher.register(command_type, self._handle)
        return dispatcher

    async def _handle(self, command: PostCommand, context: CommandContext) -> CommandResult:
        result = await self._container.command_dispatcher().dispatch(command, context)
        await self.project(result.position)
        return result

    async def project(self, position: int = 0) -> None:
        """Bring the rows up to this position; they are ready then, also without any post."""
        projecting = asyncio.create_task(self._container.follower().run())
        views = self._container.post_views()
        while not (stamp := await views.stamp()).ready or stamp.position < position:
            await asyncio.sleep(0)
        projecting.cancel()
        await asyncio.wait([projecting])


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
    container = container_with(
        clock=changes.pop("clock", FakeClock()),
        ids=changes.pop("ids", FakeIds()),
        metrics=changes.pop("metrics", FakeMetrics()),
        limits=Limits(name=50, message=1_000, comment=500),
    )
    given: HttpServices = container.http_services(
        commands=commands,
        queries=queries,
        metrics_text=lambda: (b"postlog_up 1\n", "text/plain; version=0.0.4; charset=utf-8"),
        probes=probes,
        stopping=changes.pop("stopping", asyncio.Event()),
        cross_origin=changes.pop("cross_origin", CrossOriginPolicy(("postlog.test", "testserver", "a", "x"))),
        **({"max_body_bytes": 4_096, "poll_seconds": 0.01} | changes),
    )
    return given


def done(version: int = 1, position: int = 1, comment_id: CommentId | None = None) -> CommandResult:
    return CommandResult(post_id=POST, version=version, position=position, comment_id=comment_id)


def removed() -> PostRemovedAlready:
    return PostRemovedAlready("Post was removed.", path="id")

"""Many clients of the HTTP API at a steady rate: writers, who retry what has a key until its outcome is known, and
readers with the newest position that anybody was told. What each asked and was told is recorded for the checker."""

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

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
from domain.ids import CommentId, PostId
from simulation.checker import Operation, Read, require
from torture.translation import Request, record_answer, record_read, request_of

WRITERS, READERS = 96, 8
_OPEN_POSTS = 30
_ATTEMPTS = 14
_LONGEST_PAUSE = 1.6
_KEYS_KEPT = 20
_NAMES = [f"user {number}" for number in range(30)]
_DRAWN_BY_SERVER = datetime(1, 1, 1, tzinfo=UTC)
_HEAD_END = b"\r\n\r\n"


class NotSent(Exception):
    """The server refused the connection."""


class Lost(Exception):
    """The request was sent, and no answer came."""


class Connection:
    """HTTP/1.1 over asyncio, opened again after every error."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(
        self, request: Request, headers: Mapping[str, str | int], seconds: float
    ) -> tuple[int, Mapping[str, Any]]:
        """Status and JSON. Hangs up after `seconds`. Raises `NotSent`, `Lost`."""
        status, body = await self._exchange(request, headers, seconds)
        return status, json.loads(body)

    async def _exchange(self, request: Request, headers: Mapping[str, str | int], seconds: float) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(seconds):
                if self._streams is None:
                    try:
                        self._streams = await asyncio.open_connection("127.0.0.1", self._port)
                    except OSError as error:
                        raise NotSent from error
                return await self._send(*self._streams, request, headers)
        except TimeoutError as error:
            raise Lost("timeout") from error
        except (OSError, EOFError) as error:
            raise Lost from error

    async def get_text(self, path: str) -> tuple[int, str]:
        """Status and body. Raises `NotSent`, `Lost`."""
        status, body = await self._exchange(Request("GET", path), {}, 5.0)
        return status, body.decode()

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _send(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request, headers: Mapping[str, Any]
    ) -> tuple[int, bytes]:
        is_done = False
        try:
            content = b"" if request.body is None else json.dumps(request.body).encode()
            lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: 127.0.0.1:{self._port}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            if content:
                lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
            writer.write("\r\n".join([*lines, "\r\n"]).encode() + content)
            head = await reader.readuntil(_HEAD_END)
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            text = await reader.readexactly(int(length))
            is_done = b"connection: close" not in head.lower()
            return int(head[9:12]), text
        finally:
            if not is_done:
                self.close()


@dataclass(slots=True)
class Post:
    """What its clients know of it. It is left alone after `most` commands, or when it has many comments: a query shows
    only the newest 100."""

    id: PostId
    most: int
    version: int = 1
    sent: int = 0
    comments: list[CommentId] = field(default_factory=list)
    comments_sent: int = 0


@dataclass(slots=True)
class Clients:
    """`rate` is in commands a second, with those missed in a fault sent afterwards; `queries` too. `command_ports` and
    `query_ports` are asked for each request, the latter with the number of their read database."""

    seed: int
    rate: float
    queries: float
    command_ports: Sequence[int]
    query_ports: Callable[[], tuple[int, Sequence[int]]]
    on_violation: Callable[[BaseException], None]
    operations: list[Operation] = field(default_factory=list)
    reads: list[tuple[int, Read]] = field(default_factory=list)
    preferred: int = 0
    """Which command process gets most of the requests."""
    position: int = 0
    """The newest one that anybody was told."""
    seen: Counter[str] = field(default_factory=Counter)
    """How often clients did or met what is rare."""
    acknowledged: int = 0
    busy: int = 0
    _go: asyncio.Event = field(default_factory=asyncio.Event)
    _posts: list[Post] = field(default_factory=list)
    _shown: deque[PostId] = field(default_factory=lambda: deque(maxlen=200))
    _began: float = field(default_factory=time.monotonic)
    _turns: Counter[str] = field(default_factory=Counter)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        for number in range(WRITERS):
            self._tasks.append(asyncio.create_task(self._live(f"{self.seed} writer {number}", self.rate, self._write)))
        for number in range(READERS):
            self._tasks.append(
                asyncio.create_task(self._live(f"{self.seed} reader {number}", self.queries, self._read))
            )
        self.go_on()

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    def go_on(self) -> None:
        self._go.set()

    def pause(self) -> None:
        """Nobody begins anything; `busy` are those who are still at something."""
        self._go.clear()

    async def _live(self, name: str, rate: float, act: Callable[[Random, dict[int, Connection], list[Operation]], Any]):
        random, connections, mine = Random(name), {}, []
        kind = act.__name__
        try:
            while True:
                await self._go.wait()
                due = self._began + self._turns[kind] / rate
                self._turns[kind] += 1
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if not self._go.is_set():
                    continue
                self.busy += 1
                try:
                    await act(random, connections, mine)
                finally:
                    self.busy -= 1
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.on_violation(error)
        finally:
            for connection in connections.values():
                connection.close()

    # Writers

    async def _write(self, random: Random, connections: dict[int, Connection], mine: list[Operation]) -> None:
        """`mine` are the last operations with a key that were acknowledged."""
        if mine and random.random() < 0.02:
            await self._send_again(random, connections, random.choice(mine))
            return
        post, command = self._draw(random)
        operation = self._operation(random, command, mine, post)
        await self._send(random, connections, operation)
        if operation.outcome == "unknown":
            self.seen["commands whose outcome stayed unknown"] += 1
        elif operation.outcome == "fail":
            self.seen["commands refused"] += 1
        else:
            self.acknowledged += 1
            self.position = max(self.position, operation.position)
            self._learn(random, post, operation)
            if operation.key and operation.reuses is None:
                mine.append(operation)
                del mine[:-_KEYS_KEPT]

    def _draw(self, random: Random) -> tuple[Post | None, PostCommand]:
        self._posts = [each for each in self._posts if each.sent < each.most and each.comments_sent < 90]
        if len(self._posts) < _OPEN_POSTS or random.random() < 0.01:
            message = f"message {len(self.operations)}"
            create = CreatePost(
                post_id=_id(random), author=random.choice(_NAMES[:3]), message=message, date_posted=_DRAWN_BY_SERVER
            )
            return None, create
        hot = random.random() < 0.25
        post = self._posts[0] if hot else random.choice(self._posts)
        post.sent += 1
        return post, self._about(random, post, random.choice(_NAMES))

    def _about(self, random: Random, post: Post, user: str) -> PostCommand:
        target, at = post.id, _DRAWN_BY_SERVER
        text = f"text {len(self.operations) if random.random() < 0.8 else 0}"
        known = random.choice(post.comments) if post.comments and random.random() < 0.9 else CommentId(_id(random))
        author = random.choice((*_NAMES[:3], *_NAMES[:3], user))
        kind = random.choices(
            ("like", "unlike", "edit", "add", "change", "remove", "end"), (40, 8, 12, 22, 10, 5, 0.5)
        )[0]
        match kind:
            case "like":
                return LikePost(post_id=target, username=random.choice((user, None)))
            case "unlike":
                return UnlikePost(post_id=target, username=user)
            case "edit":
                return EditMessage(post_id=target, message=text, username=author, edited_at=at)
            case "add":
                post.comments_sent += 1
                writer = random.choice(_NAMES[:3])
                return AddComment(
                    post_id=target, comment_id=CommentId(_id(random)), comment=text, username=writer, comment_date=at
                )
            case "change":
                return EditComment(
                    post_id=target, comment_id=known, comment=text, username=random.choice(_NAMES[:3]), edit_date=at
                )
            case "remove":
                return RemoveComment(post_id=target, comment_id=known, username=random.choice(_NAMES[:3]))
            case _:
                return RemovePost(post_id=target, username=author)

    def _operation(
        self, random: Random, command: PostCommand, mine: Sequence[Operation], post: Post | None
    ) -> Operation:
        number = len(self.operations)
        reuses = random.choice(mine) if mine and random.random() < 0.01 else None
        if reuses is not None and request_of(reuses.commands[0]) == request_of(command):
            reuses = None
        key = reuses.key if reuses else f"{self.seed}-{number}" if random.random() < 0.8 else None
        expects = post is not None and random.random() < 0.05
        operation = Operation(
            number=number,
            commands=[command],
            correlation_id=f"operation-{number}",
            key=key,
            expected_version=post.version if post is not None and expects else None,
            invoked=now(),
            reuses=reuses,
        )
        self.operations.append(operation)
        return operation

    async def _send(self, random: Random, connections: dict[int, Connection], operation: Operation) -> None:
        """Until the outcome is known; without a key only once. Now and then twice at the same time."""
        request = request_of(operation.commands[0])
        for attempt in range(_ATTEMPTS if operation.key else 1):
            if attempt:
                self.seen["commands sent again"] += 1
                await asyncio.sleep(random.uniform(0.02, min(0.1 * 2**attempt, _LONGEST_PAUSE)))
            if operation.key and random.random() < 0.03:
                await self._send_twice(random, connections, operation, request)
            else:
                await self._try(random, connections, operation, request)
            if operation.outcome != "unknown":
                break
        operation.returned = time.time()

    async def _send_twice(
        self, random: Random, connections: dict[int, Connection], operation: Operation, request: Request
    ) -> None:
        """Both answers are the same. But a refusal may be older than what the other attempt led to, and of two
        processes one may find in effect what the other one appends (docs/adr/0015)."""
        self.seen["commands sent twice at once"] += 1
        twins, others = [copy(operation), copy(operation)], dict[int, Connection]()
        ways = (connections, others)
        ports = await asyncio.gather(
            *(self._try(random, way, twin, request) for way, twin in zip(ways, twins, strict=True))
        )
        for connection in others.values():
            connection.close()
        told = sorted((twin for twin in twins if twin.outcome == "ok"), key=lambda twin: -twin.version)
        is_one_answer = len({(twin.version, twin.position) for twin in told}) < 2
        require(is_one_answer or ports[0] != ports[1], "answered {} and {}", *twins)
        operation.in_doubt |= any(twin.in_doubt for twin in twins)
        operation.refused_twins = [twin.code for twin in twins if twin.outcome == "fail"]
        for twin in (told or sorted(twins, key=lambda twin: twin.outcome != "unknown"))[:1]:
            operation.outcome, operation.code, operation.comment_id = twin.outcome, twin.code, twin.comment_id
            operation.version, operation.position, operation.commands = twin.version, twin.position, twin.commands

    async def _try(
        self, random: Random, connections: dict[int, Connection], operation: Operation, request: Request
    ) -> int:
        """Returns the port of the process that was asked."""
        preferred = self.command_ports[self.preferred]
        port = preferred if random.random() < 0.7 else random.choice(self.command_ports)
        connection = connections.setdefault(port, Connection(port))
        headers = {"X-Correlation-ID": operation.correlation_id}
        if operation.key:
            headers["Idempotency-Key"] = operation.key
        if operation.expected_version is not None:
            headers["If-Match"] = f'"{operation.expected_version}"'
        try:
            status, body = await connection.send(request, headers, random.choices((0.3, 2.0, 10.0), (2, 8, 90))[0])
        except NotSent:
            operation.code = "not sent"
        except Lost as error:
            self.seen["requests given up by their clients" if str(error) else "answers lost with a connection"] += 1
            operation.code, operation.in_doubt = "lost", True
        else:
            record_answer(operation, status, body)
        return port

    async def _send_again(self, random: Random, connections: dict[int, Connection], operation: Operation) -> None:
        """Delivered once more, after it was answered: the answer is the same, or that of an earlier attempt."""
        again = copy(operation)
        again.outcome, again.code = "unknown", ""
        await self._try(random, connections, again, request_of(operation.commands[0]))
        same = (again.version, again.position, again.comment_id) == (
            operation.version,
            operation.position,
            operation.comment_id,
        )
        same |= operation.in_doubt and again.version > operation.version
        require(again.outcome == "unknown" or (again.outcome == "ok" and same), "{}, and again {}", operation, again)
        self.seen["commands repeated after their answer"] += 1

    def _learn(self, random: Random, post: Post | None, operation: Operation) -> None:
        if isinstance(operation.commands[0], CreatePost):
            post = Post(operation.post_id, most=random.choice((30, 60, 120, 240)))
            self._posts.append(post)
            self._shown.append(post.id)
        elif post is not None:
            post.version = max(post.version, operation.version)
            if operation.comment_id is not None:
                post.comments.append(operation.comment_id)

    # Readers

    async def _read(self, random: Random, connections: dict[int, Connection], _: list[Operation]) -> None:
        if not self._shown:
            return
        database, ports = self.query_ports()
        port, token = random.choice(ports), self.position if random.random() < 0.7 else None
        which = self._posts[0].id if self._posts and random.random() < 0.3 else random.choice(self._shown)
        read = Read(self._turns["_read"], which, token, now())
        headers: dict[str, str | int] = {} if token is None else {"Postlog-Min-Position": token}
        connection = connections.setdefault(port, Connection(port))
        try:
            status, body = await connection.send(Request("GET", f"/api/v1/posts/{which}"), headers, 8.0)
        except (NotSent, Lost):
            self.seen["queries without an answer"] += 1
            return
        record_read(read, status, body)
        read.returned = time.time()
        self.reads.append((database, read))
        self.seen[f"queries answered {read.outcome}"] += 1


def now() -> float:
    """The wall clock in whole milliseconds, as commits have it."""
    return int(time.time() * 1_000) / 1_000


def _id(random: Random) -> PostId:
    return PostId(str(UUID(int=random.getrandbits(128), version=4)))

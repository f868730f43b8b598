"""People who write and read through HTTP at a steady rate, each on a connection of their own. A latency counts from the
moment at which the request was due, so that a slow answer is not hidden by the requests that it held up.
"""

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from benchmarks.writing import MESSAGE

_POSTS = "/api/v1/posts"
_REMEMBERED, _TIMER_SECONDS = 2_000, 0.01
_HEAD_END = b"\r\n\r\n"

Wanted = tuple[str, str, dict[str, str] | None]
"""Method, path, body."""


@dataclass(slots=True)
class Shared:
    """What the writers made, for the readers: newest last. `hot` is a post that everybody likes. `commands`, `queries`
    and `timers` are latencies since they were last taken, in seconds."""

    hot: str = ""
    position: int = 0
    posts: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    versions: dict[str, int] = field(default_factory=dict)
    commands: list[float] = field(default_factory=list)
    queries: list[float] = field(default_factory=list)
    timers: list[float] = field(default_factory=list)
    wrong: dict[str, int] = field(default_factory=dict)


class Connection:
    """HTTP/1.1 over asyncio, as in `benchmarks.load`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(
        self, method: str, path: str, body: dict[str, str] | None = None, min_position: int = 0
    ) -> tuple[int, Any]:
        """Status and JSON. Raises `OSError` or `EOFError` when the server hangs up; the next call connects again."""
        try:
            return await self._send(method, path, body, min_position)
        except (OSError, EOFError):
            self.close()
            raise

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _send(self, method: str, path: str, body: dict[str, str] | None, min_position: int) -> tuple[int, Any]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\nPostlog-Min-Position: {min_position}\r\n\r\n"
        )
        writer.write(head.encode() + content)
        answer = await reader.readuntil(_HEAD_END)
        length = answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        text = await reader.readexactly(int(length))
        return int(answer[9:12]), json.loads(text) if text else None


class Writer:
    """Has posts and comments of its own, so that no rule refuses what it does; likes those of others too."""

    def __init__(self, number: int, shared: Shared) -> None:
        self._name = f"writer-{number}"
        self._chance = random.Random(number)
        self._shared = shared
        self._comments: list[tuple[str, str]] = []
        self._posts: list[str] = []
        self._liked = 0

    def next(self) -> Wanted:
        kind = self._chance.random()
        if kind < 0.08 or not self._posts:
            return "POST", _POSTS, {"author": self._name, "message": MESSAGE}
        if kind < 0.60:
            self._liked += 1
            post = self._shared.hot if kind < 0.25 else self._chance.choice(self._shared.posts)
            return "POST", f"{_POSTS}/{post}/likes", {"username": f"{self._name}-{self._liked}"}
        if kind < 0.85 or not self._comments:
            post = self._chance.choice(self._shared.posts)
            return "POST", f"{_POSTS}/{post}/comments", {"comment": MESSAGE, "username": self._name}
        if kind < 0.92:
            message = {"message": f"edited {self._chance.random()}", "username": self._name}
            return "PUT", f"{_POSTS}/{self._chance.choice(self._posts)}/message", message
        post, comment = self._comments.pop(self._chance.randrange(len(self._comments)))
        if kind < 0.96:
            self._comments.append((post, comment))
            text = {"comment": f"edited {self._chance.random()}", "username": self._name}
            return "PUT", f"{_POSTS}/{post}/comments/{comment}", text
        return "DELETE", f"{_POSTS}/{post}/comments/{comment}?username={quote(self._name)}", None

    def record(self, wanted: Wanted, done: dict[str, Any]) -> None:
        shared, post = self._shared, done["postId"]
        shared.position = max(shared.position, done["position"])
        shared.versions[post] = done["version"]
        if wanted[1] == _POSTS:
            self._posts = [*self._posts[-99:], post]
            shared.posts.append(post)
        if wanted[1].endswith("/comments"):
            self._comments = [*self._comments[-99:], (post, done["commentId"])]


class Reader:
    """One query in ten is for a post as it was, one in ten for its history, one in ten for a page of the list."""

    def __init__(self, number: int, shared: Shared) -> None:
        self._chance = random.Random(-number)
        self._shared = shared

    def next(self) -> Wanted:
        kind = self._chance.random()
        if kind < 0.1:
            return "GET", f"{_POSTS}?limit=20", None
        post = self._shared.hot if kind < 0.4 else self._chance.choice(self._shared.posts)
        last = self._shared.versions[post]
        if kind < 0.2:
            return "GET", f"{_POSTS}/{post}?version={self._chance.randint(1, last)}", None
        if kind < 0.3:
            return "GET", f"{_POSTS}/{post}/events?limit=20&after={self._chance.randint(0, last - 1)}", None
        return "GET", f"{_POSTS}/{post}", None

    def record(self, wanted: Wanted, done: dict[str, Any]) -> None:
        """Nothing to remember."""


async def first_posts(port: int, shared: Shared, count: int) -> None:
    """So that there is something to read; the first is the hot one."""
    connection, writer = Connection(port), Writer(0, shared)
    for _ in range(count):
        wanted = ("POST", _POSTS, {"author": "writer-0", "message": MESSAGE})
        status, done = await connection.send(*wanted)
        if status != 201:
            raise RuntimeError(f"a command was answered with {status}: {done}")
        writer.record(wanted, done)
        shared.hot = shared.hot or done["postId"]
    connection.close()


async def act(
    port: int, who: Writer | Reader, latencies: Callable[[], list[float]], wrong: dict[str, int], a_second: float
) -> None:
    """Until it is cancelled. Any status but 200 and 201 is counted as wrong, and 404 only for a command: a row may not
    be there yet."""
    connection = Connection(port)
    due = time.perf_counter() + random.random() / a_second
    try:
        while True:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            wanted = who.next()
            try:
                status, done = await connection.send(*wanted)
            except (OSError, EOFError) as error:
                status, done = 0, repr(error)
            latencies().append(time.perf_counter() - due)
            if status in (200, 201):
                who.record(wanted, done)
            elif (wanted[0], status) != ("GET", 404):
                key = f"{wanted[0]} {status} {done if isinstance(done, str) else done.get('code', done.get('type'))}"
                wrong[key] = wrong.get(key, 0) + 1
            due += 1 / a_second
    finally:
        connection.close()


async def watch_timers(shared: Shared) -> None:
    """How late timers of this process are: what the machine does beside all this, and no fault of Postlog."""
    while True:
        due = time.perf_counter() + _TIMER_SECONDS
        await asyncio.sleep(_TIMER_SECONDS)
        shared.timers.append(time.perf_counter() - due)

"""Import posts from lines of JSON. Each line becomes a few commits whose ids are derived from its `externalId`, so an
import that was interrupted, or is run again, resumes where the log ends and imports nothing twice. Likes become
anonymous likes. A later dump of the same post, with more likes, adds the missing ones.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import TypeVar
from uuid import UUID, uuid5
from weakref import WeakValueDictionary

from application.backoff import Patience
from application.command_side.post_commands import PostCommands
from application.envelopes import MAX_EVENTS_PER_COMMIT, Commit
from application.errors import IdempotencyKeyReused, LogChanged, Unavailable
from application.imports.post_lines import BadLine, PostLine, is_blank_line, parse_line, shown
from application.mediator import CommandContext, IdempotencyKey
from application.ports.event_codec import EventCodec
from application.ports.event_store import EventStore
from application.ports.system import Clock
from domain.commands import CreatePost, LikePost, PostCommand
from domain.errors import PostlogError
from domain.events import PostCreated, PostEvent, PostLiked
from domain.ids import PostId

T = TypeVar("T")

_IMPORTED_POSTS = UUID("0b0d8a34-3f0f-5d55-8f0f-6a3f3e1c7b52")
_MAX_WAITING = 10_000
"""How many results may wait for a slow line before them."""

_REMEMBERED = 50_000
"""For how many of the last posts the line number is remembered."""

_LAST_ANSWER_SECONDS = 1.0
"""How long an interrupted import waits for the commands in flight: they may be stored."""


@dataclass(frozen=True, slots=True)
class ImportedLine:
    """`events` is how many events the line stands for, `new_events` how many of them this import appended."""

    number: int
    events: int
    new_events: int


@dataclass(slots=True)
class UnfinishedLine:
    """`in_log` of the line's `events` are in the log; this import appended `new_events` of them."""

    number: int
    events: int = 0
    in_log: int = 0
    new_events: int = 0


class _DifferentContent(Exception):
    """The log has different content for the line's `externalId`; the message is a clause."""


class PostImport:
    """`in_flight` lines, of at most `longest_line` bytes, are imported at the same time. If the store is unavailable,
    the import retries for `patience` seconds.
    """

    def __init__(
        self,
        commands: PostCommands,
        store: EventStore,
        codec: EventCodec,
        clock: Clock,
        in_flight: int = 64,
        patience: float = 60.0,
        longest_line: int = 2_000_000,
    ) -> None:
        self._commands = commands
        self._store = store
        self._codec = codec
        self._clock = clock
        self._in_flight = in_flight
        self._patience = patience
        self._longest_line = longest_line
        self._locks: WeakValueDictionary[PostId, asyncio.Lock] = WeakValueDictionary()
        self._line_of: dict[PostId, int] = {}
        self._has_forgotten = False
        self.left: Sequence[ImportedLine | BadLine | UnfinishedLine] = ()
        """After an import that was interrupted, or that gave up: results that were not yielded, and lines that are in
        the log in part. The same import, run again, finishes them.
        """

    async def run(self, lines: Iterable[bytes]) -> AsyncIterator[ImportedLine | BadLine]:
        """Yields one result for each line that is not blank, in the order of lines. Raises `Unavailable` when patience
        is exhausted: everything imported so far stays, and the same import can be run again. Results that were not
        yielded are then in `left`.
        """
        running: dict[asyncio.Task[ImportedLine | BadLine], UnfinishedLine] = {}
        results = _InOrder()
        try:
            for number, line in enumerate(lines, start=1):
                if is_blank_line(line):
                    continue
                progress = UnfinishedLine(number)
                running[asyncio.create_task(self._import_line(progress, line))] = progress
                results.expect(number)
                while len(running) >= self._in_flight or len(results.done) >= _MAX_WAITING:
                    await _finish_some(running, results)
                    while (result := results.next()) is not None:
                        yield result
            while running:
                await _finish_some(running, results)
                while (result := results.next()) is not None:
                    yield result
        finally:
            for task in running:
                task.cancel()
            ends = await asyncio.gather(*running, return_exceptions=True)
            left: list[ImportedLine | BadLine | UnfinishedLine] = [
                progress if isinstance(end, BaseException) else end
                for progress, end in zip(running.values(), ends, strict=True)
                if progress.in_log or not isinstance(end, BaseException)
            ]
            self.left = sorted([*results.done.values(), *left], key=attrgetter("number"))

    async def _import_line(self, progress: UnfinishedLine, line: bytes) -> ImportedLine | BadLine:
        parsed = parse_line(progress.number, line, self._longest_line)
        if isinstance(parsed, BadLine):
            return parsed
        post_id = PostId(str(uuid5(_IMPORTED_POSTS, parsed.external_id)))
        lock = self._locks.setdefault(post_id, asyncio.Lock())
        try:
            async with lock:  # in the order of lines, so that the first line of a file wins
                await self._import_post(progress, parsed, post_id)
        except Unavailable:
            raise
        except _DifferentContent as error:
            return BadLine(progress.number, f"externalId {shown(parsed.external_id)} {self._where(post_id)} {error}")
        except PostlogError as error:
            value = {"author": parsed.author, "message": parsed.message}.get(error.path or "")
            given = "" if value is None else f" The value is {shown(value)}."
            so_far = f" ({progress.in_log:,} of its {progress.events:,} events are in the log)"
            return BadLine(progress.number, error.message + given + (so_far if progress.in_log else ""))
        self._remember(post_id, progress.number)
        return ImportedLine(progress.number, progress.events, progress.new_events)

    def _remember(self, post_id: PostId, number: int) -> None:
        self._line_of.setdefault(post_id, number)
        if len(self._line_of) > _REMEMBERED:
            del self._line_of[next(iter(self._line_of))]
            self._has_forgotten = True

    def _where(self, post_id: PostId) -> str:
        if (number := self._line_of.get(post_id)) is not None:
            return f"is already on line {number} of this file, with"
        return f"was imported before{', or is on an earlier line,' if self._has_forgotten else ''} with"

    async def _import_post(self, progress: UnfinishedLine, post: PostLine, post_id: PostId) -> None:
        commands = _commands_for(post, post_id)
        progress.events = len(commands)
        digest = _digest(post)
        number = 0
        while progress.in_log < len(commands):
            part = commands[progress.in_log : progress.in_log + MAX_EVENTS_PER_COMMIT]
            key = IdempotencyKey(f"import:{post.external_id}:{number}", digest)
            try:
                await self._patiently(partial(self._send, progress, post_id, part, key))
            except IdempotencyKeyReused:
                find = partial(self._store.find_commit, _commit_id(key))
                progress.in_log += self._of_another_dump(post, await self._patiently(find), progress.in_log)
            number += 1

    def _of_another_dump(self, post: PostLine, commit: Commit | None, before: int) -> int:
        """The number of events in a commit that another dump of this post made after its first `before` events. Raises
        `_DifferentContent` unless they are the line's own.
        """
        stored = self._codec.decode(commit) if commit else []
        expected: list[PostEvent] = [PostLiked(username=None)] * len(stored)
        if before == 0:
            expected[:1] = [PostCreated(author=post.author, message=post.message, date_posted=post.date_posted)]
        if not stored or stored != expected:
            raise _DifferentContent("different content")
        if before + len(stored) > 1 + post.likes:
            raise _DifferentContent(f"more likes than {post.likes:,}: a later dump may have more likes, but not fewer")
        return len(stored)

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Retry while the store is unavailable."""
        patience = Patience(self._clock.monotonic, self._patience)
        while True:
            try:
                return await ask()
            except LogChanged:
                raise
            except Unavailable:
                if not await patience.pause():
                    raise

    async def _send(
        self, progress: UnfinishedLine, post_id: PostId, commands: list[PostCommand], key: IdempotencyKey
    ) -> None:
        """If the import is cancelled, the result is awaited for a moment, so that `progress` is correct."""
        context = CommandContext(idempotency_key=key)
        sending = asyncio.create_task(self._commands.commit(post_id, commands, context, _commit_id(key)))
        try:
            await asyncio.wait([sending])
        except asyncio.CancelledError:
            await asyncio.wait([sending], timeout=_LAST_ANSWER_SECONDS)
            if sending.done() and sending.exception() is None:
                _count(progress, commands, is_new=not sending.result().replayed)
            sending.cancel()
            raise
        _count(progress, commands, is_new=not sending.result().replayed)


@dataclass(slots=True)
class _InOrder:
    """Holds back results, by line, until those of all lines before them are `done`."""

    done: dict[int, ImportedLine | BadLine] = field(default_factory=dict)
    _expected: deque[int] = field(default_factory=deque)

    def expect(self, number: int) -> None:
        self._expected.append(number)

    def next(self) -> ImportedLine | BadLine | None:
        if not self._expected or self._expected[0] not in self.done:
            return None
        return self.done.pop(self._expected.popleft())


async def _finish_some(running: dict[asyncio.Task[ImportedLine | BadLine], UnfinishedLine], results: _InOrder) -> None:
    """Wait until at least one line is done."""
    done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        results.done[running[task].number] = task.result()
        del running[task]


def _count(progress: UnfinishedLine, commands: Sequence[PostCommand], *, is_new: bool) -> None:
    progress.in_log += len(commands)
    progress.new_events += len(commands) if is_new else 0


def _commit_id(key: IdempotencyKey) -> str:
    return str(uuid5(_IMPORTED_POSTS, key.key))


def _digest(post: PostLine) -> str:
    """Stored with every commit of the line. The text does not depend on the names of classes, because it must match
    what earlier versions stored.
    """
    text = (
        f"PostLine(external_id={post.external_id!r}, author={post.author!r}, message={post.message!r}, "
        f"date_posted={post.date_posted!r}, likes={post.likes!r})"
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _commands_for(post: PostLine, post_id: PostId) -> list[PostCommand]:
    created = CreatePost(post_id=post_id, author=post.author, message=post.message, date_posted=post.date_posted)
    return [created, *[LikePost(post_id=post_id, username=None)] * post.likes]

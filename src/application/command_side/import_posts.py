"""Import posts: each becomes a few commits whose ids are derived from its `externalId`, so an import that was
interrupted, or is run again, goes on where the log stops and imports nothing twice. Likes become anonymous likes. A
later dump of a post, with more likes, brings those that the log lacks.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from uuid import UUID, uuid5

from application.command_side.import_lines import BadLine, PostLine, parse_line
from application.command_side.post_commands import PostCommands
from application.envelopes import MAX_EVENTS_PER_COMMIT, Commit
from application.errors import IdempotencyKeyReused, LogChanged, Unavailable
from application.mediator import CommandContext, IdempotencyKey
from application.ports.clock import Clock
from application.ports.event_codec import EventCodec
from application.ports.event_store import EventStore
from domain.commands import CreatePost, LikePost, PostCommand
from domain.errors import PostlogError
from domain.events import PostCreated, PostEvent, PostLiked
from domain.ids import PostId

T = TypeVar("T")

_IMPORTED_POSTS = UUID("0b0d8a34-3f0f-5d55-8f0f-6a3f3e1c7b52")
_LONGEST_PAUSE = 5.0

_LAST_ANSWER_SECONDS = 1.0
"""How long an import that is interrupted waits for what it has sent: it may be stored."""


@dataclass(frozen=True, slots=True)
class ImportedLine:
    """`events` is how many the line stands for, `new_events` how many of them this import appended."""

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


class _AnotherContent(Exception):
    """The log has something else under the line's `externalId`; the reason is a clause."""


class PostImport:
    """`in_flight` lines are imported at the same time. While the store is away it is asked again for `patience`
    seconds.
    """

    def __init__(
        self,
        commands: PostCommands,
        store: EventStore,
        codec: EventCodec,
        clock: Clock,
        in_flight: int = 64,
        patience: float = 60.0,
    ) -> None:
        self._commands = commands
        self._store = store
        self._codec = codec
        self._clock = clock
        self._in_flight = in_flight
        self._patience = patience
        self.left: Sequence[ImportedLine | BadLine | UnfinishedLine] = ()
        """After an import that was interrupted, or that gave up: lines that it was at, and of which something is in the
        log. The same import, run again, finishes them."""

    async def run(self, lines: Iterable[bytes]) -> AsyncIterator[ImportedLine | BadLine]:
        """One result a line that is not blank, as they are done. Raises `Unavailable` when patience is over: what was
        imported stays, and the same import can be run again. What it did not tell is in `left` then."""
        running: dict[asyncio.Task[ImportedLine | BadLine], UnfinishedLine] = {}
        try:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                progress = UnfinishedLine(number)
                running[asyncio.create_task(self._import_line(progress, line))] = progress
                if len(running) >= self._in_flight:
                    async for result in _finished(running):
                        yield result
            while running:
                async for result in _finished(running):
                    yield result
        finally:
            for task in running:
                task.cancel()
            results = await asyncio.gather(*running, return_exceptions=True)
            self.left = [
                progress if isinstance(result, BaseException) else result
                for progress, result in zip(running.values(), results, strict=True)
                if progress.in_log or not isinstance(result, BaseException)
            ]

    async def _import_line(self, progress: UnfinishedLine, line: bytes) -> ImportedLine | BadLine:
        parsed = parse_line(progress.number, line)
        if isinstance(parsed, BadLine):
            return parsed
        try:
            await self._import_post(progress, parsed)
        except Unavailable:
            raise
        except _AnotherContent as error:
            return BadLine(progress.number, f"externalId {parsed.external_id} was imported before with {error}")
        except PostlogError as error:
            so_far = f" ({progress.in_log:,} of its {progress.events:,} events are in the log)"
            return BadLine(progress.number, error.message + (so_far if progress.in_log else ""))
        return ImportedLine(progress.number, progress.events, progress.new_events)

    async def _import_post(self, progress: UnfinishedLine, post: PostLine) -> None:
        post_id = PostId(str(uuid5(_IMPORTED_POSTS, post.external_id)))
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
        """How many events stand in the commit that another dump of this post has left behind `before` of them. Raises
        `_AnotherContent` unless they are the line's own."""
        stored = [each.event for each in self._codec.decode(commit)] if commit else []
        expected: list[PostEvent] = [PostLiked(username=None)] * len(stored)
        if before == 0:
            expected[:1] = [PostCreated(author=post.author, message=post.message, date_posted=post.date_posted)]
        if not stored or stored != expected:
            raise _AnotherContent("another content")
        if before + len(stored) > 1 + post.likes:
            raise _AnotherContent(f"more likes than {post.likes:,}: a later dump may have more of them, never fewer")
        return len(stored)

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """A server that is away is asked again, with growing pauses."""
        pause, until = 0.1, self._clock.monotonic() + self._patience
        while True:
            try:
                return await ask()
            except LogChanged:
                raise
            except Unavailable:
                if self._clock.monotonic() + pause > until:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _send(
        self, progress: UnfinishedLine, post_id: PostId, commands: list[PostCommand], key: IdempotencyKey
    ) -> None:
        """Who is cancelled still hears what became of what was sent, so that `progress` tells the truth."""
        context = CommandContext(idempotency_key=key)
        sending = asyncio.create_task(self._commands.commit(post_id, commands, context, _commit_id(key)))
        try:
            await asyncio.wait([sending])
        except asyncio.CancelledError:
            await asyncio.wait([sending], timeout=_LAST_ANSWER_SECONDS)
            if sending.done() and sending.exception() is None:
                _note(progress, commands, is_new=not sending.result().replayed)
            sending.cancel()
            raise
        _note(progress, commands, is_new=not sending.result().replayed)


async def _finished(
    running: dict[asyncio.Task[ImportedLine | BadLine], UnfinishedLine],
) -> AsyncIterator[ImportedLine | BadLine]:
    """Waits for the first, and takes out those whose result it has told."""
    done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        result = task.result()
        del running[task]
        yield result


def _note(progress: UnfinishedLine, commands: Sequence[PostCommand], *, is_new: bool) -> None:
    progress.in_log += len(commands)
    progress.new_events += len(commands) if is_new else 0


def _commit_id(key: IdempotencyKey) -> str:
    return str(uuid5(_IMPORTED_POSTS, key.key))


def _digest(post: PostLine) -> str:
    """Stored with every commit of the line. The text is spelled out, whatever classes are called: lines that were
    imported long ago are known by it."""
    text = (
        f"PostLine(external_id={post.external_id!r}, author={post.author!r}, message={post.message!r}, "
        f"date_posted={post.date_posted!r}, likes={post.likes!r})"
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _commands_for(post: PostLine, post_id: PostId) -> list[PostCommand]:
    created = CreatePost(post_id=post_id, author=post.author, message=post.message, date_posted=post.date_posted)
    return [created, *[LikePost(post_id=post_id, username=None)] * post.likes]

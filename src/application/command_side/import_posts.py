"""Import posts: each becomes a few commits whose ids are derived from its `externalId`, so an import that was
interrupted, or is run again, goes on where the log stops and imports nothing twice. Likes become anonymous likes.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from uuid import UUID, uuid5

from application.command_side.import_lines import BadLine, PostLine, parse_line
from application.command_side.post_commands import PostCommands
from application.envelopes import MAX_EVENTS_PER_COMMIT
from application.errors import IdempotencyKeyReused, Unavailable
from application.mediator import CommandContext, IdempotencyKey
from application.ports.clock import Clock
from domain.commands import CreatePost, LikePost, PostCommand
from domain.errors import PostlogError
from domain.ids import PostId

_IMPORTED_POSTS = UUID("0b0d8a34-3f0f-5d55-8f0f-6a3f3e1c7b52")
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class ImportedLine:
    """`events` is how many the line stands for, `new_events` how many of them this import appended."""

    number: int
    events: int
    new_events: int


class PostImport:
    """`in_flight` lines are imported at the same time. While the store is away it is asked again for `patience`
    seconds.
    """

    def __init__(self, commands: PostCommands, clock: Clock, in_flight: int = 64, patience: float = 60.0) -> None:
        self._commands = commands
        self._clock = clock
        self._in_flight = in_flight
        self._patience = patience

    async def run(self, lines: Iterable[bytes]) -> AsyncIterator[ImportedLine | BadLine]:
        """One result a line that is not blank, as they are done. Raises `Unavailable` when patience is over: what was
        imported stays, and the same import can be run again."""
        running: set[asyncio.Task[ImportedLine | BadLine]] = set()
        try:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                running.add(asyncio.create_task(self._import_line(number, line)))
                if len(running) >= self._in_flight:
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        yield task.result()
            for finished in asyncio.as_completed(list(running)):
                yield await finished
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _import_line(self, number: int, line: bytes) -> ImportedLine | BadLine:
        parsed = parse_line(number, line)
        if isinstance(parsed, BadLine):
            return parsed
        try:
            return await self._import_post(number, parsed)
        except Unavailable:
            raise
        except IdempotencyKeyReused:
            return BadLine(number, f"externalId {parsed.external_id} was imported before with another content")
        except PostlogError as error:
            return BadLine(number, error.message)

    async def _import_post(self, number: int, post: PostLine) -> ImportedLine:
        post_id = PostId(str(uuid5(_IMPORTED_POSTS, post.external_id)))
        commands = _commands_for(post, post_id)
        digest = hashlib.sha256(repr(post).encode()).hexdigest()
        new = 0
        for start in range(0, len(commands), MAX_EVENTS_PER_COMMIT):
            part = commands[start : start + MAX_EVENTS_PER_COMMIT]
            name = f"import:{post.external_id}:{start // MAX_EVENTS_PER_COMMIT}"
            if await self._commit(post_id, part, IdempotencyKey(name, digest)):
                new += len(part)
        return ImportedLine(number, len(commands), new)

    async def _commit(self, post_id: PostId, commands: list[PostCommand], key: IdempotencyKey) -> bool:
        """Whether it was new. A server that is away is asked again, with growing pauses."""
        commit_id = str(uuid5(_IMPORTED_POSTS, key.key))
        context = CommandContext(idempotency_key=key)
        pause, until = 0.1, self._clock.monotonic() + self._patience
        while True:
            try:
                return not (await self._commands.commit(post_id, commands, context, commit_id)).replayed
            except Unavailable:
                if self._clock.monotonic() + pause > until:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _commands_for(post: PostLine, post_id: PostId) -> list[PostCommand]:
    created = CreatePost(post_id=post_id, author=post.author, message=post.message, date_posted=post.date_posted)
    return [created, *[LikePost(post_id=post_id, username=None)] * post.likes]

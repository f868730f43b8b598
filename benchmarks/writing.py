"""Commands through the whole write path, many in flight, in this process."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from application.command_side.post_commands import PostCommands
from application.mediator import CommandContext
from benchmarks.workload import post_id
from domain.commands import CreatePost

MESSAGE = "The quick brown fox jumps over the lazy dog, und dann ruht er aus."


def new_post(number: int) -> CreatePost:
    when = datetime(2026, 11, 23, tzinfo=UTC)
    return CreatePost(post_id=post_id(number), author="ann", message=MESSAGE, date_posted=when)


class Writers:
    """Tasks that create posts one after the other from number `first` on; `written` counts what was acknowledged."""

    def __init__(self, commands: PostCommands, in_flight: int, first: int = 1) -> None:
        self._commands = commands
        self._in_flight = in_flight
        self._next = first
        self.written = 0

    async def run_while(self, go_on: Callable[[int], bool]) -> None:
        """Until `go_on`, handed how many posts were begun, says no."""
        begun = 0

        async def write() -> None:
            nonlocal begun
            while go_on(begun):
                begun += 1
                self._next += 1
                await self._commands.handle(new_post(self._next), CommandContext(correlation_id=f"{begun:032x}"))
                self.written += 1

        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._in_flight):
                tasks.create_task(write())

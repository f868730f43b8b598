"""The pages on the real command side, projector and queries, in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from application.mediator import CommandDispatcher, QueryDispatcher
from command_process import ANYBODY
from domain.commands import PostCommand
from small_system import SmallSystem
from unit.entrypoints.web.conftest import Client, browser_of


class RealWorld:
    def __init__(self, patience: float = 10.0) -> None:
        self.system = SmallSystem(patience=patience)

    def commands(self) -> CommandDispatcher:
        dispatcher = CommandDispatcher()
        self.system.process.commands.register_with(dispatcher)
        return dispatcher

    def queries(self) -> QueryDispatcher:
        return self.system.queries

    async def did(self, *commands: PostCommand) -> None:
        for command in commands:
            await self.system.process.commands.handle(command, ANYBODY)


@asynccontextmanager
async def living(world: RealWorld) -> AsyncIterator[Client]:
    """A browser, while the projector runs."""
    async with world.system.projecting(), browser_of(world) as client:
        await world.system.caught_up()
        yield client

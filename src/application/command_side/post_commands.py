"""The handler of all eight commands: it turns a command into a request, queues it (`command_queue` has the algorithm),
and waits for the answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from application.command_side.command_queue import CommandQueue, Request
from application.command_side.idempotency import commit_id_of
from application.errors import Stopping, StoreUnavailable
from application.mediator import CommandContext, CommandDispatcher, CommandResult
from application.ports.system import Ids, Journal
from application.shared_timeout import SharedTimeout
from domain.commands import CreatePost, PostCommand
from domain.ids import PostId
from domain.rules import check_caller

COMMANDS: tuple[type[PostCommand], ...] = PostCommand.__args__


class PostCommands:
    """`timeout` is how long a caller waits for an answer, in seconds. The command may still be stored after that: the
    caller finds out by sending it again with the same idempotency key. `require_writable` runs before each command, and
    raises the reason why none is accepted.
    """

    def __init__(
        self,
        queue: CommandQueue,
        ids: Ids,
        journal: Journal,
        timeout: float,
        require_writable: Callable[[], Awaitable[None]],
    ) -> None:
        self._queue = queue
        self._ids = ids
        self._journal = journal
        self._timeout = timeout
        self._in_time = SharedTimeout(timeout)
        self._require_writable = require_writable
        self._stopping = False

    def register_with(self, dispatcher: CommandDispatcher) -> None:
        for command_type in COMMANDS:
            dispatcher.register(command_type, self.handle)

    async def handle(self, command: PostCommand, context: CommandContext) -> CommandResult:
        check_caller(command)  # before the key is looked up, whose result belongs to its caller
        key = context.idempotency_key
        commit_id = commit_id_of(key.key) if key else self._ids.new()
        # The creator of a post generates its id. Imports derive it, and call `commit`.
        is_new_id = isinstance(command, CreatePost)
        return await self.commit(command.post_id, (command,), context, commit_id, is_new_id=is_new_id)

    async def commit(
        self,
        post_id: PostId,
        commands: Sequence[PostCommand],
        context: CommandContext,
        commit_id: str,
        *,
        is_new_id: bool = False,
    ) -> CommandResult:
        """Make one commit, all or nothing, of commands on one post. `is_new_id`: the id was generated for this post."""
        if self._stopping:
            raise Stopping(
                "This process is stopping and accepts no more commands; send it to another process, or retry later."
            )
        await self._require_writable()
        self._journal.record_received(commit_id)
        answer: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        request = Request(post_id, tuple(commands), context, commit_id, answer, is_new_id=is_new_id)
        self._queue.submit(request)
        try:
            with self._in_time.limit():
                return await request.answer
        except TimeoutError:
            raise StoreUnavailable(
                f"The event store did not confirm the command within {self._timeout:g} s; it may or may not be stored. "
                "Send it again with the same Idempotency-Key.",
                path="commands.timeout_seconds",
            ) from None

    async def stop(self) -> None:
        """Accept no more commands, and return when those in flight are answered."""
        self._stopping = True
        await self._queue.drain()

"""Two dictionaries, from command type and from query type to handler; filled at the composition root only."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from domain.commands import PostCommand
from domain.ids import CommentId, PostId

Result = TypeVar("Result")
Handler = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The client's key (1 to 255 visible ASCII characters) and the digest of the request that it came with."""

    key: str
    request_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandContext:
    """What accompanies a command. `expected_version` is the version in `If-Match`."""

    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    idempotency_key: IdempotencyKey | None = None
    expected_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """`version` is the stream's version, and `position` that of its commit. A command that is already in effect has no
    commit of its own: they are then those of the stream's last commit.
    """

    post_id: PostId
    version: int
    position: int
    comment_id: CommentId | None = None
    replayed: bool = False


class UnknownRequest(LookupError):
    """No handler is registered for this type: a bug in the wiring, never the caller's fault."""


class AlreadyRegistered(ValueError):
    """A second handler for one type."""


class Query(Generic[Result]):
    """Marks a query and names the type of its result."""

    __slots__ = ()


class _Registry:
    def __init__(self) -> None:
        self._handlers: dict[type, Handler] = {}

    def register(self, request_type: type, handler: Handler) -> None:
        if request_type in self._handlers:
            raise AlreadyRegistered(f"{request_type.__name__} has a handler already.")
        self._handlers[request_type] = handler

    def _handler_of(self, request: object) -> Handler:
        try:
            return self._handlers[type(request)]
        except KeyError:
            raise UnknownRequest(f"No handler is registered for {type(request).__name__}.") from None


class CommandDispatcher(_Registry):
    async def dispatch(self, command: PostCommand, context: CommandContext) -> CommandResult:
        """Pass the command to its handler. Returns when its outcome is durable."""
        result: CommandResult = await self._handler_of(command)(command, context)
        return result


class QueryDispatcher(_Registry):
    async def ask(self, query: Query[Result]) -> Result:
        """Pass the query to its handler."""
        answer: Result = await self._handler_of(query)(query)
        return answer

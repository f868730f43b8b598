"""One request to change a post on its way through decision and append, and what came of its decision."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from application.command_side.idempotency import REQUEST_DIGEST
from application.envelopes import ProposedCommit
from application.mediator import CommandContext, CommandResult
from domain.commands import AddComment, CreatePost, PostCommand
from domain.errors import PostlogError
from domain.ids import CommentId, PostId


@dataclass(eq=False, slots=True)
class Request:
    """Commands on one post that become one commit, all or nothing. `attempts` counts the versions lost to others.
    `is_new_id`: the post's id was made for this request, so the log can't hold anything of it."""

    post_id: PostId
    commands: tuple[PostCommand, ...]
    context: CommandContext
    commit_id: str
    answer: asyncio.Future[CommandResult]
    attempts: int = 0
    is_new_id: bool = False

    @property
    def comment_id(self) -> CommentId | None:
        first = self.commands[0]
        return first.comment_id if isinstance(first, AddComment) else None

    def metadata(self) -> Mapping[str, str]:
        key, context = self.context.idempotency_key, self.context
        known = {
            "actor": context.actor or _actor_of(self.commands[0]),
            "correlationId": context.correlation_id,
            "causationId": context.causation_id,
            "traceparent": context.traceparent,
            REQUEST_DIGEST: key.request_digest if key else None,
        }
        return {name: value for name, value in known.items() if value is not None}

    def settle(self, result: CommandResult | BaseException) -> None:
        """Answer the caller, unless he has gone."""
        if self.answer.done():
            return
        if isinstance(result, BaseException):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)


def _actor_of(command: PostCommand) -> str | None:
    return command.author if isinstance(command, CreatePost) else command.username


@dataclass(frozen=True, slots=True)
class Proposed:
    """It leads to this commit."""

    request: Request
    commit: ProposedCommit


@dataclass(frozen=True, slots=True)
class InEffect:
    """It is in effect already; nothing is appended."""

    request: Request


@dataclass(frozen=True, slots=True)
class Refused:
    """A rule, or `If-Match`, says no."""

    request: Request
    error: PostlogError = field(repr=False)


Decision = Proposed | InEffect | Refused

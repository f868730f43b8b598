"""`/story`: tells a small story into an empty log. It can be told again without anything happening twice: ids and
idempotency keys are the same each time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from litestar.types import ASGIApp

from application.mediator import CommandContext, CommandDispatcher, IdempotencyKey
from application.ports.system import Clock
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
from entrypoints.serving.request_digest import request_digest
from entrypoints.web.repair_day import (
    REPAIR_DAY,
    Corrects,
    Edits,
    Likes,
    Removes,
    Says,
    Step,
    TakesBack,
    Unlikes,
    Writes,
)
from entrypoints.web.routes import Route
from entrypoints.web.sending import commands_of
from entrypoints.web.services import WebServices
from entrypoints.web.visit import Visit, see_other

_STORY = UUID("3f0c1d5e-8a57-5a0e-9a3f-5f4b1c0a7d21")


@dataclass(frozen=True, slots=True)
class Story:
    services: WebServices

    def routes(self) -> list[Route]:
        return [Route("/story", submit=self.tell)]

    async def tell(self, visit: Visit) -> ASGIApp:
        await visit.form()
        position = await tell_story(commands_of(visit), self.services.clock, visit.exchange.correlation_id)
        return see_other(f"/?position={position}")


async def tell_story(commands: CommandDispatcher, clock: Clock, correlation_id: str) -> int:
    """Answers the position of the last commit. Raises what the commands' handler raises; told again, it goes on where
    it was broken off."""
    position, told_at = 0, clock.now()
    for name, steps in REPAIR_DAY.items():
        for number, command in enumerate(_commands(name, steps, told_at)):
            key = IdempotencyKey(f"story:{name}:{number}", request_digest("POST", "/story", f"{name}:{number}"))
            context = CommandContext(correlation_id=correlation_id, idempotency_key=key)
            position = max(position, (await commands.dispatch(command, context)).position)
        told_at += timedelta(milliseconds=len(steps))
    return position


def _commands(name: str, steps: Sequence[Step], told_at: datetime) -> Iterator[PostCommand]:
    """Each step a millisecond after the one before it: lists are in the order of time."""
    post_id = PostId(str(uuid5(_STORY, name)))
    author = next(step.author for step in steps if isinstance(step, Writes))
    for number, step in enumerate(steps):
        yield from _commands_of(step, name, post_id, author, told_at + timedelta(milliseconds=number))


def _commands_of(step: Step, name: str, post_id: PostId, author: str, now: datetime) -> list[PostCommand]:
    match step:
        case Writes():
            return [CreatePost(post_id=post_id, author=step.author, message=step.text, date_posted=now)]
        case Edits():
            return [EditMessage(post_id=post_id, message=step.text, username=author, edited_at=now)]
        case Likes():
            return [LikePost(post_id=post_id, username=liker) for liker in step.names]
        case Unlikes():
            return [UnlikePost(post_id=post_id, username=step.name)]
        case Removes():
            return [RemovePost(post_id=post_id, username=author)]
        case Says() | Corrects() | TakesBack():
            return [_comment_command(step, post_id, CommentId(str(uuid5(_STORY, f"{name}/{step.comment}"))), now)]


def _comment_command(
    step: Says | Corrects | TakesBack, post_id: PostId, comment_id: CommentId, now: datetime
) -> PostCommand:
    match step:
        case Says():
            return AddComment(
                post_id=post_id, comment_id=comment_id, comment=step.text, username=step.name, comment_date=now
            )
        case Corrects():
            return EditComment(
                post_id=post_id, comment_id=comment_id, comment=step.text, username=step.name, edit_date=now
            )
        case TakesBack():
            return RemoveComment(post_id=post_id, comment_id=comment_id, username=step.name)

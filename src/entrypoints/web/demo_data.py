"""`/story`: fills an empty log with demo posts about a neighbourhood repair day, with every kind of event. Repeating it
has no effect, because ids and idempotency keys are always the same."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid5

from litestar.types import ASGIApp

from application.mediator import CommandContext, CommandDispatcher, IdempotencyKey
from application.ports.system import Clock
from domain.callers import Caller
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
from entrypoints.serving.access import Access
from entrypoints.serving.request_context import request_digest
from entrypoints.web.form_commands import commands_of
from entrypoints.web.page_request import PageRequest, Route, see_other
from entrypoints.web.services import WebServices

_NAMESPACE = UUID("3f0c1d5e-8a57-5a0e-9a3f-5f4b1c0a7d21")


@dataclass(frozen=True, slots=True)
class DemoData:
    services: WebServices

    def routes(self) -> list[Route]:
        return [Route("/story", submit=self.write, access=Access.IMPORT)]

    async def write(self, request: PageRequest) -> ASGIApp:
        await request.form()
        context = request.context
        position = await write_demo_data(
            commands_of(request), self.services.clock, context.correlation_id, context.caller
        )
        return see_other(f"/?position={position}")


async def write_demo_data(
    commands: CommandDispatcher, clock: Clock, correlation_id: str, caller: Caller | None = None
) -> int:
    """Returns the position of the last commit. Raises the errors of the commands' handler; calling it again resumes
    where it stopped. Each step is a millisecond after the one before, because lists are sorted by time."""
    position, now = 0, clock.now()
    for name, steps in DEMO_POSTS.items():
        author = next(step.author for step in steps if isinstance(step, Create))
        number = 0
        for step in steps:
            for command in step.commands(_Post(name, author, now)):
                key = IdempotencyKey(f"story:{name}:{number}", request_digest("POST", "/story", f"{name}:{number}"))
                context = CommandContext(correlation_id=correlation_id, idempotency_key=key)
                result = await commands.dispatch(replace(command, caller=caller), context)
                position = max(position, result.position)
                number += 1
            now += timedelta(milliseconds=1)
    return position


@dataclass(frozen=True, slots=True)
class _Post:
    """`now` is the time of the step."""

    name: str
    author: str
    now: datetime

    @property
    def id(self) -> PostId:
        return PostId(str(uuid5(_NAMESPACE, self.name)))

    def comment_id(self, number: str) -> CommentId:
        return CommentId(str(uuid5(_NAMESPACE, f"{self.name}/{number}")))


class Step(Protocol):
    def commands(self, post: _Post) -> list[PostCommand]: ...


@dataclass(frozen=True, slots=True)
class Create:
    author: str
    text: str

    def commands(self, post: _Post) -> list[PostCommand]:
        return [CreatePost(post_id=post.id, author=self.author, message=self.text, date_posted=post.now)]


@dataclass(frozen=True, slots=True)
class Edit:
    text: str

    def commands(self, post: _Post) -> list[PostCommand]:
        return [EditMessage(post_id=post.id, message=self.text, username=post.author, edited_at=post.now)]


@dataclass(frozen=True, slots=True)
class Like:
    names: tuple[str | None, ...]

    def commands(self, post: _Post) -> list[PostCommand]:
        return [LikePost(post_id=post.id, username=name) for name in self.names]


@dataclass(frozen=True, slots=True)
class Unlike:
    name: str

    def commands(self, post: _Post) -> list[PostCommand]:
        return [UnlikePost(post_id=post.id, username=self.name)]


@dataclass(frozen=True, slots=True)
class Comment:
    number: str
    name: str
    text: str

    def commands(self, post: _Post) -> list[PostCommand]:
        return [
            AddComment(
                post_id=post.id,
                comment_id=post.comment_id(self.number),
                comment=self.text,
                username=self.name,
                comment_date=post.now,
            )
        ]


@dataclass(frozen=True, slots=True)
class CorrectComment:
    number: str
    name: str
    text: str

    def commands(self, post: _Post) -> list[PostCommand]:
        return [
            EditComment(
                post_id=post.id,
                comment_id=post.comment_id(self.number),
                comment=self.text,
                username=self.name,
                edit_date=post.now,
            )
        ]


@dataclass(frozen=True, slots=True)
class DeleteComment:
    number: str
    name: str

    def commands(self, post: _Post) -> list[PostCommand]:
        return [RemoveComment(post_id=post.id, comment_id=post.comment_id(self.number), username=self.name)]


@dataclass(frozen=True, slots=True)
class Remove:
    def commands(self, post: _Post) -> list[PostCommand]:
        return [RemovePost(post_id=post.id, username=post.author)]


DEMO_POSTS: dict[str, tuple[Step, ...]] = {
    "toaster": (
        Create("Tomás", "My toaster glows on one side only. Does anybody still repair such things?"),
        Comment("1", "Mira", "Bring it over. It will be a loose wire, it always is."),
        Like(("Mira", "Olu", None)),
        Edit(
            "My toaster glows on one side only. Does anybody still repair such things?\n\n"
            "Update: Mira did, in ten minutes. It was a loose wire."
        ),
        Like(("Ελένη",)),
    ),
    "idea": (
        Create("Mira", "What if we repaired things together, one Saturday a month, in the old tram depot?"),
        Like(("Tomás", "Olu", "Zoë", None, None)),
        Comment("1", "Olu", "I have forty chairs and nobody to sit on them."),
        Comment("2", "Zoë", "I can sew. Trousers, curtains, tents, no zips."),
        CorrectComment("2", "Zoë", "I can sew. Trousers, curtains, tents. All right, zips too."),
        Like(("Ben",)),
    ),
    "date": (
        Create("Mira", "First repair day: Saturday the 14th, ten o'clock, tram depot."),
        Comment("1", "Ben", "The depot is locked on the 14th, there is a wedding."),
        Edit("First repair day: Saturday the 21st, ten o'clock, tram depot. (Not the 14th: there is a wedding.)"),
        Comment("2", "Ben", "Better. I bring the soldering iron."),
        Like(("Ben", "Tomás", "Ελένη", "Olu")),
    ),
    "cake": (
        Create("Olu", "Who bakes? Last time I counted on cake I got three jars of pickles."),
        Comment("1", "Tomás", "Pickles are the cake of the savoury world."),
        DeleteComment("1", "Tomás"),
        Comment("2", "Tomás", "Lemon cake. Two of them."),
        Like(("Mira", "Zoë")),
        Unlike("Zoë"),
        Comment("3", "Zoë", "I took my like back: lemon is fine, poppy seed would be finer."),
    ),
    "lamp": (
        Create("Zoë", "SELLING: one lamp, green, hardly broken."),
        Like((None,)),
        Comment("1", "Mira", "Hardly broken is what the repair day is for!"),
        Remove(),
    ),
    "clock": (
        Create(
            "Ελένη",
            "Το ρολόι του παππού δουλεύει! My grandfather's clock runs again, after eleven years.\n\n"
            "Ben found the fault. He says that the clock had been right twice a day all along, and that he only "
            "improved the average.",
        ),
        Like(("Ben", "Mira", "Tomás", "Olu", "Zoë", None, None, None)),
        Comment("1", "Ben", "It was a pleasure. It also was a dead spider."),
        Comment("2", "Olu", "Rest in peace, spider."),
    ),
    "tally": (
        Create("Mira", "21 things brought, 17 repaired, 3 given up, 1 turned out to be on the wrong voltage."),
        Like(("Olu", "Ben", "Zoë", None)),
        Comment("1", "Tomás", "And two lemon cakes, of which nothing is left to repair."),
        Edit(
            "21 things brought, 18 repaired, 2 given up, 1 turned out to be on the wrong voltage.\n\n"
            "(The radio came back to life on the way home.)"
        ),
        Comment("2", "Ελένη", "Next month again?"),
        Comment("3", "Mira", "Next month again."),
    ),
}

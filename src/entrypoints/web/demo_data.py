"""The small story that an empty log is filled with: a street that plans a repair day. It shows every kind of event.

`/story`: tells a small story into an empty log. It can be told again without anything happening twice: ids and
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
from entrypoints.serving.request_context import request_digest
from entrypoints.web.form_commands import commands_of
from entrypoints.web.page_request import PageRequest, Route, see_other
from entrypoints.web.services import WebServices


@dataclass(frozen=True, slots=True)
class Writes:
    author: str
    text: str


@dataclass(frozen=True, slots=True)
class Edits:
    text: str


@dataclass(frozen=True, slots=True)
class Likes:
    names: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Unlikes:
    name: str


@dataclass(frozen=True, slots=True)
class Says:
    comment: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Corrects:
    comment: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class TakesBack:
    comment: str
    name: str


@dataclass(frozen=True, slots=True)
class Removes:
    """The author removes the post."""


Step = Writes | Edits | Likes | Unlikes | Says | Corrects | TakesBack | Removes

REPAIR_DAY: dict[str, tuple[Step, ...]] = {
    "toaster": (
        Writes("Tomás", "My toaster glows on one side only. Does anybody still repair such things?"),
        Says("1", "Mira", "Bring it over. It will be a loose wire, it always is."),
        Likes(("Mira", "Olu", None)),
        Edits(
            "My toaster glows on one side only. Does anybody still repair such things?\n\n"
            "Update: Mira did, in ten minutes. It was a loose wire."
        ),
        Likes(("Ελένη",)),
    ),
    "idea": (
        Writes("Mira", "What if we repaired things together, one Saturday a month, in the old tram depot?"),
        Likes(("Tomás", "Olu", "Zoë", None, None)),
        Says("1", "Olu", "I have forty chairs and nobody to sit on them."),
        Says("2", "Zoë", "I can sew. Trousers, curtains, tents, no zips."),
        Corrects("2", "Zoë", "I can sew. Trousers, curtains, tents. All right, zips too."),
        Likes(("Ben",)),
    ),
    "date": (
        Writes("Mira", "First repair day: Saturday the 14th, ten o'clock, tram depot."),
        Says("1", "Ben", "The depot is locked on the 14th, there is a wedding."),
        Edits("First repair day: Saturday the 21st, ten o'clock, tram depot. (Not the 14th: there is a wedding.)"),
        Says("2", "Ben", "Better. I bring the soldering iron."),
        Likes(("Ben", "Tomás", "Ελένη", "Olu")),
    ),
    "cake": (
        Writes("Olu", "Who bakes? Last time I counted on cake I got three jars of pickles."),
        Says("1", "Tomás", "Pickles are the cake of the savoury world."),
        TakesBack("1", "Tomás"),
        Says("2", "Tomás", "Lemon cake. Two of them."),
        Likes(("Mira", "Zoë")),
        Unlikes("Zoë"),
        Says("3", "Zoë", "I took my like back: lemon is fine, poppy seed would be finer."),
    ),
    "lamp": (
        Writes("Zoë", "SELLING: one lamp, green, hardly broken."),
        Likes((None,)),
        Says("1", "Mira", "Hardly broken is what the repair day is for!"),
        Removes(),
    ),
    "clock": (
        Writes(
            "Ελένη",
            "Το ρολόι του παππού δουλεύει! My grandfather's clock runs again, after eleven years.\n\n"
            "Ben found the fault. He says that the clock had been right twice a day all along, and that he only "
            "improved the average.",
        ),
        Likes(("Ben", "Mira", "Tomás", "Olu", "Zoë", None, None, None)),
        Says("1", "Ben", "It was a pleasure. It also was a dead spider."),
        Says("2", "Olu", "Rest in peace, spider."),
    ),
    "tally": (
        Writes("Mira", "21 things brought, 17 repaired, 3 given up, 1 turned out to be on the wrong voltage."),
        Likes(("Olu", "Ben", "Zoë", None)),
        Says("1", "Tomás", "And two lemon cakes, of which nothing is left to repair."),
        Edits(
            "21 things brought, 18 repaired, 2 given up, 1 turned out to be on the wrong voltage.\n\n"
            "(The radio came back to life on the way home.)"
        ),
        Says("2", "Ελένη", "Next month again?"),
        Says("3", "Mira", "Next month again."),
    ),
}


_STORY = UUID("3f0c1d5e-8a57-5a0e-9a3f-5f4b1c0a7d21")


@dataclass(frozen=True, slots=True)
class DemoData:
    services: WebServices

    def routes(self) -> list[Route]:
        return [Route("/story", submit=self.tell)]

    async def tell(self, visit: PageRequest) -> ASGIApp:
        await visit.form()
        position = await write_demo_data(commands_of(visit), self.services.clock, visit.exchange.correlation_id)
        return see_other(f"/?position={position}")


async def write_demo_data(commands: CommandDispatcher, clock: Clock, correlation_id: str) -> int:
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

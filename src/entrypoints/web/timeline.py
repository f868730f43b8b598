"""A window of a post's events, in words: as many as a page takes, around the version that is looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from application.mediator import QueryDispatcher
from application.query_side.queries import ListEvents, PastEvent
from domain.ids import PostId

WINDOW = 24
_SHOWN = 240

_WORDS: Mapping[str, str] = {
    "PostCreated": "wrote the post",
    "MessageUpdated": "edited the message",
    "PostLiked": "liked the post",
    "PostUnliked": "took the like back",
    "CommentAdded": "commented",
    "CommentUpdated": "edited a comment",
    "CommentRemoved": "removed a comment",
    "PostRemoved": "removed the post",
}
_KINDS: Mapping[str, str] = {
    "PostCreated": "post",
    "MessageUpdated": "post",
    "PostLiked": "like",
    "PostUnliked": "like",
    "CommentAdded": "comment",
    "CommentUpdated": "comment",
    "CommentRemoved": "comment",
    "PostRemoved": "removal",
}


@dataclass(frozen=True, slots=True)
class Told:
    """An event for people. `words` is the end of a sentence that begins with its actor; `kind` chooses its colour;
    `data` has texts cut to what a list shows."""

    event: PastEvent
    words: str
    kind: str
    data: Mapping[str, str]

    @property
    def was_upcast(self) -> bool:
        """It is stored in an older shape than the one it is read in."""
        event = self.event
        return (event.stored_type, event.stored_schema_version) != (event.type, event.schema_version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Oldest first. `earlier` and `later` say which window is next in that direction: what to ask for as `after`."""

    events: Sequence[Told]
    earlier: int | None
    later: int | None


async def timeline(queries: QueryDispatcher, post_id: PostId, last: int, around: int, after: int | None) -> Timeline:
    """The window behind version `after`; when that is None, the one with `around` in its middle."""
    begin = min(max(0, around - WINDOW // 2 if after is None else after), max(0, last - 1))
    begin = begin if after is not None else max(0, min(begin, last - WINDOW))
    page = await queries.ask(ListEvents(post_id=post_id, limit=WINDOW, after=begin))
    end = page.events[-1].version if page.events else begin
    return Timeline(
        events=[told(event) for event in page.events],
        earlier=max(0, begin - WINDOW) if begin else None,
        later=end if end < last else None,
    )


def told(event: PastEvent) -> Told:
    return Told(
        event=event,
        words=_WORDS.get(event.type, "did something that this version has no words for"),
        kind=_KINDS.get(event.type, "other"),
        data={name: _shown(value) for name, value in event.data.items()},
    )


def _shown(value: Any) -> str:
    if value is None:
        return "—"
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

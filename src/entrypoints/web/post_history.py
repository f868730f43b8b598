"""The history of a post for its page: one version of the post with what its event changed (`PostAsOf`), and a window of
its events in words (`Timeline`)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from application.mediator import QueryDispatcher
from application.query_side.history import ListEvents, PastEvent
from application.query_side.posts import PostDetail
from application.query_side.posts_as_of import GetPostAsOf
from application.rows import CommentRow, PostRow
from domain.errors import PostNotFound
from domain.ids import PostId
from entrypoints.web.text_diff import Piece, pieces

WINDOW = 24
_SHOWN = 240

_WORDS: Mapping[str, str] = {
    "PostCreated": "wrote the post",
    "MessageUpdated": "edited the message",
    "PostLiked": "liked the post",
    "PostUnliked": "removed the like",
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
class TimelineEntry:
    """An event in words. `words` continues a sentence that begins with its actor; `kind` selects the colour; the texts
    of `data` are cut to the length that a list shows."""

    event: PastEvent
    words: str
    kind: str
    data: Mapping[str, str]

    @property
    def was_upcast(self) -> bool:
        """Whether it is stored in an older shape than it is read in."""
        event = self.event
        return (event.stored_type, event.stored_schema_version) != (event.type, event.schema_version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Oldest first. `earlier` and `later` are the `after` of the windows before and after this one."""

    events: Sequence[TimelineEntry]
    earlier: int | None
    later: int | None


async def timeline(queries: QueryDispatcher, post_id: PostId, last: int, around: int, after: int | None) -> Timeline:
    """The window after version `after`; if that is None, the one around version `around`."""
    begin = min(max(0, around - WINDOW // 2 if after is None else after), max(0, last - 1))
    begin = begin if after is not None else max(0, min(begin, last - WINDOW))
    page = await queries.ask(ListEvents(post_id=post_id, limit=WINDOW, after=begin))
    end = page.events[-1].version if page.events else begin
    return Timeline(
        events=[timeline_entry(event) for event in page.events],
        earlier=max(0, begin - WINDOW) if begin else None,
        later=end if end < last else None,
    )


def timeline_entry(event: PastEvent) -> TimelineEntry:
    return TimelineEntry(
        event=event,
        words=_WORDS.get(event.type, "made a change that this version can't describe"),
        kind=_KINDS.get(event.type, "other"),
        data={name: _shown(value) for name, value in event.data.items()},
    )


def _shown(value: Any) -> str:
    if value is None:
        return "—"
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


_NEEDS_BEFORE = ("MessageUpdated", "CommentUpdated", "CommentRemoved", "PostRemoved")


@dataclass(frozen=True, slots=True)
class Change:
    """What a page marks as changed. `comment_id` is the comment that was added, edited or removed; `likes` is how their
    number changed; `message` and `comment` are the pieces of an edited text: kept, added and removed."""

    types: frozenset[str] = frozenset()
    likes: int = 0
    message: Sequence[Piece] = ()
    comment_id: str | None = None
    comment: Sequence[Piece] = ()
    removed_comment: CommentRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostAsOf:
    """`post` is None before it was created and after it was removed; then `before` is its last state. `comments` are
    the newest 100 at that version, `events` those of this version."""

    version: int
    post: PostRow | None
    comments: Sequence[CommentRow] = ()
    before: PostRow | None = None
    events: Sequence[TimelineEntry] = ()
    change: Change = field(default_factory=Change)

    @property
    def shown(self) -> PostRow | None:
        return self.post or self.before


async def post_as_of(queries: QueryDispatcher, post_id: PostId, version: int) -> PostAsOf:
    """Computed from the log. Folds the post's events once, or twice if an event changed or removed something. Raises
    `EventNotReadable`."""
    found = await _as_of(queries, post_id, version)
    events = await _events_at(queries, post_id, version)
    before = None
    if version > 1 and any(event.type in _NEEDS_BEFORE for event in events):
        before = await _as_of(queries, post_id, version - 1)
    return PostAsOf(
        version=version,
        post=found.post if found else None,
        comments=found.comments if found else (),
        before=before.post if before else None,
        events=[timeline_entry(event) for event in events],
        change=await asyncio.to_thread(_change, events, found, before),
    )


async def _as_of(queries: QueryDispatcher, post_id: PostId, version: int) -> PostDetail | None:
    try:
        return await queries.ask(GetPostAsOf(post_id=post_id, version=version))
    except PostNotFound:
        return None


async def _events_at(queries: QueryDispatcher, post_id: PostId, version: int) -> Sequence[PastEvent]:
    """Several after an upcaster has split one event, none if it has dropped the event."""
    page = await queries.ask(ListEvents(post_id=post_id, limit=1, after=version - 1))
    return [event for event in page.events if event.version == version]


def _change(events: Sequence[PastEvent], found: PostDetail | None, before: PostDetail | None) -> Change:
    types = frozenset(event.type for event in events)
    touched = next((str(event.data["commentId"]) for event in events if "commentId" in event.data), None)
    was, now = _comment(before, touched), _comment(found, touched)
    return Change(
        types=types,
        likes=sum({"PostLiked": 1, "PostUnliked": -1}.get(event.type, 0) for event in events),
        message=_edit_of_message(types, before, found),
        comment_id=touched,
        comment=pieces(was.comment, now.comment) if was and now else (),
        removed_comment=was if was and not now else None,
    )


def _edit_of_message(types: frozenset[str], before: PostDetail | None, found: PostDetail | None) -> Sequence[Piece]:
    if "MessageUpdated" not in types or before is None or found is None:
        return ()
    return pieces(before.post.message, found.post.message)


def _comment(answer: PostDetail | None, comment_id: str | None) -> CommentRow | None:
    rows = answer.comments if answer else ()
    return next((row for row in rows if row.comment_id == comment_id), None)

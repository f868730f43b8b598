"""A post at one of its versions, and what the event that led there changed: the time machine's arithmetic."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from application.mediator import QueryDispatcher
from application.query_side.queries import GetPostAsOf, ListEvents, PastEvent, PostAnswer
from application.rows import CommentRow, PostRow
from domain.errors import PostNotFound
from domain.ids import PostId
from entrypoints.web.differences import Piece, pieces
from entrypoints.web.timeline import Told, told

_NEEDS_BEFORE = ("MessageUpdated", "CommentUpdated", "CommentRemoved", "PostRemoved")


@dataclass(frozen=True, slots=True)
class Change:
    """What to mark. `comment_id` is that of the comment that was touched; `likes` is by how many they changed;
    `message` and `comment` tell an edited text as pieces kept, added and taken out."""

    types: frozenset[str] = frozenset()
    likes: int = 0
    message: Sequence[Piece] = ()
    comment_id: str | None = None
    comment: Sequence[Piece] = ()
    removed_comment: CommentRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """`post` is None before there was one, and when it was removed; `before` is then what it was last. `comments` are
    the newest 100 of that time. `events` are those that led to this version."""

    version: int
    post: PostRow | None
    comments: Sequence[CommentRow] = ()
    before: PostRow | None = None
    events: Sequence[Told] = ()
    change: Change = field(default_factory=Change)

    @property
    def shown(self) -> PostRow | None:
        return self.post or self.before


async def moment_at(queries: QueryDispatcher, post_id: PostId, version: int) -> Moment:
    """Computed from the log. Folds the post's events once, twice where an event took something away. Raises
    `EventNotReadable`."""
    found = await _as_of(queries, post_id, version)
    events = await _events_at(queries, post_id, version)
    before = None
    if version > 1 and any(event.type in _NEEDS_BEFORE for event in events):
        before = await _as_of(queries, post_id, version - 1)
    return Moment(
        version=version,
        post=found.post if found else None,
        comments=found.comments if found else (),
        before=before.post if before else None,
        events=[told(event) for event in events],
        change=await asyncio.to_thread(_change, events, found, before),
    )


async def _as_of(queries: QueryDispatcher, post_id: PostId, version: int) -> PostAnswer | None:
    try:
        return await queries.ask(GetPostAsOf(post_id=post_id, version=version))
    except PostNotFound:
        return None


async def _events_at(queries: QueryDispatcher, post_id: PostId, version: int) -> Sequence[PastEvent]:
    """Several share a version after a split, none has it when it was dropped."""
    page = await queries.ask(ListEvents(post_id=post_id, limit=1, after=version - 1))
    return [event for event in page.events if event.version == version]


def _change(events: Sequence[PastEvent], found: PostAnswer | None, before: PostAnswer | None) -> Change:
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


def _edit_of_message(types: frozenset[str], before: PostAnswer | None, found: PostAnswer | None) -> Sequence[Piece]:
    if "MessageUpdated" not in types or before is None or found is None:
        return ()
    return pieces(before.post.message, found.post.message)


def _comment(answer: PostAnswer | None, comment_id: str | None) -> CommentRow | None:
    rows = answer.comments if answer else ()
    return next((row for row in rows if row.comment_id == comment_id), None)

"""A log as a used service has it: one event a commit, 200 posts in use at a time, every type of event in it, likes and
comments above all. The same every time.

`expected` folds it once more, without any of the program's code: what a rebuild made is compared with that.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from adapters.wire.event_codec import MsgspecEventCodec
from application.envelopes import ProposedCommit
from domain.events import (
    CommentAdded,
    CommentRemoved,
    CommentUpdated,
    MessageUpdated,
    PostCreated,
    PostEvent,
    PostLiked,
    PostRemoved,
    PostUnliked,
)
from domain.ids import CommentId, PostId

_OPEN_POSTS = 200
_START = datetime(2026, 1, 1, tzinfo=UTC)
_TEXT = "The quick brown fox jumps over the lazy dog, und dann ruht er aus. " * 2


@dataclass(slots=True)
class ExpectedPost:
    """`comments` are the ids of those that are there; None as `message`: it was removed."""

    message: str | None
    likes: int = 0
    version: int = 0
    comments: set[str] = field(default_factory=set)


def post_id(number: int) -> PostId:
    """As UUIDv7s are: later ones sort later."""
    return PostId(f"0198c0de-{number >> 16:04x}-7000-8000-{number:012x}")


def commits(count: int, first_post: int = 0) -> Iterator[ProposedCommit]:
    """The commits at positions 1 to `count`."""
    codec = MsgspecEventCodec()
    for number, (stream_id, version, event) in enumerate(_events(count, first_post), 1):
        yield ProposedCommit(
            stream_id=stream_id,
            version=version,
            commit_id=f"0198c0df-0000-7000-8000-{first_post + number:012x}",
            recorded_at=_START + timedelta(milliseconds=number),
            metadata={"actor": "ann", "correlationId": f"{number:032x}"},
            events=codec.encode([event]),
        )


def _events(count: int, first_post: int) -> Iterator[tuple[PostId, int, PostEvent]]:
    chance = random.Random(1)
    posts = first_post
    streams: list[tuple[PostId, Iterator[tuple[int, PostEvent]]]] = []
    for number in range(count):
        if len(streams) < _OPEN_POSTS:
            posts += 1
            streams.append((post_id(posts), enumerate(_life_of(posts, _START + timedelta(seconds=number)), 1)))
            place = len(streams) - 1
        else:
            place = chance.randrange(_OPEN_POSTS)
        stream_id, life = streams[place]
        version, event = next(life)
        yield stream_id, version, event
        if version == _EVENTS_A_POST:
            streams.pop(place)


_EVENTS_A_POST = 20


def _life_of(post: int, when: datetime) -> Iterator[PostEvent]:
    """Twenty events. Of ten posts, one ends by being removed, one with a comment removed, the others with a like."""
    comments = [CommentId(f"0198c0e0-{post >> 16:04x}-7000-8000-{post:08x}{place:04x}") for place in range(4)]
    yield PostCreated(author=f"author-{post % 1_000}", message=f"{post}: {_TEXT}", date_posted=when)
    for place, comment in enumerate(comments):
        yield PostLiked(username=None)
        yield PostLiked(username=f"user-{place}")
        yield CommentAdded(comment_id=comment, comment=_TEXT, username=f"user-{place}", comment_date=when)
        yield PostLiked(username=f"fan-{place}")
    yield MessageUpdated(message=f"{post}: edited", username=f"author-{post % 1_000}", edited_at=when)
    yield CommentUpdated(comment_id=comments[1], comment="edited", username="user-1", edit_date=when)
    match post % 10:
        case 0:
            yield PostRemoved(username=f"author-{post % 1_000}")
        case 1:
            yield CommentRemoved(comment_id=comments[0], username="user-0")
        case 2:
            yield PostUnliked(username="user-0")
        case _:
            yield PostLiked(username="late")


def expected(log: Iterable[ProposedCommit]) -> dict[str, ExpectedPost]:
    posts: dict[str, ExpectedPost] = {}
    for commit in log:
        for version, event in enumerate(commit.events, commit.version):
            if event.type == "PostCreated":
                posts[commit.stream_id] = ExpectedPost(event.data["message"])
            post = posts[commit.stream_id]
            post.version = version
            match event.type:
                case "PostLiked":
                    post.likes += 1
                case "PostUnliked":
                    post.likes -= 1
                case "MessageUpdated":
                    post.message = event.data["message"]
                case "CommentAdded":
                    post.comments.add(event.data["commentId"])
                case "CommentRemoved":
                    post.comments.remove(event.data["commentId"])
                case "PostRemoved":
                    post.message, post.comments = None, set()
                case _:
                    pass
    return posts

"""Shapes that this domain never had, and the chain that reads them: a split, a merge, a rename and a drop, beside the
steps that there really are. `STORIES` are histories in them, each beside what they say in today's shapes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from adapters.wire.event_codec import MsgspecEventCodec
from application.envelopes import ProposedCommit, StoredEvent
from domain.ids import PostId
from domain.upcasters import STEPS
from domain.upcasting import Part, UpcasterChain, drop_event, merge_events, rename_event, split_event
from given import COMMENT, NOON, POST

NOON_TEXT = "2026-11-23T12:00:00.123Z"

CHAIN = UpcasterChain(
    (
        split_event(
            ("PostCreatedAndLiked", 1),
            Part(("PostCreated", 1), lambda data: {key: data[key] for key in ("author", "message", "datePosted")}),
            Part(("PostLiked", 2), lambda data: {"username": data["likedBy"]}),
        ),
        merge_events(
            ("PostDrafted", 1),
            ("PostPublished", 1),
            ("PostCreated", 1),
            lambda drafted, published: {**drafted, **published},
        ),
        rename_event(("PostPraised", 1), ("PostLiked", 1)),
        drop_event(("PostViewed", 1)),
        *STEPS,
    )
)

CODEC = MsgspecEventCodec(CHAIN)


def event(name: str, version: int, **data: Any) -> StoredEvent:
    return StoredEvent(name, version, data)


CREATED = event("PostCreated", 1, author="Ann", message="Hello", datePosted=NOON_TEXT)
CREATED_AND_LIKED = event("PostCreatedAndLiked", 1, author="Ann", message="Hello", datePosted=NOON_TEXT, likedBy="Bob")
DRAFTED = event("PostDrafted", 1, author="Ann", datePosted=NOON_TEXT)
PUBLISHED = event("PostPublished", 1, message="Hello")
LIKED_BY_BOB = event("PostLiked", 2, username="Bob")
LIKED_BY_NOBODY = event("PostLiked", 2, username=None)
COMMENTED = event("CommentAdded", 1, commentId=COMMENT, comment="Nice", username="Bob", commentDate=NOON_TEXT)

Events = Sequence[StoredEvent]


@dataclass(frozen=True)
class Story:
    """What is stored, commit by commit, and the same in today's shapes."""

    stored: Sequence[Events]
    today: Sequence[Events]


STORIES = {
    "split": Story([[CREATED_AND_LIKED], [COMMENTED]], [[CREATED, LIKED_BY_BOB], [COMMENTED]]),
    "split-among-others": Story(
        [[CREATED_AND_LIKED, LIKED_BY_NOBODY, COMMENTED]], [[CREATED, LIKED_BY_BOB, LIKED_BY_NOBODY, COMMENTED]]
    ),
    "merge": Story([[DRAFTED, PUBLISHED], [LIKED_BY_BOB]], [[CREATED], [LIKED_BY_BOB]]),
    "merge-among-others": Story(
        [[DRAFTED, PUBLISHED, COMMENTED, LIKED_BY_NOBODY]], [[CREATED, COMMENTED, LIKED_BY_NOBODY]]
    ),
    "drop": Story([[CREATED], [event("PostViewed", 1)], [LIKED_BY_BOB]], [[CREATED], [LIKED_BY_BOB]]),
    "drop-among-others": Story([[CREATED, event("PostViewed", 1), LIKED_BY_BOB]], [[CREATED, LIKED_BY_BOB]]),
    "rename-then-add-a-field": Story([[CREATED], [event("PostPraised", 1)]], [[CREATED], [LIKED_BY_NOBODY]]),
    "old-versions": Story(
        [
            [CREATED],
            [COMMENTED],
            [event("PostLiked", 1), event("MessageUpdated", 1, message="Hello again")],
            [event("CommentRemoved", 1, commentId=COMMENT)],
            [event("PostRemoved", 1)],
        ],
        [
            [CREATED],
            [COMMENTED],
            [LIKED_BY_NOBODY, event("MessageUpdated", 2, message="Hello again", username=None, editedAt=None)],
            [event("CommentRemoved", 2, commentId=COMMENT, username=None)],
            [event("PostRemoved", 2, username=None)],
        ],
    ),
}


def commits(history: Sequence[Events], post_id: PostId = POST) -> list[ProposedCommit]:
    """The same post and version give the same commit id."""
    proposed: list[ProposedCommit] = []
    for events in history:
        version = proposed[-1].last_version + 1 if proposed else 1
        proposed.append(
            ProposedCommit(
                stream_id=post_id,
                version=version,
                commit_id=str(uuid5(UUID(post_id), str(version))),
                recorded_at=NOON,
                metadata={},
                events=tuple(events),
            )
        )
    return proposed

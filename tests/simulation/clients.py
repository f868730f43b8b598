"""The commands that clients send."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from application.mediator import CommandContext, IdempotencyKey
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

USERS = ("Ann", "Bob", "Eve")
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def post_id(number: int) -> PostId:
    return PostId(str(UUID(int=0x019B_0000_0000_7000_8000_0000_0000_0000 + number * 0x9E37_79B9)))


def comment_id(number: int) -> CommentId:
    return CommentId(str(UUID(int=0x019C_0000_0000_7000_8000_0000_0000_0000 + number)))


@dataclass(slots=True)
class Commands:
    """Draws commands that often meet each other."""

    random: Random
    posts: Sequence[PostId]
    removes: bool
    _comments: int = 0
    _texts: int = 0

    def create(self, post: PostId) -> CreatePost:
        return CreatePost(post_id=post, author="Ann", message=f"post {self.random.choice((1, 1, 2))}", date_posted=NOON)

    def draw_several(self) -> list[PostCommand]:
        """For one post."""
        post = self.random.choice(self.posts)
        return [self.draw(post) for _ in range(self.random.randint(2, 5))]

    def draw(self, post: PostId | None = None) -> PostCommand:
        random = self.random
        post, user = post or random.choice(self.posts), random.choice(USERS)
        self._texts += 1
        text, date = f"text {self._texts if random.random() < 0.8 else 0}", NOON + timedelta(seconds=self._texts)
        commands: list[tuple[int, PostCommand]] = [
            (4, CreatePost(post_id=post, author="Ann", message=f"post {random.choice((1, 1, 2))}", date_posted=date)),
            (6, LikePost(post_id=post, username=random.choice((user, None)))),
            (4, UnlikePost(post_id=post, username=user)),
            (4, EditMessage(post_id=post, message=text, username=random.choice(("Ann", user)), edited_at=date)),
            (3, self._comment(post, text, user, date)),
            (3, EditComment(post_id=post, comment_id=self._known(), comment=text, username=user, edit_date=date)),
            (3, RemoveComment(post_id=post, comment_id=self._known(), username=user)),
            (1 if self.removes else 0, RemovePost(post_id=post, username=random.choice(("Ann", user)))),
        ]
        return random.choices([each for _, each in commands], [weight for weight, _ in commands])[0]

    def _comment(self, post: PostId, text: str, user: str, date: datetime) -> AddComment:
        if self.random.random() < 0.8:
            self._comments += 1
        return AddComment(
            post_id=post, comment_id=comment_id(self._comments), comment=text, username=user, comment_date=date
        )

    def _known(self) -> CommentId:
        return comment_id(self.random.randint(0, max(1, self._comments)))


def context_of(correlation_id: str, key: str | None, digest: str, expected_version: int | None) -> CommandContext:
    return CommandContext(
        correlation_id=correlation_id,
        idempotency_key=IdempotencyKey(key, digest) if key is not None else None,
        expected_version=expected_version,
    )

"""One post with all its comments, folded in memory: for what is not a batch (audit, repair, the post as it was)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from application.envelopes import VersionedEvent
from application.projections.post import evolve, seal, touched_comment
from application.rows import CommentRow, PostRow, PostStatus
from domain.ids import CommentId, PostId


@dataclass(slots=True)
class WholePost:
    """`post` is None before the first commit."""

    post_id: PostId
    post: PostRow | None = None
    comments: dict[CommentId, CommentRow] = field(default_factory=dict)

    @property
    def version(self) -> int:
        return self.post.version if self.post is not None else 0

    def apply(self, events: Iterable[VersionedEvent], version: int) -> None:
        """The events up to stored version `version`. Raises `EventNotApplicable`; the post is then as it was."""
        post, changed = self.post, dict[CommentId, CommentRow | None]()
        for versioned in events:
            comment_id = touched_comment(versioned.event)
            if comment_id is None:
                post, _ = evolve(self.post_id, post, None, versioned.event)
            else:
                before = changed[comment_id] if comment_id in changed else self.comments.get(comment_id)
                post, changed[comment_id] = evolve(self.post_id, post, before, versioned.event)
        self.post = seal(self.post_id, post, version)
        self._change_comments(changed, self.post.status)

    def _change_comments(self, changed: dict[CommentId, CommentRow | None], status: PostStatus) -> None:
        for comment_id, comment in changed.items():
            if comment is None:
                self.comments.pop(comment_id, None)
            else:
                self.comments[comment_id] = comment
        if status is PostStatus.REMOVED:
            self.comments.clear()

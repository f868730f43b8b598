"""One post with all its comments, folded in memory: for what is not a batch (audit, repair, the post as it was)."""

from collections.abc import Mapping, Sequence

from application.envelopes import VersionedEvent
from application.projections.post import PostFold
from application.rows import CommentRow, PostRow
from domain.ids import CommentId, PostId


class WholePost:
    """`post` is None before the first commit."""

    def __init__(self, post_id: PostId) -> None:
        self._fold = PostFold.begin(post_id, _none_stored)

    def copy(self) -> "WholePost":
        """On which more can be applied; this one stays as it is."""
        copied = WholePost(self.post_id)
        copied._fold = self._fold.copy()
        return copied

    @property
    def post_id(self) -> PostId:
        return self._fold.post_id

    @property
    def post(self) -> PostRow | None:
        return self._fold.row if self._fold.version else None

    @property
    def comments(self) -> Mapping[CommentId, CommentRow]:
        return {key: comment for key, comment in self._fold.comments.items() if comment is not None}

    @property
    def version(self) -> int:
        return self._fold.version

    def apply(self, events: Sequence[VersionedEvent], version: int) -> None:
        """The events up to stored version `version`. Raises `EventNotApplicable`; the post is then as it was."""
        self._fold.apply(events, version)


def _none_stored(_: CommentId) -> None:
    return None

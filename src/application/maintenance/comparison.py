"""Compares one stream with its row: folds the stream up to the row's version, and names every field that differs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from application.envelopes import AnyCommit
from application.errors import EventNotApplicable, StreamDamaged
from application.log_order import require_next
from application.ports.audit_rows import AuditedPost
from application.projections.post import WholePost
from application.rows import CommentRow, PostRow
from domain.errors import EventNotReadable
from domain.events import PostEvent
from domain.ids import PostId

_POST_FIELDS = ("status", "author", "date_posted", "message", "likes", "comments_count")
_COMMENT_FIELDS = ("username", "comment", "comment_date", "edited")


@dataclass(frozen=True, slots=True)
class Difference:
    """`field` is a column of the post, `comments[<id>]` or a column of it, `row`, or `log`: the log itself is damaged
    at the post, so its row can't be compared."""

    post_id: PostId
    field: str
    expected: str
    found: str


@dataclass(slots=True)
class StreamFold:
    """Fed with a stream's commits in order, it folds up to the version of `audited`, its row; without a row it folds
    nothing. `position` is the database's: commits at or below it must be in the row, so its version is at least `due`.
    `damage` is what is wrong with the stream itself, whatever the version of its row."""

    audited: AuditedPost | None
    position: int
    folded: WholePost
    due: int = 0
    unreadable: str | None = None
    damage: str | None = None
    seen_version: int = 0

    @classmethod
    def of(cls, post_id: PostId, audited: AuditedPost | None, position: int) -> Self:
        return cls(audited, position, WholePost(post_id))

    @property
    def post_id(self) -> PostId:
        return self.folded.post_id

    def feed(self, commit: AnyCommit, events: Sequence[PostEvent] | EventNotReadable) -> None:
        self._check_order(commit)
        if commit.position <= self.position:
            self.due = commit.last_version
        if self.audited is None or commit.last_version > self.audited.post.version or self.unreadable or self.damage:
            return
        try:
            if isinstance(events, EventNotReadable):
                raise events
            self.folded.apply(events, commit.last_version)
        except (EventNotReadable, EventNotApplicable) as error:
            self.unreadable = error.message

    def _check_order(self, commit: AnyCommit) -> None:
        try:
            require_next(commit, self.seen_version)
        except StreamDamaged as error:
            self.damage = self.damage or error.message
        self.seen_version = max(self.seen_version, commit.last_version)

    def differences(self) -> list[Difference]:
        if self.damage is not None:
            return [self._difference("log", "versions 1, 2, 3 … without gap", self.damage)]
        if self.audited is None:
            return [self._difference("row", f"a row at version {self.due} or later", "no row")] if self.due else []
        return list(self._of_the_row(self.audited))

    def _of_the_row(self, audited: AuditedPost) -> Iterator[Difference]:
        found = audited.post.version
        if self.unreadable is not None:
            yield self._difference("version", f"an earlier one, since {self.unreadable}", str(found))
        elif self.folded.post is None:
            yield self._difference("row", "no row: the log has no such post", f"a row at version {found}")
        elif self.folded.version != found:
            ends = f"one that ends a commit of the log, such as {self.folded.version}"
            yield self._difference("version", ends, str(found))
        else:
            if found < self.due:
                yield self._difference("version", f"{self.due} or later", str(found))
            yield from self._of_the_fields(self.folded.post, audited)

    def _of_the_fields(self, post: PostRow, audited: AuditedPost) -> Iterator[Difference]:
        yield from self._fields(post, audited.post, _POST_FIELDS, "")
        found = {comment.comment_id: comment for comment in audited.comments}
        expected = self.folded.comments
        for comment_id in sorted(expected.keys() | found.keys()):
            path = f"comments[{comment_id}]"
            if comment_id not in found:
                yield self._difference(path, "a comment", "none")
            elif comment_id not in expected:
                yield self._difference(path, "none", "a comment")
            else:
                yield from self._fields(expected[comment_id], found[comment_id], _COMMENT_FIELDS, f"{path}.")

    def _fields(
        self, expected: PostRow | CommentRow, found: PostRow | CommentRow, names: Sequence[str], prefix: str
    ) -> Iterator[Difference]:
        for name in names:
            wanted, there = getattr(expected, name), getattr(found, name)
            if wanted != there:
                yield self._difference(f"{prefix}{name}", repr(wanted), repr(there))

    def _difference(self, where: str, expected: str, found: str) -> Difference:
        return Difference(self.post_id, where, expected, found)

"""Fold many commits on the rows of a read database: pure, in memory, and naming only the rows that changed.

The version guard stands here: a commit seen before is skipped, a missing one is asked for, a stream whose commit can't
be read or applied is parked, and everything else flows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from application.envelopes import Commit, VersionedEvent
from application.errors import EventNotApplicable
from application.ports.event_codec import EventCodec
from application.ports.projection_store import ParkedStream, RowChanges, Rows, Touched
from application.projections.post import evolve, seal, touched_comment
from application.rows import CommentKey, CommentRow, PostRow, PostStatus
from domain.errors import EventNotReadable, PostlogError
from domain.ids import PostId


class MissingCommits(Exception):
    """The rows stand below the version that a commit begins with: `after` names, for each such post, the version that
    the rows have. The commits between are in the log.
    """

    def __init__(self, after: dict[PostId, int]) -> None:
        super().__init__(f"commits of {len(after)} posts are missing")
        self.after = after


@dataclass(frozen=True, slots=True)
class DecodedCommit:
    """A commit and its events, or why they can't be read."""

    commit: Commit
    events: Sequence[VersionedEvent] | EventNotReadable


def decode_all(commits: Iterable[Commit], codec: EventCodec) -> list[DecodedCommit]:
    return [DecodedCommit(commit, _decode(commit, codec)) for commit in commits]


def _decode(commit: Commit, codec: EventCodec) -> Sequence[VersionedEvent] | EventNotReadable:
    try:
        return codec.decode(commit)
    except EventNotReadable as error:
        return error


def touched_by(decoded: Sequence[DecodedCommit]) -> Touched:
    """What `fold_batch` will want to see."""
    posts = dict.fromkeys(each.commit.stream_id for each in decoded)
    comments: dict[CommentKey, None] = {}
    for each in decoded:
        if not isinstance(each.events, EventNotReadable):
            for versioned in each.events:
                comment_id = touched_comment(versioned.event)
                if comment_id is not None:
                    comments[each.commit.stream_id, comment_id] = None
    return Touched(list(posts), list(comments))


def fold_batch(decoded: Sequence[DecodedCommit], rows: Rows, now: datetime, unpark: bool = False) -> RowChanges:
    """Apply the commits in order. With `unpark`, posts that are parked are tried too, and freed when they have caught
    up with all that waits. Raises `MissingCommits`.
    """
    fold = _Fold(rows, now, unpark)
    for each in decoded:
        fold.apply(each)
    if fold.missing:
        raise MissingCommits(fold.missing)
    return fold.changes()


@dataclass(slots=True)
class _Fold:
    rows: Rows
    now: datetime
    unpark: bool
    posts: dict[PostId, PostRow] = field(default_factory=dict)
    comments: dict[CommentKey, CommentRow | None] = field(default_factory=dict)
    cleared: dict[PostId, None] = field(default_factory=dict)
    parked: dict[PostId, ParkedStream] = field(default_factory=dict)
    missing: dict[PostId, int] = field(default_factory=dict)
    blocked: set[PostId] = field(default_factory=set)

    def apply(self, each: DecodedCommit) -> None:
        commit = each.commit
        post = self.posts.get(commit.stream_id) or self.rows.posts.get(commit.stream_id)
        version = post.version if post is not None else 0
        if commit.last_version <= version or commit.stream_id in self.missing:
            return
        if self._waits(commit):
            return
        if commit.version > version + 1:
            self.missing[commit.stream_id] = version
            return
        try:
            self._evolve(commit, post, version, each.events)
        except (EventNotReadable, EventNotApplicable) as error:
            self._park(commit, error)

    def _waits(self, commit: Commit) -> bool:
        """Whether its stream is parked; what waits is noted in the parked stream, so that nobody frees it too early."""
        post_id = commit.stream_id
        parked = self.parked.get(post_id) or self.rows.parked.get(post_id)
        if parked is None or (self.unpark and post_id not in self.blocked):
            return False
        if commit.last_version > parked.waiting_version:
            self.parked[post_id] = replace(parked, waiting_version=commit.last_version)
        return True

    def _evolve(
        self,
        commit: Commit,
        post: PostRow | None,
        version: int,
        events: Sequence[VersionedEvent] | EventNotReadable,
    ) -> None:
        if isinstance(events, EventNotReadable):
            raise events
        if commit.version <= version:
            raise EventNotApplicable(
                f"a commit begins with version {commit.version}, but the row has {version} already."
            )
        post_id = commit.stream_id
        comments: dict[CommentKey, CommentRow | None] = {}
        for versioned in events:
            comment_id = touched_comment(versioned.event)
            if comment_id is None:
                post, _ = evolve(post_id, post, None, versioned.event)
                continue
            key = (post_id, comment_id)
            before = comments[key] if key in comments else self._comment(key)
            post, comments[key] = evolve(post_id, post, before, versioned.event)
        self._keep(seal(post_id, post, commit.last_version), comments)

    def _comment(self, key: CommentKey) -> CommentRow | None:
        return self.comments[key] if key in self.comments else self.rows.comments.get(key)

    def _keep(self, post: PostRow, comments: dict[CommentKey, CommentRow | None]) -> None:
        self.posts[post.post_id] = post
        self.comments.update(comments)
        if post.status is PostStatus.REMOVED:
            self.cleared[post.post_id] = None

    def _park(self, commit: Commit, error: PostlogError) -> None:
        known = self.rows.parked.get(commit.stream_id)
        self.blocked.add(commit.stream_id)
        self.parked[commit.stream_id] = ParkedStream(
            post_id=commit.stream_id,
            version=commit.version,
            position=commit.position,
            waiting_version=max(commit.last_version, known.waiting_version if known else 0),
            code=error.code,
            reason=error.message,
            parked_at=known.parked_at if known else self.now,
        )

    def changes(self) -> RowChanges:
        kept = {k: c for k, c in self.comments.items() if k[0] not in self.cleared and c != self.rows.comments.get(k)}
        return RowChanges(
            posts=list(self.posts.values()),
            comments=[comment for comment in kept.values() if comment is not None],
            comments_removed=[key for key, comment in kept.items() if comment is None],
            cleared=list(self.cleared),
            parked=list(self.parked.values()),
            unparked=self._freed(),
        )

    def _freed(self) -> list[PostId]:
        if not self.unpark:
            return []
        return [post_id for post_id, parked in self.rows.parked.items() if self._caught_up(post_id, parked)]

    def _caught_up(self, post_id: PostId, parked: ParkedStream) -> bool:
        post = self.posts.get(post_id) or self.rows.posts.get(post_id)
        return post_id not in self.blocked and post is not None and post.version >= parked.waiting_version

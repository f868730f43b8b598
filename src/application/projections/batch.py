"""Fold many commits on the rows of a read database: pure, in memory, and returning only the rows that changed.

This is where versions are checked: a commit that was applied before is skipped, a missing one is requested, and a
stream whose commit can't be read or applied is parked, without blocking the others.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple, TypeVar

from application.envelopes import AnyCommit, Commit, CommitEvents
from application.errors import EventNotApplicable, StreamDamaged
from application.log_order import require_next
from application.ports.event_codec import EventCodec
from application.ports.read_db import ParkedStream, RowChanges, RowKeys, Rows
from application.projections.post import COMMENT_EVENTS, PostFold
from application.rows import CommentKey, CommentRow, PostStatus
from domain.errors import EventNotReadable, PostlogError
from domain.events import PostEvent
from domain.ids import CommentId, PostId

C = TypeVar("C", Commit, CommitEvents)

MAX_EVENTS = 20_000
"""Per transaction: bounds its memory and time. One imported commit may hold 1,000 events."""


def at_most(commits: Sequence[C], max_events: int = MAX_EVENTS) -> list[C]:
    """The first commits with at most `max_events` together; at least one if there is any."""
    taken: list[C] = []
    events = 0
    for commit in commits:
        events += len(commit.events)
        if taken and events > max_events:
            break
        taken.append(commit)
    return taken


Lacks = Callable[[PostId, int], bool]
"""Whether the log itself lacks the commit that begins after this version of this post, although it has a later one."""


def not_known(_: PostId, __: int) -> bool:
    """For commits that may have been delivered without the ones before them."""
    return False


def all_given(_: PostId, __: int) -> bool:
    """For commits that are all that the log has after the rows."""
    return True


class MissingCommits(Exception):
    """The rows are below the version that a commit begins with: `after` has, for each such post, the version of the
    rows. The commits in between are in the log.
    """

    def __init__(self, after: dict[PostId, int]) -> None:
        super().__init__(f"commits of {len(after)} posts are missing")
        self.after = after


class DecodedCommit(NamedTuple):
    """A commit and its events, or why they can't be read."""

    commit: AnyCommit
    events: Sequence[PostEvent] | EventNotReadable


def decode_all(commits: Iterable[AnyCommit], codec: EventCodec) -> list[DecodedCommit]:
    return [DecodedCommit(commit, _decode(commit, codec)) for commit in commits]


def _decode(commit: AnyCommit, codec: EventCodec) -> Sequence[PostEvent] | EventNotReadable:
    try:
        return codec.decode(commit)
    except EventNotReadable as error:
        return error


def row_keys_of(decoded: Sequence[DecodedCommit]) -> RowKeys:
    """The keys of the rows that `fold_batch` reads."""
    posts = dict.fromkeys([commit.stream_id for commit, _ in decoded])
    comments: dict[CommentKey, None] = {}
    for commit, events in decoded:
        if not isinstance(events, EventNotReadable):
            for event in events:
                if isinstance(event, COMMENT_EVENTS):
                    comments[commit.stream_id, event.comment_id] = None
    return RowKeys(list(posts), list(comments))


def fold_batch(
    decoded: Sequence[DecodedCommit], rows: Rows, now: datetime, unpark: bool = False, lacks: Lacks = not_known
) -> RowChanges:
    """Apply the commits in order. With `unpark`, parked posts are tried, too, and are no longer parked when they have
    caught up with everything that waits. If the log `lacks` the commit before a commit, the post is parked. Raises
    `MissingCommits` for other missing commits.
    """
    fold = _BatchFold(rows, now, unpark, lacks)
    for each in decoded:
        fold.apply(each)
    if fold.missing:
        raise MissingCommits(fold.missing)
    return fold.changes()


class _BatchFold:
    def __init__(self, rows: Rows, now: datetime, unpark: bool, lacks: Lacks) -> None:
        self._rows = rows
        self._now = now
        self._unpark = unpark
        self._lacks = lacks
        self._posts: dict[PostId, PostFold] = {}
        self._parked: dict[PostId, ParkedStream] = {}
        self._blocked: set[PostId] = set()
        self.missing: dict[PostId, int] = {}

    def apply(self, each: DecodedCommit) -> None:
        commit, events = each
        post_id, version, count = commit.stream_id, commit.version, len(commit.events)
        post = self._posts.get(post_id) or self._begin(post_id)
        last_version = version + count - 1 if count else version
        if last_version <= post.version or post_id in self.missing:
            return
        if (self._parked or self._rows.parked) and self._waits(post_id, last_version):
            return
        if version > post.version + 1 and not self._lacks(post_id, post.version):
            self.missing[post_id] = post.version
            return
        try:
            require_next(commit, post.version)
            if isinstance(events, EventNotReadable):
                raise events
            post.apply(events, last_version)
        except (EventNotReadable, EventNotApplicable, StreamDamaged) as error:
            self._park(commit, error)

    def _begin(self, post_id: PostId) -> PostFold:
        stored = self._rows.comments

        def stored_comment(comment_id: CommentId) -> CommentRow | None:
            return stored.get((post_id, comment_id))

        row = self._rows.posts.get(post_id)
        post = PostFold.begin(post_id, stored_comment) if row is None else PostFold(row, stored_comment)
        self._posts[post_id] = post
        return post

    def _waits(self, post_id: PostId, last_version: int) -> bool:
        """Whether its stream is parked. The waiting version is recorded, so that the post is not unparked too early."""
        parked = self._parked.get(post_id) or self._rows.parked.get(post_id)
        if parked is None or (self._unpark and post_id not in self._blocked):
            return False
        if last_version > parked.waiting_version:
            self._parked[post_id] = replace(parked, waiting_version=last_version)
        return True

    def _park(self, commit: AnyCommit, error: PostlogError) -> None:
        known = self._rows.parked.get(commit.stream_id)
        self._blocked.add(commit.stream_id)
        self._parked[commit.stream_id] = ParkedStream(
            post_id=commit.stream_id,
            version=commit.version,
            position=commit.position,
            waiting_version=max(commit.last_version, known.waiting_version if known else 0),
            code=error.code,
            reason=error.message,
            parked_at=known.parked_at if known else self._now,
        )

    def changes(self) -> RowChanges:
        changed = [post for post in self._posts.values() if post.version > self._version_before(post.post_id)]
        kept: dict[CommentKey, CommentRow | None] = {
            (post.post_id, comment_id): comment for post in changed for comment_id, comment in post.comments.items()
        }
        stored = self._rows.comments
        return RowChanges(
            posts=[post.row for post in changed],
            comments=[comment for key, comment in kept.items() if comment is not None and comment != stored.get(key)],
            comments_removed=[key for key, comment in kept.items() if comment is None and key in stored],
            cleared=[post.post_id for post in changed if post.status is PostStatus.REMOVED],
            parked=list(self._parked.values()),
            unparked=self._freed(),
        )

    def _version_before(self, post_id: PostId) -> int:
        row = self._rows.posts.get(post_id)
        return row.version if row is not None else 0

    def _freed(self) -> list[PostId]:
        if not self._unpark:
            return []
        return [post_id for post_id, parked in self._rows.parked.items() if self._caught_up(post_id, parked)]

    def _caught_up(self, post_id: PostId, parked: ParkedStream) -> bool:
        post = self._posts.get(post_id)
        version = post.version if post is not None else self._version_before(post_id)
        return post_id not in self._blocked and version >= parked.waiting_version

"""Fold many commits on the rows of a read database: pure, in memory, and returning only the rows that changed.

This is where versions are checked: a commit that was applied before is skipped, a missing one is requested, and a
stream whose commit can't be read or applied is parked, without blocking the others.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

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

_BYTES_AN_EVENT = 200
"""A longer one counts as several, so that long texts take no more memory than likes."""


def at_most(commits: Sequence[C], max_events: int = MAX_EVENTS) -> list[C]:
    """The first commits with at most `max_events` together, as `weight_of` counts; at least one if there is any."""
    taken: list[C] = []
    events = 0
    for commit in commits:
        events += weight_of(commit)
        if taken and events > max_events:
            break
        taken.append(commit)
    return taken


def weight_of(commit: AnyCommit) -> int:
    """For how many events it counts."""
    return sum([1 + event.size // _BYTES_AN_EVENT for event in commit.events])


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


DecodedCommit = tuple[AnyCommit, Sequence[PostEvent] | EventNotReadable]
"""A commit and its events, or why they can't be read."""


def decode_all(commits: Iterable[AnyCommit], codec: EventCodec) -> list[DecodedCommit]:
    return [(commit, _decode(commit, codec)) for commit in commits]


def _decode(commit: AnyCommit, codec: EventCodec) -> Sequence[PostEvent] | EventNotReadable:
    try:
        return codec.decode(commit)
    except EventNotReadable as error:
        return error


def count_events(decoded: Iterable[DecodedCommit]) -> int:
    """As they are stored."""
    return sum([len(commit.events) for commit, _ in decoded])


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
    streams: dict[PostId, list[DecodedCommit]] = {}
    for each in decoded:
        post_id = each[0].stream_id
        if post_id in streams:
            streams[post_id].append(each)
        else:
            streams[post_id] = [each]
    fold = _BatchFold(rows, now, unpark, lacks)
    for post_id, commits in streams.items():
        fold.apply(post_id, commits)
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
        self.missing: dict[PostId, int] = {}

    def apply(self, post_id: PostId, commits: Sequence[DecodedCommit]) -> None:
        """All commits of the batch for one post. If it is parked, only the waiting version is recorded, so that it is
        not unparked too early."""
        post = self._begin(post_id)
        waiting = None if self._unpark else self._rows.parked.get(post_id)
        for commit, events in commits:
            version, stored = commit.version, len(commit.events)
            last_version = version + (stored or 1) - 1
            if last_version <= post.version:
                continue
            if waiting is not None:
                if last_version > waiting.waiting_version:
                    waiting = self._parked[post_id] = replace(waiting, waiting_version=last_version)
                continue
            if version > post.version + 1 and not self._lacks(post_id, post.version):
                self.missing[post_id] = post.version
                return
            try:
                if version != post.version + 1 or not stored:
                    require_next(commit, post.version)
                if isinstance(events, EventNotReadable):
                    raise events
                post.apply(events, last_version)
            except (EventNotReadable, EventNotApplicable, StreamDamaged) as error:
                waiting = self._parked[post_id] = self._park(commit, last_version, error)

    def _begin(self, post_id: PostId) -> PostFold:
        stored = self._rows.comments

        def stored_comment(comment_id: CommentId) -> CommentRow | None:
            return stored.get((post_id, comment_id))

        row = self._rows.posts.get(post_id)
        post = PostFold.begin(post_id, stored_comment) if row is None else PostFold(row, stored_comment)
        self._posts[post_id] = post
        return post

    def _park(self, commit: AnyCommit, last_version: int, error: PostlogError) -> ParkedStream:
        known = self._rows.parked.get(commit.stream_id)
        return ParkedStream(
            post_id=commit.stream_id,
            version=commit.version,
            position=commit.position,
            waiting_version=max(last_version, known.waiting_version if known else 0),
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
        return post_id not in self._parked and version >= parked.waiting_version

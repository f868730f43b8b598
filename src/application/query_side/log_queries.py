"""What readers can ask of the log as one sequence of commits, and what they are answered."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.envelopes import Commit, DescribedEvent
from application.mediator import Query
from domain.ids import PostId


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitFilter:
    """None: any. `event_type` is a current name or a stored one; `actor` is whoever did any of a commit's events,
    compared by `name_key`."""

    event_type: str | None = None
    actor: str | None = None
    post_id: PostId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCommit:
    """A commit for people: `events` in their current shape. Where they can't be read, `unreadable` says why, and they
    are as they were stored."""

    commit: Commit
    events: Sequence[DescribedEvent]
    unreadable: str | None

    @property
    def actors(self) -> Sequence[str | None]:
        """Each once, in the order of their events; None for somebody without a name."""
        return list(dict.fromkeys(actor_of(self.commit, event) for event in self.events))


def actor_of(commit: Commit, event: DescribedEvent) -> str | None:
    """Who did it. An import writes events of several people as one commit, whose metadata names the first of them only:
    there the event itself names its actor, or nobody."""
    if len(commit.events) > 1:
        for field in ("author", "username"):
            if field in event.data:
                return event.data[field] or None
    return commit.metadata.get("actor")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitsPage:
    """Newest first. The log was looked through from below `looked_from` down to `looked_to`, both positions; `older` is
    what to ask for as `before` to look further back, None at the log's beginning."""

    commits: Sequence[LoggedCommit]
    looked_from: int
    looked_to: int
    older: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCommits:
    """Oldest first. The log was looked through up to `position`; `passed_over` are the first and the last position of
    those that were too many to be shown."""

    commits: Sequence[LoggedCommit]
    position: int
    passed_over: tuple[int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedPosts:
    """`posts` is None when it is not known whose the commits are: any post may have changed."""

    posts: frozenset[PostId] | None
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListChangedPosts(Query[ChangedPosts]):
    """Whose commits stand behind the position `after`, None: at any position; and where the log ends. Raises
    `StoreUnavailable`."""

    after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCommits(Query[CommitsPage]):
    """The newest below the position `before`, at most `limit`. Looks through a bounded part of the log, however few
    are found there. Raises `StoreUnavailable`."""

    wanted: CommitFilter
    limit: int
    before: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNewCommits(Query[NewCommits]):
    """Those beyond the position `after`, at most `limit`. Raises `StoreUnavailable`."""

    wanted: CommitFilter
    limit: int
    after: int

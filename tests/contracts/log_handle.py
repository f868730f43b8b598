"""What the log's contract suites need of an adapter, and the commits that they append.

An adapter's tests give one fixture, `open_log`: a callable whose answer is an async context manager of a `LogHandle`.
The first call in a test makes a fresh log; each further call opens the same log again, as another process would, as
far as the adapter can. Handles may be open side by side and one after the other.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from adapters.wire.commit_json import events_from_json
from application.envelopes import AnyCommit, CommitEvents, ProposedCommit, StoredEvent
from application.ports.commit_log import CommitLog
from application.ports.event_store import EventStore, PastEvents, Receipt
from domain.ids import PostId

POST_A = PostId("019b0000-0000-7000-8000-00000000000a")
POST_B = PostId("019b0000-0000-7000-8000-00000000000b")
POST_C = PostId("019b0000-0000-7000-8000-00000000000c")

RECORDED_AT = datetime(2026, 11, 23, 15, 46, 58, 123_000, tzinfo=UTC)

_COMMITS = UUID("5d7ee5a1-9c0f-4b57-8a39-6f1a6c1f4e11")


@dataclass(frozen=True, slots=True)
class LogHandle:
    """Event store, commit log and past events of one log."""

    store: EventStore
    commits: CommitLog
    past_events: PastEvents


OpenLog = Callable[[], AbstractAsyncContextManager[LogHandle]]


class Visitor:
    """Keeps the commits that it is given, each with its events decoded. The ones that it gets as texts are `texts`."""

    def __init__(self, *, takes_texts: bool) -> None:
        self._takes_texts = takes_texts
        self.texts: list[CommitEvents] = []
        self.commits: list[AnyCommit] = []

    def visit_text(self, position: int, stream_id: PostId, version: int, events: str | bytes) -> bool:
        if self._takes_texts:
            self.texts.append(CommitEvents(position, stream_id, version, "", events_from_json(events)))
        return self._takes_texts

    def visit(self, commit: AnyCommit) -> None:
        self.commits.append(commit)


def commit_id(name: str) -> str:
    """The same name gives the same id."""
    return str(uuid5(_COMMITS, name))


def liked(username: str | None = None) -> StoredEvent:
    return StoredEvent("PostLiked", 2, {"username": username})


def proposed(
    stream: PostId,
    version: int = 1,
    *events: StoredEvent,
    name: str | None = None,
    recorded_at: datetime = RECORDED_AT,
    metadata: Mapping[str, str] | None = None,
) -> ProposedCommit:
    """One like at `version`, unless events are given. `name` tells rival commits of one version apart."""
    return ProposedCommit(
        stream_id=stream,
        version=version,
        commit_id=commit_id(name or f"{stream}/{version}"),
        recorded_at=recorded_at,
        metadata={"actor": "ann"} if metadata is None else metadata,
        events=events or (liked(),),
    )


def receipt(name: str, *, position: int) -> Receipt:
    return Receipt(
        commit_id=commit_id(name), request_digest=f"digest of {name}", stream_id=POST_A, version=3, position=position
    )


def with_data(stream: PostId, version: int, data: Mapping[str, Any]) -> ProposedCommit:
    return proposed(stream, version, StoredEvent("PostCreated", 1, data))

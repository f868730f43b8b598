"""The history of another system is imported as it is, once, and without guesses."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.memory.log import MemoryCommitLog, MemoryEventStore, MemoryLog
from application.envelopes import Commit, ProposedCommit, StoredEvent
from application.errors import StoreUnavailable
from application.imports.history_import import Deduplicated, HistoryImport, ImportedPage, Skipped
from application.ports.event_store import AppendOutcome, NotTried, Unsettled
from application.ports.history_source import DotnetEvent, UnrecognizedDocument
from command_process import CODEC, SteppingClock
from domain.ids import PostId

A, B, C = (PostId(f"{letter * 8}-0000-4000-8000-000000000000") for letter in "abc")
START = datetime(2023, 5, 6, 7, 8, 9, 123_000, UTC)

CREATED = StoredEvent("PostCreated", 1, {"author": "Ann", "message": "Hello", "datePosted": "2023-05-06T07:08:09.123Z"})
LIKED = StoredEvent("PostLiked", 1, {})
REMOVED = StoredEvent("PostRemoved", 1, {})


def event(post_id: PostId, version: int, stored: StoredEvent | None = LIKED, **changes: Any) -> DotnetEvent:
    made = DotnetEvent(
        document_id=f"{post_id[0]}{version}",
        post_id=post_id,
        version=version,
        recorded_at=START + timedelta(minutes=version),
        event=stored,
    )
    return replace(made, **changes)


def post(post_id: PostId, *events: StoredEvent) -> list[DotnetEvent]:
    return [event(post_id, version, stored) for version, stored in enumerate(events, 1)]


class ListedHistory:
    """A source in a list; pages of two."""

    def __init__(self, *events: DotnetEvent) -> None:
        self.events = list(events)
        self.skipped: set[str] = set()

    async def count(self) -> int:
        return len(self.events)

    async def read(self) -> AsyncIterator[tuple[int, Sequence[UnrecognizedDocument]]]:
        yield len(self.events), [UnrecognizedDocument("x", "it is lost")]

    async def by_post(self) -> AsyncIterator[Sequence[DotnetEvent]]:
        key = sorted(self.events, key=lambda e: (e.post_id, e.version, e.recorded_at or START, e.document_id))
        for start in range(0, len(key), 2):
            yield key[start : start + 2]

    async def in_order(self) -> AsyncIterator[Sequence[DotnetEvent]]:
        order = sorted(self.events, key=lambda e: (e.recorded_at or START, e.post_id, e.version))
        for start in range(0, len(order), 2):
            yield [e for e in order[start : start + 2] if not self.skipped & {e.post_id, e.document_id}]

    async def skip_post(self, post_id: PostId) -> None:
        self.skipped.add(post_id)

    async def skip_event(self, document_id: str) -> None:
        self.skipped.add(document_id)

    async def remaining_events(self) -> int:
        return len([e for e in self.events if not self.skipped & {e.post_id, e.document_id}])


def history_import(source: ListedHistory, store: Any, *, first: bool = False, patience: float = 60.0) -> HistoryImport:
    return HistoryImport(
        source=source, store=store, codec=CODEC, clock=SteppingClock(), take_first=first, patience=patience
    )


async def found_by(source: ListedHistory, *, first: bool = False) -> list[Skipped | Deduplicated]:
    job = history_import(source, None, first=first)
    return [each async for _, found in job.check() for each in found]


async def append(source: ListedHistory, store: Any, **options: Any) -> ImportedPage:
    """The totals of all pages."""
    total = ImportedPage()
    async for page in history_import(source, store, **options).append():
        total.new += page.new
        total.present += page.present
        total.position = max(total.position, page.position)
        total.skipped += page.skipped
    return total


async def stored_in(log: MemoryLog) -> list[Commit]:
    return await MemoryCommitLog(log).read(0)


# Checking the source


async def test_complete_histories_are_kept():
    source = ListedHistory(*post(A, CREATED, LIKED, REMOVED), *post(B, CREATED))
    assert await found_by(source) == []
    assert await history_import(source, None).events() == 4


async def test_a_post_with_two_events_of_one_version_is_skipped_and_both_are_reported():
    [created, liked, again] = post(A, CREATED, LIKED, LIKED)
    twin = event(A, 2, REMOVED, document_id="twin", recorded_at=START + timedelta(minutes=9))
    source = ListedHistory(created, liked, again, twin, *post(B, CREATED))
    assert await found_by(source) == [Skipped(A, "2 events have version 2", [liked, twin])]
    assert await history_import(source, None).events() == 1


@pytest.mark.parametrize("first", [False, True])
async def test_a_post_with_a_document_without_a_version_is_skipped_whole(first: bool):
    """It may be the removal of the post, which would be live again without it."""
    lost = event(A, 0, None, document_id="lost", recorded_at=None, problem="its Version is 1.5")
    twin = event(A, 0, None, document_id="twin", recorded_at=None, problem="it can't be decoded")
    source = ListedHistory(*post(A, CREATED, LIKED), *post(B, CREATED), lost, twin)
    reason = "its document lost can't be read: its Version is 1.5"
    assert await found_by(source, first=first) == [Skipped(A, reason, [lost, twin])]
    assert await history_import(source, None).events() == 1


async def test_a_hundred_documents_without_a_version_are_reported():
    lost = [event(A, 0, None, document_id=f"{n:03}", recorded_at=None, problem="it is malformed") for n in range(150)]
    [skipped] = await found_by(ListedHistory(*lost, *post(A, CREATED)))
    assert len(skipped.events) == 100


async def test_a_post_is_skipped_if_the_younger_of_two_events_can_not_be_read():
    [created, liked] = post(A, CREATED, LIKED)
    younger = event(A, 2, None, document_id="x", recorded_at=START + timedelta(minutes=9), problem="it is malformed")
    [skipped] = await found_by(ListedHistory(created, liked, younger), first=True)
    assert skipped == Skipped(A, "the event with version 2 can't be read: it is malformed", [liked, younger])


async def test_on_request_the_oldest_event_of_a_version_is_taken():
    [created, liked, again] = post(A, CREATED, LIKED, LIKED)
    older = event(A, 2, LIKED, document_id="older", recorded_at=START)
    oldest_of_three = event(A, 3, LIKED, document_id="z", recorded_at=START)
    source = ListedHistory(created, liked, again, older, oldest_of_three)
    assert await found_by(source, first=True) == [
        Deduplicated(A, older, [liked]),
        Deduplicated(A, oldest_of_three, [again]),
    ]
    assert source.skipped == {liked.document_id, again.document_id}


async def test_a_history_that_can_not_be_applied_with_the_older_event_is_skipped():
    [created, liked, again] = post(A, CREATED, LIKED, LIKED)
    older = event(A, 2, REMOVED, document_id="older", recorded_at=START)
    [skipped] = await found_by(ListedHistory(created, liked, again, older), first=True)
    assert skipped == Skipped(
        A,
        "the event with version 3 can't be applied: PostLiked for post aaaaaaaa-0000-4000-8000-000000000000, which "
        "does not exist or was removed.",
        [again],
    )


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([event(A, 2), event(A, 3)], "the event with version 1 is missing"),
        ([event(A, 1, CREATED), event(A, 3)], "the event with version 2 is missing"),
        (
            [event(A, 1, CREATED), event(A, 2, None, problem="its Author is null, not text")],
            "the event with version 2 can't be read: its Author is null, not text",
        ),
        (
            [event(A, 1, LIKED)],
            (
                "the event with version 1 can't be applied: PostLiked for post aaaaaaaa-0000-4000-8000-000000000000, "
                "which does not exist or was removed."
            ),
        ),
        (
            [event(A, 1, CREATED), event(A, 2, StoredEvent("CommentRemoved", 1, {"commentId": "c"}))],
            "the event with version 2 can't be applied: CommentRemoved for comment c, which does not exist.",
        ),
        (
            [event(A, 1, StoredEvent("PostShared", 1, {}))],
            (
                "the event with version 1 can't be applied: Event 1 of post aaaaaaaa-0000-4000-8000-000000000000 "
                "(PostShared, schema version 1): this version of Postlog does not know the type; run one that does."
            ),
        ),
    ],
    ids=["no-beginning", "gap", "unreadable", "before-creation", "no-comment", "unknown"],
)
async def test_a_post_with_an_incomplete_history_is_skipped_whole(events: list[DotnetEvent], reason: str):
    source = ListedHistory(*events, *post(B, CREATED, LIKED))
    [skipped] = await found_by(source)
    assert (skipped.post_id, skipped.reason) == (A, reason)
    assert skipped.events == [events[-1]] or skipped.events == [events[0]]
    assert await history_import(source, None).events() == 2


async def test_unrecognized_documents_are_passed_on():
    assert [page async for page in history_import(ListedHistory(), None).read()] == [
        (0, [UnrecognizedDocument("x", "it is lost")])
    ]


# Appending to the log


async def test_every_event_keeps_its_id_time_order_and_shape():
    log = MemoryLog()
    later = event(B, 1, CREATED, recorded_at=START + timedelta(minutes=2, seconds=30))
    source = ListedHistory(*post(A, CREATED, LIKED, REMOVED), later)
    result = await append(source, MemoryEventStore(log))
    assert (result.new, result.present, result.position, result.skipped) == (4, 0, 4, [])
    assert [(c.position, c.stream_id, c.version, c.recorded_at, c.events) for c in await stored_in(log)] == [
        (1, A, 1, START + timedelta(minutes=1), (CREATED,)),
        (2, A, 2, START + timedelta(minutes=2), (LIKED,)),
        (3, B, 1, START + timedelta(minutes=2, seconds=30), (CREATED,)),
        (4, A, 3, START + timedelta(minutes=3), (REMOVED,)),
    ]
    assert [c.metadata for c in await stored_in(log)] == [{"actor": "Ann"}, {}, {"actor": "Ann"}, {}]


async def test_a_second_import_adds_nothing():
    log = MemoryLog()
    source = ListedHistory(*post(A, CREATED, *[LIKED] * 9), *post(B, CREATED, REMOVED))
    await append(source, MemoryEventStore(log))
    again = await append(source, MemoryEventStore(log))
    assert (again.new, again.present, again.position, again.skipped) == (0, 12, 12, [])
    assert len(await stored_in(log)) == 12


async def test_an_interrupted_import_resumes():
    log = MemoryLog()
    events = [*post(A, CREATED, *[LIKED] * 9), *post(B, CREATED, LIKED)]
    await append(ListedHistory(*events[:4]), MemoryEventStore(log))
    rest = await append(ListedHistory(*events), MemoryEventStore(log))
    assert (rest.new, rest.present, rest.skipped) == (8, 4, [])


async def test_a_post_that_was_changed_in_postlog_is_not_mixed_with_the_source():
    """The source's version 3 would fit after our own event with version 2, but make no sense."""
    log = MemoryLog()
    store = MemoryEventStore(log)
    await append(ListedHistory(*post(A, CREATED)), store)
    ours = ProposedCommit(
        stream_id=A,
        version=2,
        commit_id="019b0000-0000-7000-8000-0000000000ff",
        recorded_at=START,
        metadata={},
        events=(StoredEvent("PostLiked", 2, {"username": "Eve"}),),
    )
    await store.append([ours])

    result = await append(ListedHistory(*post(A, CREATED, LIKED, LIKED, LIKED), *post(B, CREATED)), store)

    assert (result.new, result.present) == (1, 1)
    assert [(each.post_id, each.reason) for each in result.skipped] == [
        (
            A,
            (
                "the log has a different history from version 2 on: the post was changed in Postlog, or something "
                "else was imported"
            ),
        )
    ]
    assert [c.commit_id for c in await store.read_stream(A)][1:] == [ours.commit_id]


@pytest.mark.parametrize(
    "changed",
    [event(A, 2, REMOVED), event(A, 2, LIKED, recorded_at=START + timedelta(seconds=61))],
    ids=["another-event", "another-time"],
)
async def test_a_source_that_changed_since_is_reported(changed: DotnetEvent):
    log = MemoryLog()
    store = MemoryEventStore(log)
    await append(ListedHistory(*post(A, CREATED, LIKED)), store)
    result = await append(ListedHistory(event(A, 1, CREATED), changed, event(A, 3)), store)
    assert (result.new, result.present, [each.post_id for each in result.skipped]) == (0, 1, [A])


async def test_a_stream_whose_beginning_is_not_in_the_log_is_reported():
    """Otherwise the import of a source that has lost events would be retried without end."""
    result = await append(ListedHistory(event(A, 5), event(A, 6)), MemoryEventStore(MemoryLog()))
    assert [each.post_id for each in result.skipped] == [A]
    assert result.new == 0


class Unsteady:
    """Returns these outcomes first, for the last commits of a group."""

    def __init__(self, store: MemoryEventStore, *rounds: list[AppendOutcome]) -> None:
        self._store = store
        self._rounds = list(rounds)
        self.read_stream = store.read_stream
        self.calls = 0

    async def append(self, commits: Sequence[ProposedCommit]) -> list[AppendOutcome]:
        self.calls += 1
        failing = self._rounds.pop(0) if self._rounds else []
        good = len(commits) - len(failing)
        return [*await self._store.append(commits[:good]), *failing]


async def test_commits_with_an_unknown_outcome_are_sent_again():
    log = MemoryLog()
    unsettled, not_tried = Unsettled("It is away."), NotTried()
    store = Unsteady(MemoryEventStore(log), [unsettled, not_tried], [not_tried], [unsettled])
    result = await append(ListedHistory(*post(A, CREATED, LIKED)), store)
    assert (result.new, result.skipped) == (2, [])
    assert [c.version for c in await stored_in(log)] == [1, 2]
    assert store.calls == 4


async def test_a_store_that_stays_unavailable_ends_the_import_with_what_to_do():
    class Away:
        async def append(self, commits: Sequence[ProposedCommit]) -> list[AppendOutcome]:
            return [Unsettled("The event store is away.") for _ in commits]

    with pytest.raises(StoreUnavailable) as caught:
        await append(ListedHistory(*post(A, CREATED)), Away(), patience=0.2)
    assert caught.value.message == ("The event store is away. What was imported stays; run the same import again.")


async def test_an_event_that_can_not_be_read_is_never_appended():
    with pytest.raises(ValueError, match="its post must be skipped"):
        await append(ListedHistory(event(A, 1, None, problem="malformed")), MemoryEventStore(MemoryLog()))

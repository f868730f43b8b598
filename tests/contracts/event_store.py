"""What every event store must do. An adapter adopts it with a subclass named `Test…` and the fixture `open_log`."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from application.envelopes import Commit, ProposedCommit, StoredEvent, StreamTail
from application.ports.event_store import AlreadyStored, Appended, NotTried, VersionTaken
from contracts.log_handle import (
    POST_A,
    POST_B,
    POST_C,
    LogHandle,
    OpenLog,
    commit_id,
    liked,
    proposed,
    receipt,
    with_data,
)

MEGABYTE = 1_000_000

TEXTS = {
    "ascii": "plain text",
    "latin": "Žluťoučký kůň, smørrebrød, ß, İstanbul",
    "greek-cyrillic": "Ελληνικά και кириллица",
    "hebrew-arabic": "שלום עולם، مرحبا بالعالم",
    "cjk": "日本語と한국어 and 漢字",
    "devanagari": "नमस्ते दुनिया",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 🇨🇿 👍🏽",
    "combining": "e\u0301 stays two code points, \u00e9 stays one",
    "beyond-the-bmp": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \U0010fffd",
    "json-looking": '{"a": [1, "\\u0041", null]} \\ / \x7f',
    "controls": "tab\tline\nreturn\r\x01\x1f",
    "dollars-and-dots": "$set: a.b.c '; DROP TABLE commits; --",
    "surrounding": "  blanks stay \u00a0\u2028",
    "empty": "",
}

VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "zero": 0,
    "beyond-a-double": 9_007_199_254_740_993,
    "largest-int64": 9_223_372_036_854_775_807,
    "smallest-int64": -9_223_372_036_854_775_808,
    "float": 0.1,
    "time": "2026-11-23T15:46:58.123Z",
    "list": [1, "two", None, [3.5, {"four": 4}]],
    "object": {"a": {"b": []}, "c": {}},
}


def as_stored(commit: ProposedCommit, position: int) -> Commit:
    return Commit(
        position=position,
        stream_id=commit.stream_id,
        version=commit.version,
        commit_id=commit.commit_id,
        recorded_at=commit.recorded_at,
        metadata=commit.metadata,
        events=commit.events,
    )


class EventStoreContract:
    @pytest.fixture
    async def log(self, open_log: OpenLog) -> AsyncIterator[LogHandle]:
        async with open_log() as handle:
            yield handle

    @pytest.fixture
    async def other(self, log: LogHandle, open_log: OpenLog) -> AsyncIterator[LogHandle]:
        async with open_log() as handle:
            yield handle

    # Positions and versions

    async def test_positions_count_from_one_in_the_order_of_the_call(self, log: LogHandle) -> None:
        outcomes = await log.store.append([proposed(POST_B), proposed(POST_A), proposed(POST_C)])
        assert outcomes == [Appended(1), Appended(2), Appended(3)]
        assert [c.stream_id for c in await log.commits.read(0)] == [POST_B, POST_A, POST_C]

    async def test_positions_go_on_in_the_next_call(self, log: LogHandle) -> None:
        assert await log.store.append([proposed(POST_A)]) == [Appended(1)]
        assert await log.store.append([proposed(POST_A, 2), proposed(POST_B)]) == [Appended(2), Appended(3)]

    async def test_appending_nothing_answers_nothing(self, log: LogHandle) -> None:
        assert await log.store.append([]) == []
        assert await log.commits.tip() == 0

    async def test_a_group_may_hold_several_commits_of_one_stream(self, log: LogHandle) -> None:
        group = [proposed(POST_A, 1, liked("a"), liked("b")), proposed(POST_A, 3), proposed(POST_A, 4, liked("c"))]
        assert await log.store.append(group) == [Appended(1), Appended(2), Appended(3)]
        assert [c.version for c in await log.store.read_stream(POST_A)] == [1, 3, 4]

    async def test_a_group_of_a_thousand_commits_is_dense(self, log: LogHandle) -> None:
        group = [proposed(POST_A, version) for version in range(1, 1_001)]
        assert await log.store.append(group) == [Appended(position) for position in range(1, 1_001)]
        assert [c.position for c in await log.commits.read(0)] == list(range(1, 1_001))

    async def test_a_commit_may_hold_a_thousand_events(self, log: LogHandle) -> None:
        commit = proposed(POST_A, 1, *(liked(f"name {number}") for number in range(1_000)))
        assert await log.store.append([commit]) == [Appended(1)]
        assert await log.store.read_stream(POST_A) == [as_stored(commit, 1)]
        assert await log.store.stream_tail(POST_A) == StreamTail(version=1_000, position=1)

    async def test_the_last_version_is_that_of_the_last_event(self, log: LogHandle) -> None:
        assert await log.past_events.last_version(POST_A) == 0
        await log.store.append([proposed(POST_A, 1, liked("a"), liked("b")), proposed(POST_B)])
        assert await log.past_events.last_version(POST_A) == 2
        await log.store.append([proposed(POST_A, 3, liked("c"), liked("d"), liked("e"))])
        assert (await log.past_events.last_version(POST_A), await log.past_events.last_version(POST_B)) == (5, 1)

    # A repeated commit id

    async def test_a_repeated_commit_id_answers_the_stored_commit_and_adds_nothing(self, log: LogHandle) -> None:
        first = proposed(POST_A, 1, liked("ann"))
        await log.store.append([proposed(POST_B), first])
        repeated = proposed(POST_A, 2, liked("bob"), name=f"{POST_A}/1")
        assert await log.store.append([repeated]) == [AlreadyStored(as_stored(first, 2))]
        assert await log.commits.tip() == 2
        assert await log.store.stream_tail(POST_A) == StreamTail(version=1, position=2)

    async def test_a_repeated_commit_id_wins_over_a_taken_version(self, log: LogHandle) -> None:
        first = proposed(POST_A)
        await log.store.append([first])
        assert await log.store.append([first]) == [AlreadyStored(as_stored(first, 1))]

    async def test_a_commit_id_is_unique_over_all_streams(self, log: LogHandle) -> None:
        first = proposed(POST_A, name="the same key")
        await log.store.append([first])
        assert await log.store.append([proposed(POST_B, name="the same key")]) == [AlreadyStored(as_stored(first, 1))]
        assert await log.store.read_stream(POST_B) == []

    async def test_a_commit_id_repeated_in_one_call_is_stored_once(self, log: LogHandle) -> None:
        first = proposed(POST_A, name="the same key")
        again = proposed(POST_B, name="the same key")
        outcomes = await log.store.append([first, again, proposed(POST_C)])
        assert outcomes == [Appended(1), AlreadyStored(as_stored(first, 1)), Appended(2)]

    # A taken version

    async def test_a_taken_version_is_refused(self, log: LogHandle) -> None:
        await log.store.append([proposed(POST_A, name="first")])
        assert await log.store.append([proposed(POST_A, name="second")]) == [VersionTaken()]
        assert await log.store.find_commit(commit_id("second")) is None
        assert await log.commits.tip() == 1

    @pytest.mark.parametrize("version", [4, 5, 6])
    async def test_a_version_inside_a_stored_commit_is_taken(self, log: LogHandle, version: int) -> None:
        three = (liked("a"), liked("b"), liked("c"))
        await log.store.append([proposed(POST_A, 1, *three), proposed(POST_A, 4, *three)])
        assert await log.store.append([proposed(POST_A, version, liked("d"), name="late")]) == [VersionTaken()]
        assert await log.store.stream_tail(POST_A) == StreamTail(version=6, position=2)

    async def test_a_commit_that_reaches_over_a_stored_one_is_refused(self, log: LogHandle) -> None:
        await log.store.append([proposed(POST_A, 1), proposed(POST_A, 2)])
        longer = proposed(POST_A, 2, liked("a"), liked("b"), liked("c"), name="longer")
        assert await log.store.append([longer]) == [VersionTaken()]

    async def test_of_two_rivals_in_one_call_the_first_wins(self, log: LogHandle) -> None:
        rivals = [proposed(POST_A, name="first"), proposed(POST_A, name="second")]
        assert await log.store.append(rivals) == [Appended(1), VersionTaken()]

    async def test_of_two_rivals_in_two_processes_exactly_one_wins(self, log: LogHandle, other: LogHandle) -> None:
        for version in range(1, 21):
            outcomes = await asyncio.gather(
                log.store.append([proposed(POST_A, version, name=f"mine {version}")]),
                other.store.append([proposed(POST_A, version, name=f"theirs {version}")]),
            )
            assert sorted(outcomes, key=str) == [[Appended(version)], [VersionTaken()]]

    # A failure inside a group

    async def test_a_taken_version_in_a_group_leaves_the_others_whole(self, log: LogHandle) -> None:
        await log.store.append([proposed(POST_B, name="first")])
        outcomes = await log.store.append(
            [
                proposed(POST_A, 1, liked("a"), liked("b")),
                proposed(POST_B, 1, name="late"),
                proposed(POST_C),
                proposed(POST_B, 2),
                proposed(POST_A, 3),
            ]
        )
        assert outcomes == [Appended(2), VersionTaken(), Appended(3), NotTried(), Appended(4)]
        stored = [(c.position, c.stream_id, c.version, c.last_version) for c in await log.commits.read(1)]
        assert stored == [(2, POST_A, 1, 2), (3, POST_C, 1, 1), (4, POST_A, 3, 3)]
        assert await log.store.stream_tail(POST_B) == StreamTail(version=1, position=1)

    async def test_a_repeated_commit_id_in_a_group_leaves_the_others_whole(self, log: LogHandle) -> None:
        first = proposed(POST_B)
        await log.store.append([first])
        outcomes = await log.store.append([proposed(POST_A), first, proposed(POST_B, 2), proposed(POST_C)])
        assert outcomes == [Appended(2), AlreadyStored(as_stored(first, 1)), NotTried(), Appended(3)]
        assert [c.position for c in await log.commits.read(0)] == [1, 2, 3]

    async def test_after_a_failure_everything_later_of_its_stream_is_left_out(self, log: LogHandle) -> None:
        await log.store.append([proposed(POST_A, name="first")])
        outcomes = await log.store.append(
            [proposed(POST_A, 1, name="late"), proposed(POST_A, 2), proposed(POST_A, 3), proposed(POST_B)]
        )
        assert outcomes == [VersionTaken(), NotTried(), NotTried(), Appended(2)]

    async def test_what_was_left_out_can_be_appended_afterwards(self, log: LogHandle) -> None:
        await log.store.append([proposed(POST_A, name="first")])
        skipped = proposed(POST_A, 2)
        await log.store.append([proposed(POST_A, 1, name="late"), skipped])
        assert await log.store.append([skipped]) == [Appended(2)]

    async def test_many_failures_in_one_group_leave_no_gap(self, log: LogHandle) -> None:
        posts = [POST_A, POST_B, POST_C]
        await log.store.append([proposed(post) for post in posts])
        group = [
            proposed(posts[number % 3], 2 + number // 3, name=None if number % 5 else f"{POST_A}/1")
            for number in range(30)
        ]
        outcomes = await log.store.append(group)
        appended = [outcome.position for outcome in outcomes if isinstance(outcome, Appended)]
        assert appended == list(range(4, 4 + len(appended)))
        assert [c.position for c in await log.commits.read(0)] == list(range(1, 4 + len(appended)))

    # Reading one stream

    async def test_an_unknown_stream_is_empty_and_has_no_tail(self, log: LogHandle) -> None:
        await log.store.append([proposed(POST_B)])
        assert await log.store.read_stream(POST_A) == []
        assert await log.store.stream_tail(POST_A) is None

    async def test_a_stream_is_read_oldest_first_and_alone(self, log: LogHandle) -> None:
        commits = [proposed(POST_A, 1), proposed(POST_B, 1), proposed(POST_A, 2), proposed(POST_B, 2)]
        await log.store.append(commits)
        assert await log.store.read_stream(POST_A) == [as_stored(commits[0], 1), as_stored(commits[2], 3)]

    async def test_a_stream_is_read_in_pages(self, log: LogHandle) -> None:
        await log.store.append([proposed(POST_A, version) for version in range(1, 8)])
        pages: list[list[int]] = []
        after = 0
        while page := await log.store.read_stream(POST_A, after_version=after, limit=3):
            pages.append([c.version for c in page])
            after = page[-1].last_version
        assert pages == [[1, 2, 3], [4, 5, 6], [7]]

    @pytest.mark.parametrize(
        ("after", "versions"), [(0, [1, 4]), (1, [1, 4]), (2, [1, 4]), (3, [4]), (4, [4]), (5, [])]
    )
    async def test_a_version_inside_a_commit_begins_with_that_whole_commit(
        self, log: LogHandle, after: int, versions: list[int]
    ) -> None:
        await log.store.append(
            [proposed(POST_A, 1, liked("a"), liked("b"), liked("c")), proposed(POST_A, 4, liked("d"), liked("e"))]
        )
        assert [c.version for c in await log.store.read_stream(POST_A, after_version=after)] == versions

    async def test_a_page_of_a_stream_has_about_sixteen_megabytes(self, log: LogHandle) -> None:
        text = "x" * (MEGABYTE - 100)
        for version in range(1, 21):
            await log.store.append([with_data(POST_A, version, {"message": text})])
        first = await log.store.read_stream(POST_A)
        assert [c.version for c in first] == list(range(1, len(first) + 1))
        assert 14 <= len(first) <= 18
        second = await log.store.read_stream(POST_A, after_version=first[-1].last_version)
        assert [c.version for c in first + second] == list(range(1, 21))

    async def test_the_tail_of_a_stream_is_its_last_version_and_that_commit_s_position(self, log: LogHandle) -> None:
        await log.store.append([proposed(POST_A), proposed(POST_A, 2, liked("a"), liked("b")), proposed(POST_B)])
        assert await log.store.stream_tail(POST_A) == StreamTail(version=3, position=2)

    async def test_the_tail_shows_what_another_process_was_acknowledged(self, log: LogHandle, other: LogHandle) -> None:
        for version in range(1, 21):
            await other.store.append([proposed(POST_A, version)])
            assert await log.store.stream_tail(POST_A) == StreamTail(version=version, position=version)

    async def test_a_commit_is_found_by_its_id(self, log: LogHandle) -> None:
        commit = proposed(POST_A, 1, liked("ann"), name="wanted")
        await log.store.append([proposed(POST_B), commit])
        for finder in (log.store, log.past_events):
            assert await finder.find_commit(commit_id("wanted")) == as_stored(commit, 2)
            assert await finder.find_commit(commit_id("nobody's")) is None

    # Receipts of requests that changed nothing

    async def test_a_receipt_is_found_by_every_process(self, log: LogHandle, other: LogHandle) -> None:
        wanted = [receipt("one", position=1), receipt("two", position=2**40)]
        await log.store.keep_receipts(wanted)
        for store in (log.store, other.store):
            found = [await store.find_receipt(each.commit_id) for each in wanted]
            assert found == wanted
            assert [type(each.position) for each in found if each] == [int, int]
            assert await store.find_receipt(commit_id("nobody's")) is None

    async def test_the_first_receipt_of_an_id_stays(self, log: LogHandle, other: LogHandle) -> None:
        first, second, new = receipt("same", position=1), receipt("same", position=2), receipt("new", position=3)
        await log.store.keep_receipts([first])
        await other.store.keep_receipts([second, new])
        assert await log.store.find_receipt(first.commit_id) == first
        assert await log.store.find_receipt(new.commit_id) == new

    async def test_processes_that_keep_one_receipt_at_once_keep_one(self, log: LogHandle, other: LogHandle) -> None:
        rivals = [receipt("same", position=n) for n in range(1, 11)]
        await asyncio.gather(*(store.keep_receipts([each]) for each in rivals for store in (log.store, other.store)))
        found = [await store.find_receipt(rivals[0].commit_id) for store in (log.store, other.store)]
        assert found[0] == found[1]
        assert found[0] in rivals

    async def test_receipts_are_no_commits(self, log: LogHandle) -> None:
        await log.store.keep_receipts([receipt("one", position=1)])
        assert await log.commits.tip() == 0
        assert await log.store.find_commit(commit_id("one")) is None
        assert await log.store.append([proposed(POST_A, name="one")]) == [Appended(1)]

    # What is stored comes back exactly

    @pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
    async def test_a_text_comes_back_exactly(self, log: LogHandle, text: str) -> None:
        commit = proposed(
            POST_A, 1, StoredEvent("PostCreated", 1, {"author": text, "message": text}), metadata={"actor": text}
        )
        await log.store.append([commit])
        assert await log.store.read_stream(POST_A) == [as_stored(commit, 1)]

    @pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
    async def test_a_value_comes_back_exactly_and_with_its_type(self, log: LogHandle, value: Any) -> None:
        await log.store.append([with_data(POST_A, 1, {"value": value})])
        [commit] = await log.store.read_stream(POST_A)
        assert repr(commit.events[0].data["value"]) == repr(value)

    async def test_the_order_of_fields_and_events_stays(self, log: LogHandle) -> None:
        commit = proposed(POST_A, 1, StoredEvent("Z", 7, {"z": 1, "a": 2, "m": 3}), StoredEvent("A", 1, {}))
        await log.store.append([commit])
        [stored] = await log.store.read_stream(POST_A)
        assert [(event.type, event.schema_version, list(event.data)) for event in stored.events] == [
            ("Z", 7, ["z", "a", "m"]),
            ("A", 1, []),
        ]

    @pytest.mark.parametrize(
        "recorded_at",
        [
            datetime(2026, 11, 23, 15, 46, 58, 123_000, tzinfo=UTC),
            datetime(2026, 11, 23, 15, 46, 58, 1_000, tzinfo=UTC),
            datetime(2026, 11, 23, 15, 46, 58, 999_000, tzinfo=UTC),
            datetime(2026, 11, 23, tzinfo=UTC),
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
        ],
        ids=str,
    )
    async def test_recorded_at_keeps_its_milliseconds(self, log: LogHandle, recorded_at: datetime) -> None:
        await log.store.append([proposed(POST_A, recorded_at=recorded_at)])
        [commit] = await log.store.read_stream(POST_A)
        assert commit.recorded_at == recorded_at
        assert commit.recorded_at.utcoffset() == recorded_at.utcoffset()

    async def test_recorded_at_may_run_backwards(self, log: LogHandle) -> None:
        later, earlier = datetime(2026, 11, 23, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)
        await log.store.append([proposed(POST_A, 1, recorded_at=later)])
        assert await log.store.append([proposed(POST_A, 2, recorded_at=earlier)]) == [Appended(2)]

    @pytest.mark.parametrize(
        "metadata",
        [{}, {"actor": "Ann", "correlationId": "a b", "causationId": "c", "traceparent": "00-1-2-01", "other": ""}],
        ids=["none", "all"],
    )
    async def test_metadata_comes_back(self, log: LogHandle, metadata: dict[str, str]) -> None:
        await log.store.append([proposed(POST_A, metadata=metadata)])
        [commit] = await log.store.read_stream(POST_A)
        assert commit.metadata == metadata

"""The import of posts: each line once, whatever happens in between."""

import json

import pytest

from adapters.memory.commit_log import MemoryCommitLog
from adapters.memory.event_store import MemoryEventStore
from adapters.memory.log import MemoryLog
from adapters.memory.snapshots import MemorySnapshots
from application.command_side.import_lines import BadLine, parse_line
from application.command_side.import_posts import ImportedLine, PostImport
from application.errors import StoreUnavailable
from application.ports.event_store import Unsettled
from command_process import CODEC, CommandProcess, SteppingClock, stored_types
from domain.events import PostCreated


def line(external_id: str = "x1", **changes: object) -> bytes:
    plain = {
        "externalId": external_id,
        "author": "Ann",
        "message": "Hello",
        "datePosted": "2008-07-31T07:21:09Z",
        "likes": 3,
    }
    return json.dumps(plain | changes).encode()


@pytest.fixture
def log():
    return MemoryLog()


@pytest.fixture
def store(log):
    return MemoryEventStore(log)


def importing(store, log, patience: float = 60.0) -> PostImport:
    process = CommandProcess(store, MemorySnapshots(log))
    return PostImport(process.commands, SteppingClock(), in_flight=4, patience=patience)


async def run(post_import: PostImport, *lines: bytes) -> list[ImportedLine | BadLine]:
    return sorted([each async for each in post_import.run(lines)], key=lambda each: each.number)


async def test_a_line_becomes_a_post_with_anonymous_likes(store, log):
    results = await run(importing(store, log), line())

    (commit,) = await MemoryCommitLog(log).read(0)
    assert results == [ImportedLine(1, 4, 4)]
    assert stored_types([commit]) == ["PostCreated", "PostLiked", "PostLiked", "PostLiked"]
    assert commit.events[0].data == {"author": "Ann", "message": "Hello", "datePosted": "2008-07-31T07:21:09.000Z"}
    assert [event.data for event in commit.events[1:]] == [{"username": None}] * 3
    assert isinstance(CODEC.decode(commit)[0].event, PostCreated)


async def test_many_likes_take_several_commits_of_at_most_1000_events(store, log):
    await run(importing(store, log), line(likes=2_500))

    commits = await MemoryCommitLog(log).read(0)
    assert [len(commit.events) for commit in commits] == [1000, 1000, 501]
    assert [commit.version for commit in commits] == [1, 1001, 2001]


async def test_a_second_import_changes_nothing(store, log):
    lines = [line(f"x{n}", likes=n) for n in range(20)]
    await run(importing(store, log), *lines)
    tip = await MemoryCommitLog(log).tip()

    results = await run(importing(store, log), *lines)

    assert await MemoryCommitLog(log).tip() == tip == 20
    assert {each.new_events for each in results} == {0}


async def test_an_interrupted_import_goes_on_where_the_log_stops(store, log):
    append, appended = store.append, 0

    async def stop_after_two(commits):
        nonlocal appended
        appended += 1
        return await append(commits) if appended <= 2 else [Unsettled("The store is away.") for _ in commits]

    store.append = stop_after_two
    with pytest.raises(StoreUnavailable):
        await run(importing(store, log, patience=0.0), line(likes=4_500))
    store.append = append
    results = await run(importing(store, log), line(likes=4_500))

    commits = await MemoryCommitLog(log).read(0)
    assert results == [ImportedLine(1, 4_501, 2_501)]
    assert sum(len(commit.events) for commit in commits) == 4_501


async def test_a_store_that_is_away_for_a_moment_is_asked_again(store, log):
    append = store.append

    async def away_once(commits):
        store.append = append
        return [Unsettled("The store is away.") for _ in commits]

    store.append = away_once
    assert await run(importing(store, log), line()) == [ImportedLine(1, 4, 4)]


async def test_bad_lines_are_reported_with_their_number_and_the_rest_goes_on(store, log):
    results = await run(
        importing(store, log), line("x1"), b"{not json", b"", line("x2", message=" "), line("x3", likes=-1), line("x4")
    )

    assert [each.number for each in results] == [1, 2, 4, 5, 6]
    assert [each.number for each in results if isinstance(each, BadLine)] == [2, 4, 5]
    assert await MemoryCommitLog(log).tip() == 2


async def test_the_same_external_id_with_another_content_is_a_bad_line(store, log):
    await run(importing(store, log), line("x1"))
    (result,) = await run(importing(store, log), line("x1", message="Other"))

    assert isinstance(result, BadLine)
    assert "another content" in result.reason
    assert await MemoryCommitLog(log).tip() == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"\xff", "it is not UTF-8 text"),
        (b"[]", "it is not a JSON object"),
        (b"{", "it is not JSON"),
        (b'{"likes": 1}', "externalId is missing; author is missing; message is missing; datePosted is missing"),
        (line(extra=1), "'extra' is not a known field"),
        (line(author=7), "author is not a text"),
        (line(external_id=" "), "externalId must have 1 to 200 characters"),
        (line(message="half \ud83d"), "message holds half of a surrogate pair"),
        (line(likes=True), "likes is not a whole number"),
        (line(likes=1.5), "likes is not a whole number"),
        (line(datePosted="yesterday"), "datePosted is not a time with its offset"),
        (line(datePosted="2008-07-31T07:21:09"), "datePosted is not a time with its offset"),
        (line(datePosted="0001-01-01T00:00:00+23:00"), "datePosted is not a time with its offset"),
        (b"[" * 100_000, "it is nested too deeply"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(bad: bytes, reason: str):
    result = parse_line(7, bad)

    assert isinstance(result, BadLine)
    assert result.number == 7
    assert reason in result.reason

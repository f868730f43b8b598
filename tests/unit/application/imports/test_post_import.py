"""The import of posts: each line exactly once, whatever happens in between."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime

import pytest

from adapters.memory.log import MemoryCommitLog, MemoryEventStore, MemoryLog, MemorySnapshots
from application.errors import StoreUnavailable
from application.imports import post_import
from application.imports.post_import import ImportedLine, PostImport, UnfinishedLine
from application.imports.post_lines import BadLine, PostLine, parse_line
from application.mediator import CommandContext
from application.ports.event_store import Unsettled
from command_process import CODEC, CommandProcess, SteppingClock, stored_types
from domain.commands import RemovePost
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
    return PostImport(process.commands, store, CODEC, SteppingClock(), in_flight=4, patience=patience)


async def run(post_import: PostImport, *lines: bytes) -> list[ImportedLine | BadLine]:
    return sorted([each async for each in post_import.run(lines)], key=lambda each: each.number)


async def test_a_line_becomes_a_post_with_anonymous_likes(store, log):
    results = await run(importing(store, log), line())

    (commit,) = await MemoryCommitLog(log).read(0)
    assert results == [ImportedLine(1, 4, 4)]
    assert stored_types([commit]) == ["PostCreated", "PostLiked", "PostLiked", "PostLiked"]
    assert commit.events[0].data == {"author": "Ann", "message": "Hello", "datePosted": "2008-07-31T07:21:09.000Z"}
    assert [event.data for event in commit.events[1:]] == [{"username": None}] * 3
    assert isinstance(CODEC.decode(commit)[0], PostCreated)


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


async def test_an_interrupted_import_resumes_where_the_log_ends(store, log):
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


async def test_an_import_retries_while_the_store_is_unavailable(store, log):
    append = store.append

    async def away_once(commits):
        store.append = append
        return [Unsettled("The store is away.") for _ in commits]

    store.append = away_once
    assert await run(importing(store, log), line()) == [ImportedLine(1, 4, 4)]


async def test_bad_lines_are_reported_with_their_number_and_the_others_are_imported(store, log):
    results = await run(
        importing(store, log), line("x1"), b"{not json", b"", line("x2", message=" "), line("x3", likes=-1), line("x4")
    )

    assert [each.number for each in results] == [1, 2, 4, 5, 6]
    assert [each.number for each in results if isinstance(each, BadLine)] == [2, 4, 5]
    assert await MemoryCommitLog(log).tip() == 2


async def test_the_same_external_id_with_different_content_is_a_bad_line(store, log):
    await run(importing(store, log), line("x1"))
    (result,) = await run(importing(store, log), line("x1", message="Other"))

    assert isinstance(result, BadLine)
    assert "different content" in result.reason
    assert await MemoryCommitLog(log).tip() == 1


# Interruptions


def gives_up_after(store, commits: int):
    """The store accepts so many commits and is unavailable then. Returns a function that makes it available again."""
    append, taken = store.append, 0

    async def append_some(group):
        nonlocal taken
        taken += len(group)
        return await append(group) if taken <= commits else [Unsettled("The store is away.") for _ in group]

    store.append = append_some

    def back() -> None:
        store.append = append

    return back


async def test_an_unfinished_line_is_reported_with_what_the_log_has_of_it(store, log):
    gives_up_after(store, 2)
    post_import = importing(store, log, patience=0.0)
    with pytest.raises(StoreUnavailable):
        await run(post_import, line(likes=4_500))

    assert post_import.left == [UnfinishedLine(1, events=4_501, in_log=2_000, new_events=2_000)]
    assert sum(len(commit.events) for commit in await MemoryCommitLog(log).read(0)) == 2_000


async def test_an_interrupted_import_reports_commands_in_flight_too(store, log):
    """It was in flight, and is in the log."""
    append = store.append
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def append_slowly(group):
        if await MemoryCommitLog(log).tip() == 2:
            reached.set()
            await go_on.wait()
        return await append(group)

    store.append = append_slowly
    post_import = importing(store, log)
    running = asyncio.create_task(run(post_import, line("x1", likes=0), line("x2", likes=4_500)))
    await reached.wait()
    running.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await running

    left = {each.number: each for each in post_import.left}
    stored = sum(len(commit.events) for commit in await MemoryCommitLog(log).read(0))
    assert left[2] == UnfinishedLine(2, events=4_501, in_log=stored - 1, new_events=stored - 1)
    assert stored in (2_001, 3_001)


async def test_results_that_were_not_yielded_before_an_interruption_are_not_lost(store, log):
    post_import = importing(store, log, patience=0.0)
    gives_up_after(store, 3)
    yielded = []

    async def listen():
        async for result in post_import.run([line("x1", likes=0), line("x2", likes=0), line("x3", likes=4_500)]):
            yielded.append(result)  # noqa: PERF401 (the results before it raises)

    with pytest.raises(StoreUnavailable):
        await listen()
    known = {each.number for each in yielded} | {each.number for each in post_import.left}
    assert {1, 2} <= known
    assert await MemoryCommitLog(log).tip() == 3


@pytest.mark.parametrize(("unfinished_after", "later_likes"), [(1, 4_500), (2, 4_500), (2, 7_000), (5, 7_000)])
async def test_a_later_dump_of_an_unfinished_post_finishes_it(store, log, unfinished_after, later_likes):
    back = gives_up_after(store, unfinished_after)
    if unfinished_after < 5:
        with pytest.raises(StoreUnavailable):
            await run(importing(store, log, patience=0.0), line(likes=4_500))
    else:
        await run(importing(store, log), line(likes=4_500))
    back()

    (finished,) = await run(importing(store, log), line(likes=later_likes))
    (again,) = await run(importing(store, log), line(likes=later_likes))

    commits = await MemoryCommitLog(log).read(0)
    events = [event.type for commit in commits for event in commit.events]
    assert events == ["PostCreated", *["PostLiked"] * later_likes]
    assert finished.events == 1 + later_likes
    assert again == ImportedLine(1, 1 + later_likes, 0)


async def test_a_later_dump_adds_the_likes_that_came_since(store, log):
    await run(importing(store, log), line(likes=3))
    assert await run(importing(store, log), line(likes=5)) == [ImportedLine(1, 6, 2)]
    assert await run(importing(store, log), line(likes=5)) == [ImportedLine(1, 6, 0)]
    assert await run(importing(store, log), line(likes=3)) == [ImportedLine(1, 4, 0)]
    commits = await MemoryCommitLog(log).read(0)
    assert [len(commit.events) for commit in commits] == [4, 2]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"likes": 3, "message": "Other"}, "different content"),
        ({"likes": 4_500, "message": "Other"}, "different content"),
        ({"likes": 4_500, "author": "Bob"}, "different content"),
        ({"likes": 4_500, "datePosted": "2008-07-31T07:21:10Z"}, "different content"),
        ({"likes": 2}, "more likes than 2: a later dump may have more likes, but not fewer"),
    ],
)
async def test_a_dump_that_contradicts_the_log_is_a_bad_line(store, log, changes, reason):
    await run(importing(store, log), line(likes=3))
    (result,) = await run(importing(store, log), line(**changes))

    assert isinstance(result, BadLine)
    assert result.reason == f'externalId "x1" was imported before with {reason}'
    assert await MemoryCommitLog(log).tip() == 1


async def test_a_line_that_is_refused_half_way_reports_what_the_log_has_of_it(store, log):
    back = gives_up_after(store, 1)
    with pytest.raises(StoreUnavailable):
        await run(importing(store, log, patience=0.0), line(likes=2_500))
    back()
    commit = (await MemoryCommitLog(log).read(0))[0]
    process = CommandProcess(store, MemorySnapshots(log))
    await process.commands.handle(RemovePost(post_id=commit.stream_id, username="Ann"), CommandContext())

    (result,) = await run(importing(store, log), line(likes=2_500))

    assert isinstance(result, BadLine)
    assert result.reason.endswith("(1,000 of its 2,501 events are in the log)")


async def test_lines_imported_by_earlier_versions_are_recognized_whatever_classes_are_called(store, log):
    """The digest that the first versions stored is that of Python's text of a line."""
    await run(importing(store, log), line(message='It\'s "ünïcode" 🙂', likes=0))
    (commit,) = await MemoryCommitLog(log).read(0)
    text = (
        "PostLine(external_id='x1', author='Ann', message='It\\'s \"ünïcode\" 🙂', "
        "date_posted=datetime.datetime(2008, 7, 31, 7, 21, 9, tzinfo=datetime.timezone.utc), likes=0)"
    )
    assert commit.metadata["requestDigest"] == hashlib.sha256(text.encode()).hexdigest()


async def test_lines_with_another_digest_are_recognized_by_their_content(store, log, monkeypatch):
    """For example, lines imported by a version that computes the digest differently."""
    with monkeypatch.context() as older:
        older.setattr(post_import, "_digest", lambda post: "another")
        await run(importing(store, log), line(likes=2_500))
    tip = await MemoryCommitLog(log).tip()
    assert await run(importing(store, log), line(likes=2_500)) == [ImportedLine(1, 2_501, 0)]
    assert await MemoryCommitLog(log).tip() == tip


# Bad lines


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"externalId": "\xff"}', "it is not UTF-8 text: byte 0xff at byte 17"),
        ('{"externalId": "5€"}'.encode("utf-16"), "it is not UTF-8 text: byte 0xff at byte 1"),
        (b"[]", "it is not a JSON object but an array"),
        (b"null", "it is not a JSON object but null"),
        (b"{", "it is not JSON: it ends at column 1"),
        (b"{'likes': 1}", """it is not JSON from column 2 on: "'likes': 1}\""""),
        (b'{"likes": 1,}', 'it is not JSON from column 13 on: "}"'),
        (b'{"likes": 1} {}', 'it is not JSON from column 14 on: "{}"'),
        (line() + b"\0", 'it is not JSON from column 108 on: "\\u0000"'),
        (b'{"likes": 1}', "externalId is missing; author is missing; message is missing; datePosted is missing"),
        (line(extra=1), '"extra" is not a known field (it is 1)'),
        (line(a=1, b=2, c=3, d=4), '"c" is not a known field (it is 3); and 1 more unknown fields'),
        (line(author=7), "author is 7; it must be text"),
        (line(author=None), "author is null; it must be text"),
        (line(message=["x"]), "message is an array; it must be text"),
        (line(external_id=" "), 'externalId is " "; it must be 1 to 200 characters, not only whitespace'),
        (line(external_id="x" * 201), f'externalId is "{"x" * 60}"… (201 characters); it must be 1 to 200'),
        (line(message="half \ud83d"), "contains an unpaired surrogate"),
        (line(likes=True), "likes is true; it must be a whole number from 0 to 10,000,000"),
        (line(likes=1.5), "likes is 1.5; it must be a whole number"),
        (line(likes=-1), "likes is -1; it must be a whole number"),
        (line(likes="3"), 'likes is "3"; it must be a whole number'),
        (line().replace(b": 3", b": 1" + b"0" * 5_000), f"likes is 1{'0' * 59}… (5,001 characters); it must be"),
        (line().replace(b": 3", b": NaN"), "likes is NaN; it must be a whole number"),
        (line().replace(b": 3", b": -Infinity"), "likes is -Infinity; it must be a whole number"),
        (line().replace(b": 3", b": 1e999"), "likes is 1e999; it must be a whole number"),
        (line().replace(b": 3", b': 3, "likes": 4'), "likes appears twice, as 3 and 4"),
        (line().replace(b": 3", b': 3, "x": {"a": 1, "a": 2}'), '"a" appears twice, as 1 and 2'),
        (line(datePosted="yesterday"), 'datePosted is "yesterday"; it must be a time with its offset'),
        (line(datePosted="2008-07-31T07:21:09"), 'datePosted is "2008-07-31T07:21:09"; it must be a time with its'),
        (line(datePosted="2008-12-31T23:59:60Z"), "leap seconds (:60) can't be stored, use the second before"),
        (line(datePosted="2008-12-31T23:59:60z"), 'datePosted is "2008-12-31T23:59:60z"; it must be a time with'),
        (line(datePosted="0001-01-01T00:00:00+23:00"), 'datePosted is "0001-01-01T00:00:00+23:00"; it must be'),
        (b"[" * 100_000, "it is nested too deeply"),
        (line(message="x" * 2_000_000), "it is longer than 2,000,000 bytes (limits.import_line)"),
    ],
)
def test_a_bad_line_is_reported_with_its_reason(bad: bytes, reason: str):
    result = parse_line(7, bad, 2_000_000)

    assert isinstance(result, BadLine)
    assert result.number == 7
    assert reason in result.reason


@pytest.mark.parametrize("text", ["2008-07-31t07:21:09z", "2008-07-31T09:21:09.000999+02:00", "2008-07-31 07:21:09Z"])
def test_all_forms_of_times_of_rfc_3339_are_accepted(text: str):
    parsed = parse_line(1, line(datePosted=text), 2_000_000)
    assert isinstance(parsed, PostLine)
    assert parsed.date_posted == datetime(2008, 7, 31, 7, 21, 9, tzinfo=UTC)


def test_a_byte_order_mark_is_no_part_of_a_line():
    assert parse_line(1, b"\xef\xbb\xbf" + line(), 2_000_000) == parse_line(1, line(), 2_000_000)


# Several lines of one file


async def results_of(post_import: PostImport, *lines: bytes) -> list[ImportedLine | BadLine]:
    return [each async for each in post_import.run(lines)]


async def test_results_come_in_the_order_of_lines(store, log):
    lines = [line("slow", likes=6_500), *(line(f"x{n}", likes=n % 3) for n in range(30)), b"nonsense", line("last")]
    results = await results_of(importing(store, log), *lines)
    assert [each.number for each in results] == list(range(1, 34))


async def test_the_second_line_with_the_same_id_is_refused_and_names_the_first(store, log):
    results = await results_of(importing(store, log), line("x1", likes=4_500), line("x2"), line("x1", message="Other"))
    assert results[2] == BadLine(3, 'externalId "x1" is already on line 1 of this file, with different content')
    assert [each.events for each in results[:2]] == [4_501, 4]


async def test_a_repeated_line_adds_nothing(store, log):
    assert await results_of(importing(store, log), line(), line()) == [ImportedLine(1, 4, 4), ImportedLine(2, 4, 0)]


async def test_a_line_that_was_imported_before_is_not_reported_as_in_the_file(store, log):
    await results_of(importing(store, log), line(message="First"))
    results = await results_of(importing(store, log), line(), line())
    reason = 'externalId "x1" was imported before with different content'
    assert results == [BadLine(1, reason), BadLine(2, reason)]


async def test_lines_no_longer_remembered_are_not_reported_as_of_another_import(store, log, monkeypatch):
    monkeypatch.setattr(post_import, "_REMEMBERED", 2)
    lines = [line(f"x{n}", likes=0) for n in range(4)]
    results = await results_of(importing(store, log), *lines, line("x0", message="Other"), line("x3", message="Other"))
    assert [each.reason for each in results[4:]] == [
        'externalId "x0" was imported before, or is on an earlier line, with different content',
        'externalId "x3" is already on line 4 of this file, with different content',
    ]


async def test_a_value_that_the_rules_refuse_is_shown(store, log):
    [blank, long] = await results_of(importing(store, log), line("x1", author="\u200b"), line("x2", author="x" * 5_000))
    assert blank == BadLine(1, 'author is blank; it needs at least one visible character. The value is "\u200b".')
    assert long.reason.startswith("author has 5,000 characters; at most ")
    assert long.reason.endswith(f'The value is "{"x" * 60}"… (5,000 characters).')


async def test_results_that_wait_for_a_line_before_them_are_bounded(store, log, monkeypatch):
    monkeypatch.setattr(post_import, "_MAX_WAITING", 5)
    taken = 0

    def lines():
        nonlocal taken
        for n in range(100):
            taken += 1
            yield line(f"x{n}", likes=9_500 if n == 0 else 0)

    async for result in importing(store, log).run(lines()):
        if result.number == 1:
            assert taken <= 5 + 4 + 1
            break

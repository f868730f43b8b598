"""Two processes on one log: the log always wins over what a process has cached."""

import asyncio

import pytest

from adapters.memory.log import MemoryEventStore, MemoryLog, MemorySnapshots
from application.errors import IdempotencyKeyReused, StoreUnavailable, VersionMismatch, WriteConflict
from application.ports.event_store import AppendOutcome, VersionTaken
from command_process import ANYBODY, CommandProcess, expecting, keyed, stored_types
from domain.commands import AddComment, CreatePost, EditComment, EditMessage, LikePost, RemovePost, UnlikePost
from domain.errors import NotTheAuthor, PostRemovedAlready
from domain.ids import PostId
from given import COMMENT, LATER, NOON, POST

CREATE = CreatePost(post_id=POST, author="Ann", message="Hello", date_posted=NOON)
LIKE = LikePost(post_id=POST, username="Ann")
UNLIKE = UnlikePost(post_id=POST, username="Ann")
OTHER_POST = PostId("0198c0de-0000-7000-8000-000000000002")


def edit(message: str) -> EditMessage:
    return EditMessage(post_id=POST, message=message, username="Ann", edited_at=LATER)


@pytest.fixture
def store():
    return MemoryEventStore(MemoryLog())


@pytest.fixture
def snapshots(store):
    return MemorySnapshots(store._log)


@pytest.fixture
def one(store, snapshots):
    return CommandProcess(store, snapshots, series=1)


@pytest.fixture
def other(store, snapshots):
    return CommandProcess(store, snapshots, series=2)


async def test_a_like_is_stored_although_the_stale_cache_has_it_already(one, other, store):
    await one.commands.handle(CREATE, ANYBODY)
    await other.commands.handle(LIKE, ANYBODY)
    await one.commands.handle(UNLIKE, ANYBODY)

    result = await other.commands.handle(LIKE, ANYBODY)

    assert (result.version, result.position) == (4, 4)
    commits = await store.read_stream(POST)
    assert stored_types(commits) == ["PostCreated", "PostLiked", "PostUnliked", "PostLiked"]


async def test_a_refusal_is_not_given_on_a_stale_cache(one, other, store):
    await one.commands.handle(CREATE, ANYBODY)
    await other.commands.handle(LIKE, ANYBODY)
    await one.commands.handle(
        AddComment(post_id=POST, comment_id=COMMENT, comment="Nice", username="Bob", comment_date=NOON), ANYBODY
    )

    edited = EditComment(post_id=POST, comment_id=COMMENT, comment="Very nice", username="Bob", edit_date=LATER)
    result = await other.commands.handle(edited, ANYBODY)

    assert result.version == 4


async def test_a_removal_by_another_process_refuses(one, other):
    await one.commands.handle(CREATE, ANYBODY)
    await other.commands.handle(LIKE, ANYBODY)
    await one.commands.handle(RemovePost(post_id=POST, username="Ann"), ANYBODY)

    with pytest.raises(PostRemovedAlready):
        await other.commands.handle(UNLIKE, ANYBODY)


async def test_a_version_that_the_cache_does_not_know_yet_is_accepted_by_if_match(one, other):
    await one.commands.handle(CREATE, ANYBODY)
    await other.commands.handle(LIKE, ANYBODY)
    await one.commands.handle(edit("Second"), ANYBODY)

    result = await other.commands.handle(edit("Third"), expecting(3))

    assert result.version == 4


async def test_one_of_two_requests_that_expect_the_same_version_wins(one, other):
    await one.commands.handle(CREATE, ANYBODY)
    await other.commands.handle(LIKE, ANYBODY)

    results = await asyncio.gather(
        one.commands.handle(edit("Mine"), expecting(2)),
        other.commands.handle(edit("No, mine"), expecting(2)),
        return_exceptions=True,
    )

    refused = [each for each in results if isinstance(each, VersionMismatch)]
    assert len(refused) == 1
    assert refused[0].current_version == 3


async def test_the_same_key_at_once_in_two_processes_has_one_effect_and_one_answer(one, other, store):
    first, second = (
        CreatePost(post_id=post_id, author="Ann", message="Hello", date_posted=NOON) for post_id in (POST, OTHER_POST)
    )

    answers = await asyncio.gather(
        one.commands.handle(first, keyed("key-1")), other.commands.handle(second, keyed("key-1"))
    )

    assert {(each.post_id, each.version, each.position) for each in answers} == {(answers[0].post_id, 1, 1)}
    assert sorted(each.replayed for each in answers) == [False, True]
    assert len(await store.read_stream(POST)) + len(await store.read_stream(OTHER_POST)) == 1


async def test_a_used_key_is_answered_from_the_log_after_a_restart(one, other):
    comment = AddComment(post_id=POST, comment_id=COMMENT, comment="Nice", username="Bob", comment_date=NOON)
    await one.commands.handle(CREATE, ANYBODY)
    first = await one.commands.handle(comment, keyed("key-2"))
    await one.commands.handle(LIKE, ANYBODY)

    again = await other.commands.handle(comment, keyed("key-2"))

    assert (
        (again.version, again.position, again.comment_id) == (first.version, first.position, COMMENT) == (2, 2, COMMENT)
    )


async def test_a_used_key_is_looked_up_before_if_match(one, other):
    await one.commands.handle(CREATE, ANYBODY)
    await one.commands.handle(edit("Second"), keyed("key-3", expected_version=1))

    again = await other.commands.handle(edit("Second"), keyed("key-3", expected_version=1))

    assert again.version == 2


async def test_a_key_used_by_another_request_is_refused(one):
    await one.commands.handle(CREATE, keyed("key-4", "digest of the creation"))

    with pytest.raises(IdempotencyKeyReused):
        await one.commands.handle(LIKE, keyed("key-4", "digest of the like"))


async def test_a_refused_command_does_not_use_up_its_key(one, store):
    await one.commands.handle(CREATE, ANYBODY)
    with pytest.raises(NotTheAuthor):
        await one.commands.handle(
            EditMessage(post_id=POST, message="Mine", username="Bob", edited_at=LATER), keyed("key-5", "Bob's")
        )

    result = await one.commands.handle(edit("Mine"), keyed("key-5", "Ann's"))

    assert result.version == 2


async def test_a_like_that_was_in_effect_is_not_stored_when_it_is_delivered_again(one, other, store):
    await one.commands.handle(CREATE, ANYBODY)
    await one.commands.handle(LIKE, ANYBODY)
    in_effect = await one.commands.handle(LIKE, keyed("key-6"))
    await one.commands.handle(UNLIKE, ANYBODY)

    again = await one.commands.handle(LIKE, keyed("key-6"))
    elsewhere = await other.commands.handle(LIKE, keyed("key-6"))

    assert [(each.version, each.position) for each in (in_effect, again, elsewhere)] == [(2, 2)] * 3
    assert (await store.stream_tail(POST)).version == 3


async def test_an_edit_that_was_in_effect_does_not_overwrite_a_newer_one(one, other, store):
    await one.commands.handle(CREATE, ANYBODY)
    await one.commands.handle(edit("First"), ANYBODY)
    in_effect = await one.commands.handle(edit("First"), keyed("key-8"))
    await one.commands.handle(edit("Second"), ANYBODY)

    again = await other.commands.handle(edit("First"), keyed("key-8"))

    assert (in_effect.version, again.version, again.replayed) == (2, 2, True)
    assert (await store.stream_tail(POST)).version == 3


async def test_a_key_whose_request_was_in_effect_can_not_be_used_for_another_request(one, other):
    await one.commands.handle(CREATE, ANYBODY)
    await one.commands.handle(edit("Hello"), keyed("key-9", "one"))
    with pytest.raises(IdempotencyKeyReused):
        await other.commands.handle(edit("Something else"), keyed("key-9", "another"))


async def test_duplicates_that_are_in_effect_and_wait_together_get_the_same_answer(one):
    await one.commands.handle(CREATE, ANYBODY)
    await one.commands.handle(LIKE, ANYBODY)
    answers = await asyncio.gather(*(one.commands.handle(LIKE, keyed("key-10")) for _ in range(3)))
    assert {(each.version, each.position) for each in answers} == {(2, 2)}


async def test_no_request_is_answered_before_its_receipt_is_stored(one, store):
    async def away(receipts):
        raise StoreUnavailable("The event store is away.")

    await one.commands.handle(CREATE, ANYBODY)
    await one.commands.handle(LIKE, ANYBODY)
    store.keep_receipts = away
    with pytest.raises(StoreUnavailable):
        await one.commands.handle(LIKE, keyed("key-11"))


async def test_a_key_used_in_the_meantime_wins_over_a_refusal(one, other, store):
    """The duplicate is stored between the first look-up and the decision; the second look-up finds it."""
    await one.commands.handle(CREATE, ANYBODY)
    remove = RemovePost(post_id=POST, username="Ann")
    find_commit, looked_up = store.find_commit, 0

    async def find_after_the_duplicate(commit_id: str):
        nonlocal looked_up
        looked_up += 1
        found = await find_commit(commit_id)
        if looked_up == 1:
            await other.commands.handle(remove, keyed("key-7"))
        return found

    store.find_commit = find_after_the_duplicate
    one.queue._cache.drop(POST)
    result = await one.commands.handle(remove, keyed("key-7"))

    assert (result.version, result.replayed) == (2, True)


async def test_a_request_that_keeps_losing_its_version_gets_a_write_conflict(store, snapshots):
    async def always_too_late(commits) -> list[AppendOutcome]:
        return [VersionTaken() for _ in commits]

    one = CommandProcess(store, snapshots, attempts=3)
    await one.commands.handle(CREATE, ANYBODY)
    store.append = always_too_late

    with pytest.raises(WriteConflict):
        await one.commands.handle(LIKE, ANYBODY)
    assert one.metrics.counts["version_conflicts"] == 3


async def test_nothing_is_refused_because_a_read_after_a_failover_lags(one, store, snapshots, monkeypatch):
    """A new primary may not know at first how much of its log is committed; only the tail of a stream is proven."""
    await one.commands.handle(CREATE, ANYBODY)
    await one.commands.handle(LIKE, ANYBODY)
    read_stream, stream_tail, lags = store.read_stream, store.stream_tail, True

    async def read(post_id, after_version=0, limit=1_000):
        commits = await read_stream(post_id, after_version, limit)
        return [each for each in commits if each.position == 1 or not lags]

    async def tail(post_id):
        nonlocal lags
        lags = False
        return await stream_tail(post_id)

    monkeypatch.setattr(store, "read_stream", read)
    monkeypatch.setattr(store, "stream_tail", tail)
    restarted = CommandProcess(store, snapshots, series=3)

    result = await restarted.commands.handle(UNLIKE, ANYBODY)

    assert (result.version, result.position) == (3, 3)

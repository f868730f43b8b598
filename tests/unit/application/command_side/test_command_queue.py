"""Requests that wait together: decided in order, written together, answered only when the result is durable."""

import asyncio

import pytest

from adapters.memory.log import MemoryCommitLog, MemoryEventStore, MemoryLog, MemorySnapshots
from application.errors import Stopping, StoreUnavailable
from application.ports.event_store import AlreadyStored, Unsettled
from command_process import ANYBODY, CommandProcess, keyed, stored_data, stored_types
from domain.commands import CreatePost, EditMessage, LikePost, PostCommand, RemovePost
from domain.errors import PostRemovedAlready
from domain.ids import PostId
from given import LATER, NOON, POST

CREATE = CreatePost(post_id=POST, author="Ann", message="Hello", date_posted=NOON)
POSTS = [PostId(f"0198c0de-0000-7000-8000-0000000001{n:02d}") for n in range(64)]


def like(name: str | None) -> LikePost:
    return LikePost(post_id=POST, username=name)


class HeldStore:
    """A store whose appends wait for `released`; it counts the groups."""

    def __init__(self, store: MemoryEventStore) -> None:
        self.groups: list[int] = []
        self.released = asyncio.Event()
        self.released.set()
        self.begun = asyncio.Event()
        self.find_commit = store.find_commit
        self.find_receipt = store.find_receipt
        self.keep_receipts = store.keep_receipts
        self.read_stream = store.read_stream
        self.stream_tail = store.stream_tail
        self._append = store.append

    async def append(self, commits):
        self.groups.append(len(commits))
        self.begun.set()
        await self.released.wait()
        return await self._append(commits)


@pytest.fixture
def log():
    return MemoryLog()


@pytest.fixture
def store(log):
    return HeldStore(MemoryEventStore(log))


@pytest.fixture
def process(store, log):
    return CommandProcess(store, MemorySnapshots(log))


def sending(process: CommandProcess, *commands: PostCommand) -> list[asyncio.Task]:
    return [asyncio.create_task(process.commands.handle(command, ANYBODY)) for command in commands]


async def test_64_people_like_one_post_in_a_few_writes_and_without_a_conflict(process, store, log):
    await process.commands.handle(CREATE, ANYBODY)
    store.groups.clear()

    results = await asyncio.gather(*sending(process, *(like(f"user {n}") for n in range(64))))

    assert [each.version for each in results] == list(range(2, 66))
    assert [each.position for each in results] == list(range(2, 66))
    assert sum(store.groups) == 64
    assert len(store.groups) <= 2
    assert "version_conflicts" not in process.metrics.counts


async def test_appends_to_many_posts_go_together_while_one_is_in_flight(process, store):
    store.released.clear()
    first = sending(process, CREATE)
    await store.begun.wait()
    others = sending(
        process, *(CreatePost(post_id=each, author="Ann", message="Hi", date_posted=NOON) for each in POSTS)
    )
    await asyncio.sleep(0)
    store.released.set()
    await asyncio.gather(*first, *others)

    assert store.groups == [1, 64]


async def test_a_request_already_in_effect_waits_for_the_commit_that_put_it_in_effect(process, store):
    await process.commands.handle(CREATE, ANYBODY)
    store.released.clear()
    store.begun.clear()
    one, again = sending(process, like("Bob"), like("Bob"))
    await store.begun.wait()
    done, _ = await asyncio.wait([one, again], timeout=0.05)
    assert not done

    store.released.set()
    assert ((await one).version, (await again).version) == (2, 2)
    assert (await again).position == 2


async def test_a_refusal_after_a_failed_commit_is_decided_again(process, store, log):
    """The removal does not become durable, so the like after it must not be refused because of it."""
    await process.commands.handle(CREATE, ANYBODY)
    append = store._append

    async def fail_removals(commits):
        if any(event.type == "PostRemoved" for commit in commits for event in commit.events):
            return [Unsettled("The event store did not answer.") for _ in commits]
        return await append(commits)

    store._append = fail_removals
    removal, liking = sending(process, RemovePost(post_id=POST, username="Ann"), like("Bob"))

    with pytest.raises(StoreUnavailable):
        await removal
    assert (await liking).version == 2


async def test_a_refusal_after_a_durable_commit_is_reported(process):
    await process.commands.handle(CREATE, ANYBODY)

    removal, liking = sending(process, RemovePost(post_id=POST, username="Ann"), like("Bob"))

    assert (await removal).version == 2
    with pytest.raises(PostRemovedAlready):
        await liking


async def test_a_failure_in_a_group_does_not_affect_other_posts(process, store, log):
    """A version taken by another process fails inside the group; the commits after it take the
    positions without a gap.
    """
    other = CommandProcess(MemoryEventStore(log), MemorySnapshots(log), series=1)
    await process.commands.handle(CREATE, ANYBODY)
    await other.commands.handle(like("Cid"), ANYBODY)

    store.released.clear()
    store.begun.clear()
    blocker = sending(process, CreatePost(post_id=POSTS[0], author="Ann", message="Hi", date_posted=NOON))
    await store.begun.wait()
    waiting = sending(
        process,
        like("Bob"),
        *(CreatePost(post_id=each, author="Ann", message="Hi", date_posted=NOON) for each in POSTS[1:4]),
    )
    await asyncio.sleep(0)
    store.released.set()
    results = [each.result() for each in (await asyncio.wait([*blocker, *waiting]))[0]]

    assert sorted(each.position for each in results) == [3, 4, 5, 6, 7]
    commits = await MemoryCommitLog(log).read(0)
    assert [commit.position for commit in commits] == [1, 2, 3, 4, 5, 6, 7]
    liked = [commit for commit in commits if commit.stream_id == POST]
    assert [commit.version for commit in liked] == [1, 2, 3]
    assert stored_data(liked)[1:] == [{"username": "Cid"}, {"username": "Bob"}]


async def test_cancelling_one_caller_does_not_cancel_others(process, store, log):
    await process.commands.handle(CREATE, ANYBODY)
    store.released.clear()
    store.begun.clear()
    gone, stays = sending(process, like("Bob"), like("Cid"))
    await store.begun.wait()
    gone.cancel()
    store.released.set()

    assert (await stays).version == 3
    assert stored_types(await MemoryEventStore(log).read_stream(POST)) == ["PostCreated", "PostLiked", "PostLiked"]


async def test_after_an_unknown_outcome_the_state_is_read_from_the_log_again(process, store, log):
    """The like was stored although its outcome was unknown: the next commit must have the version after it."""
    await process.commands.handle(CREATE, ANYBODY)
    append = store._append

    async def stored_but_unknown(commits):
        await append(commits)
        store._append = append
        return [Unsettled("The connection broke.") for _ in commits]

    store._append = stored_but_unknown
    with pytest.raises(StoreUnavailable):
        await process.commands.handle(like("Bob"), ANYBODY)

    assert (await process.commands.handle(like("Cid"), ANYBODY)).version == 3
    assert (await process.commands.handle(like("Bob"), ANYBODY)).version == 3


async def test_stopping_answers_requests_in_flight_and_accepts_no_more(process, store):
    await process.commands.handle(CREATE, ANYBODY)
    store.released.clear()
    store.begun.clear()
    (under_way,) = sending(process, like("Bob"))
    await store.begun.wait()
    stopping = asyncio.create_task(process.commands.stop())
    await asyncio.sleep(0)
    with pytest.raises(Stopping):
        await process.commands.handle(like("Cid"), ANYBODY)
    assert not stopping.done()

    store.released.set()
    await stopping
    assert (await under_way).version == 2


async def test_a_fault_in_the_store_is_raised_to_its_callers_and_the_next_write_succeeds(process, store):
    await process.commands.handle(CREATE, ANYBODY)
    append = store._append

    async def broken(commits):
        store._append = append
        raise RuntimeError("a fault in the adapter")

    store._append = broken
    with pytest.raises(RuntimeError, match="a fault in the adapter"):
        await process.commands.handle(like("Bob"), ANYBODY)
    assert (await process.commands.handle(like("Bob"), ANYBODY)).version == 2


async def test_a_repeated_commit_id_is_answered_from_the_log(process, store, log):
    """Another process stored a commit with the same id in the meantime: its result is the answer."""
    first = await process.commands.handle(CREATE, ANYBODY)
    append = store._append

    async def stored_before(commits):
        await append(commits)
        found = [await store.find_commit(commit.commit_id) for commit in commits]
        return [AlreadyStored(commit) for commit in found]

    store._append = stored_before
    result = await process.commands.handle(
        EditMessage(post_id=POST, message="New", username="Ann", edited_at=LATER), ANYBODY
    )

    assert (first.version, result.version, result.position, result.replayed) == (1, 2, 2, True)


async def test_the_same_key_sent_twice_at_once_is_written_once(process, store):
    await process.commands.handle(CREATE, ANYBODY)
    store.groups.clear()

    first, duplicate = await asyncio.gather(
        process.commands.handle(like(None), keyed("key")), process.commands.handle(like(None), keyed("key"))
    )

    assert (first.version, first.position) == (duplicate.version, duplicate.position) == (2, 2)
    assert store.groups == [1]

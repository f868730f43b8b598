"""Posts whose state is larger than the whole cache: commands on them don't read their history each time."""

import asyncio
import random
import string
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from adapters.memory.log import MemoryEventStore, MemoryLog, MemorySnapshots
from application.envelopes import Commit, ProposedCommit, StoredEvent
from command_process import ANYBODY, CommandProcess
from contracts.log_handle import POST_A, POST_B, liked, proposed
from domain.commands import LikePost
from domain.ids import PostId

LIKERS = 20_000
LAST = "the last of so many"
CACHE_BYTES = 1_000_000


class CountingStore(MemoryEventStore):
    """Counts the commits that were read from streams."""

    commits_read = 0

    async def read_stream(self, stream_id: PostId, after_version: int = 0, limit: int = 1_000) -> list[Commit]:
        commits = await super().read_stream(stream_id, after_version, limit)
        self.commits_read += len(commits)
        return commits


@pytest.fixture(scope="module")
def names() -> Sequence[str]:
    chance = random.Random(7)
    return [*("".join(chance.choices(string.printable[:94] + "äöüßéèøåæñ", k=200)) for _ in range(LIKERS - 1)), LAST]


@pytest.fixture(scope="module")
def commits(names: Sequence[str]) -> Sequence[ProposedCommit]:
    """Two posts with 20,000 named likers each; each like is a commit."""
    created = StoredEvent(
        "PostCreated", 1, {"author": "Ann", "message": "Hello", "datePosted": "2026-11-23T12:00:00.000Z"}
    )
    events = [created, *map(liked, names)]
    return [proposed(post, version, event) for post in (POST_A, POST_B) for version, event in enumerate(events, 1)]


@pytest.fixture
def log(commits: Sequence[ProposedCommit]) -> MemoryLog:
    log = MemoryLog()
    for commit in commits:
        log.add(commit)
    return log


@pytest.fixture
async def start(log: MemoryLog) -> AsyncIterator[Callable[[], tuple[CommandProcess, CountingStore]]]:
    """Each call starts a process on the log. The first must have stored its snapshots before the next is started."""
    started: list[CommandProcess] = []

    def start() -> tuple[CommandProcess, CountingStore]:
        store = CountingStore(log)
        started.append(CommandProcess(store, MemorySnapshots(log), every=500, cache_bytes=CACHE_BYTES, timeout=120))
        return started[-1], store

    yield start
    for process in started:
        await process.queue.drain()


async def like(process: CommandProcess, post: PostId, name: str) -> int:
    return (await process.commands.handle(LikePost(post_id=post, username=name), ANYBODY)).version


async def test_a_restarted_process_does_not_read_the_history_of_a_large_post_again(start):
    first, _ = start()
    await like(first, POST_A, "the first")
    await first.queue.drain()

    restarted, store = start()

    assert await like(restarted, POST_A, LAST) == LIKERS + 2  # already in effect
    assert await like(restarted, POST_A, "the second") == LIKERS + 3
    assert store.commits_read < LIKERS / 10


async def test_large_posts_that_are_written_in_turn_are_not_read_whole_each_time(start):
    process, store = start()
    for post in (POST_A, POST_B):
        await like(process, post, "the first")
        await process.queue.drain()
    read_before = store.commits_read

    for number in range(3):
        for post in (POST_A, POST_B):
            await like(process, post, f"another {number}")

    assert store.commits_read - read_before < LIKERS / 10


async def test_a_large_post_is_read_while_other_requests_are_answered(start):
    process, _ = start()
    reading = asyncio.create_task(like(process, POST_A, "the first"))
    turns = 0
    while not reading.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert await reading == LIKERS + 2
    assert turns > LIKERS / 5_000


async def test_after_a_caller_gave_up_the_next_one_does_not_read_the_history_again(start):
    process, store = start()
    impatient = asyncio.create_task(like(process, POST_A, "the first"))
    while not store.commits_read:
        await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)

    assert await like(process, POST_A, "the second") == LIKERS + 3
    assert store.commits_read == LIKERS + 1

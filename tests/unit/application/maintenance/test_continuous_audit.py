"""The audit as a worker: it compares everything, and logs each difference once, and once when it is gone."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from adapters.memory.log import MemoryLog
from adapters.memory.read_db import MemoryAuditRows
from application.errors import ReadDbUnavailable, WrongLog
from application.maintenance import continuous_audit as module
from application.rows import CommentRow, PostRow, PostStatus
from command_process import ANYBODY, RecordedMetrics
from domain.commands import CreatePost, LikePost
from domain.ids import CommentId, PostId
from given import NOON
from small_system import SmallSystem

POSTS = [PostId(f"0198c0de-0000-7000-8000-000000000{n:03d}") for n in range(130)]
UNKNOWN = PostId("0198c0de-0000-7000-8000-000000009999")


@pytest.fixture(autouse=True)
def _looks_at_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_CHECKS", 0.0)
    monkeypatch.setattr(module, "_SECONDS_WHEN_AWAY", 0.0)
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_PASSES", 0.0)
    caplog.set_level(logging.INFO, module.__name__)


@pytest.fixture
async def system() -> SmallSystem:
    system = SmallSystem()
    for post_id in POSTS:
        await write(system, CreatePost(post_id=post_id, author="Ann", message="Hi", date_posted=NOON))
    async with system.projecting():
        await system.caught_up()
    return system


async def write(system: SmallSystem, *commands: CreatePost | LikePost) -> None:
    for command in commands:
        await system.process.commands.handle(command, ANYBODY)


class Watched:
    """A continuous audit that runs."""

    def __init__(self, system: SmallSystem, rows: MemoryAuditRows) -> None:
        self.metrics = RecordedMetrics()
        process = system.process_with(audit_rows=rows, metrics=self.metrics)
        self.worker = process.continuous_audit(commits_per_second=1e9)

    def counted(self, name: str) -> float:
        return self.metrics.counts.get(name, 0)

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not what():
                await asyncio.sleep(0)

    async def passes(self, more: int) -> None:
        goal = self.counted("audit_passes") + more
        await self.until(lambda: self.counted("audit_passes") >= goal)

    async def differ(self, posts: int) -> None:
        await self.until(lambda: self.metrics.counts.get("audit_posts_that_differ") == posts)


@asynccontextmanager
async def watched(system: SmallSystem, rows: MemoryAuditRows | None = None) -> AsyncIterator[Watched]:
    handle = Watched(system, rows or MemoryAuditRows(system.read_db))
    task = asyncio.create_task(handle.worker.run())
    try:
        yield handle
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith("post ")]


async def test_right_rows_are_passed_again_and_again_without_a_word(
    system: SmallSystem, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(system) as audit:
        await audit.passes(2)
    assert told(caplog) == []
    assert audit.metrics.counts["audit_posts_that_differ"] == 0
    assert audit.counted("audit_posts_compared") >= 2 * len(POSTS)
    assert 0 <= audit.metrics.counts["audit_seconds_since_whole"] < 20


def posts_of(system: SmallSystem) -> dict[PostId, PostRow]:
    return system.read_db.live_rows.posts


FAULTS: dict[str, tuple[PostId, str, Callable[[SmallSystem], object]]] = {
    "a changed field": (
        POSTS[120],
        "likes",
        lambda system: posts_of(system).update({POSTS[120]: posts_of(system)[POSTS[120]]._replace(likes=9)}),
    ),
    "a missing post": (POSTS[77], "row", lambda system: posts_of(system).pop(POSTS[77])),
    "an extra post": (
        UNKNOWN,
        "row",
        lambda system: posts_of(system).update(
            {UNKNOWN: PostRow(UNKNOWN, PostStatus.LIVE, "Eve", NOON, "Hi", 0, 0, 1)}
        ),
    ),
    "a comment of no post": (
        UNKNOWN,
        f"comments[{UNKNOWN}]",
        lambda system: system.read_db.live_rows.comments[UNKNOWN].update(
            {CommentId(UNKNOWN): CommentRow(UNKNOWN, CommentId(UNKNOWN), "Eve", "Spam", NOON, False)}
        ),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_difference_is_logged_once_and_once_when_it_is_gone(
    system: SmallSystem, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    where, what, plant = FAULTS[fault]
    rows = system.read_db.live_rows
    right = dict(rows.posts), {post_id: dict(comments) for post_id, comments in rows.comments.items()}
    async with watched(system) as audit:
        await audit.passes(1)
        plant(system)
        await audit.differ(1)
        await audit.passes(2)
        rows.posts, _ = dict(right[0]), rows.comments.clear()
        rows.comments.update(right[1])
        await audit.differ(0)

    assert told(caplog) == [
        (
            f"post {where} differs from the log in {what}; `postlog audit` lists them all, "
            "`postlog audit --repair` fixes them"
        ),
        f"post {where} matches the log again",
    ]


async def test_recent_writes_are_compared_before_the_pass_continues(
    system: SmallSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Projectors write wrong rows. No page of rows is read meanwhile: the difference is found from the new commit."""
    rows = MemoryAuditRows(system.read_db)
    page, gate = rows.page, asyncio.Event()
    looked = asyncio.Event()

    async def held(*arguments: object) -> object:
        looked.set()
        await gate.wait()
        return await page(*arguments)  # type: ignore[arg-type]

    async with watched(system, rows) as audit:
        await audit.passes(1)
        async with system.projecting():
            rows.page = held  # type: ignore[method-assign,assignment]
            await looked.wait()
            await write(system, LikePost(post_id=POSTS[129], username=None))
            await system.caught_up()
            posts_of(system)[POSTS[129]] = posts_of(system)[POSTS[129]]._replace(likes=2)
            looked.clear()
            gate.set()
            rows.page = page  # type: ignore[method-assign]
            compared = audit.counted("audit_posts_compared")
            await audit.differ(1)
    assert audit.counted("audit_posts_compared") - compared <= 52


async def test_nothing_is_logged_during_writes_and_swaps(system: SmallSystem, caplog: pytest.LogCaptureFixture) -> None:
    rebuild = system.container.rebuild(batch_events=50)

    async def keep_writing() -> None:
        while True:
            await write(system, *(LikePost(post_id=post_id, username=None) for post_id in POSTS[:10]))
            await asyncio.sleep(0.002)  # or they would write faster than batches of 50 can follow

    async with system.projecting(), watched(system) as audit:
        writing = asyncio.create_task(keep_writing())
        for _ in range(3):
            async for _ in rebuild.run():
                await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await audit.passes(1)
    assert told(caplog) == []
    assert system.read_db.live.generation == 4


async def test_a_read_database_that_is_away_is_waited_for(
    system: SmallSystem, caplog: pytest.LogCaptureFixture
) -> None:
    rows = MemoryAuditRows(system.read_db)
    page, failures = rows.page, 3

    async def failing(*arguments: object) -> object:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise ReadDbUnavailable("It is away.")
        return await page(*arguments)  # type: ignore[arg-type]

    rows.page = failing  # type: ignore[method-assign,assignment]
    async with watched(system, rows) as audit:
        await audit.passes(1)
    away = [record.getMessage() for record in caplog.records if "It is away" in record.getMessage()]
    assert away == ["auditing stopped, retrying in 0 s: It is away."] * 3


async def test_how_old_the_last_pass_is_is_measured_while_the_read_database_is_away(system: SmallSystem) -> None:
    rows = MemoryAuditRows(system.read_db)

    async def away(*_: object) -> object:
        raise ReadDbUnavailable("It is away.")

    rows.page = away  # type: ignore[method-assign,assignment]
    async with watched(system, rows) as audit:
        await audit.until(lambda: "audit_seconds_since_whole" in audit.metrics.counts)
    assert audit.counted("audit_passes") == 0


async def test_a_small_log_is_not_compared_without_pause(system: SmallSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_PASSES", 3_600.0)
    async with watched(system) as audit:
        await audit.passes(1)
        compared = audit.counted("audit_posts_compared")
        for _ in range(1_000):
            await asyncio.sleep(0)
        assert audit.counted("audit_posts_compared") == compared


async def test_rows_of_another_log_end_it(system: SmallSystem) -> None:
    another = SmallSystem(MemoryLog(), system.read_db)
    handle = Watched(another, MemoryAuditRows(system.read_db))
    with pytest.raises(WrongLog, match="was filled from log"):
        await handle.worker.run()


async def test_many_differences_are_counted_and_not_all_logged(
    system: SmallSystem, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOGGED_A_PASS", 3)
    posts = posts_of(system)
    posts.update({post_id: row._replace(likes=5) for post_id, row in posts.items()})
    async with watched(system) as audit:
        await audit.differ(len(POSTS))
    assert len(told(caplog)) == 3
    assert [record.getMessage() for record in caplog.records if "one by one" in record.getMessage()] == [
        "more posts differ; only the first are logged one by one"
    ]

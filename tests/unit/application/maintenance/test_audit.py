"""The audit finds every difference and nothing else; the repair fixes it."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.memory.read_db import MemoryAuditRows
from application.envelopes import ProposedCommit, StoredEvent
from application.maintenance import audit
from application.maintenance.audit import Audit, AuditProgress, AuditReport
from application.rows import CommentRow, PostRow, PostStatus
from command_process import ANYBODY
from domain.commands import AddComment, CreatePost, LikePost, RemovePost
from domain.ids import PostId
from given import COMMENT, NOON, OTHER_COMMENT
from small_system import SmallSystem

POSTS = [PostId(f"0198c0de-0000-7000-8000-0000000001{n:02d}") for n in range(8)]
UNKNOWN_POST = PostId("0198c0de-0000-7000-8000-000000000999")


async def write(system: SmallSystem, *commands) -> None:
    for command in commands:
        await system.process.commands.handle(command, ANYBODY)


@pytest.fixture
async def system():
    system = SmallSystem()
    for number, post_id in enumerate(POSTS):
        await write(system, CreatePost(post_id=post_id, author="Ann", message=f"{number}", date_posted=NOON))
        await write(system, *[LikePost(post_id=post_id, username=None)] * number)
    comment = AddComment(post_id=POSTS[0], comment_id=COMMENT, comment="Nice", username="Bob", comment_date=NOON)
    await write(system, comment, RemovePost(post_id=POSTS[1], username="Ann"))
    async with system.projecting():
        await system.caught_up()
    return system


def audit_of(system: SmallSystem, seed: int | None = None) -> Audit:
    return system.process_with().audit(seed=seed)


def found(report: AuditReport) -> list[tuple[PostId, str, str, str]]:
    return [(each.post_id, each.field, each.expected, each.found) for each in report.differences]


def posts_of(system: SmallSystem) -> dict[PostId, PostRow]:
    return system.read_db.live_rows.posts


def change(system: SmallSystem, post_id: PostId, **values) -> None:
    posts_of(system)[post_id] = posts_of(system)[post_id]._replace(**values)


def comments_of(system: SmallSystem, post_id: PostId):
    return system.read_db.live_rows.comments[post_id]


async def test_right_rows_have_no_difference(system):
    progress = AuditProgress()
    report = await audit_of(system).run(progress)

    assert (report.posts, report.differences, report.parked) == (8, [], [])
    assert report.position == await system.commit_log.tip()
    assert progress.done == progress.total > 0


async def test_rows_that_take_much_memory_are_compared_in_smaller_portions(system, monkeypatch):
    monkeypatch.setattr(audit, "_PORTION_BYTES", 1_000)
    monkeypatch.setattr(audit, "_POSTS_A_PAGE", 2)
    progress = AuditProgress()
    most, feed = 0, Audit._feed

    def watched(self, folds, commits):
        nonlocal most
        most = max(most, len(folds))
        feed(self, folds, commits)

    monkeypatch.setattr(Audit, "_feed", watched)
    change(system, POSTS[2], message="Forged")

    report = await audit_of(system).run(progress)

    assert (report.posts, found(report)) == (8, [(POSTS[2], "message", "'2'", "'Forged'")])
    assert most < 5
    assert progress.done == progress.total


PLANTED = {
    "a changed field": (
        lambda system: change(system, POSTS[2], message="Forged"),
        [(POSTS[2], "message", "'2'", "'Forged'")],
    ),
    "a wrong like count": (
        lambda system: change(system, POSTS[3], likes=4),
        [(POSTS[3], "likes", "3", "4")],
    ),
    "a missing post": (
        lambda system: posts_of(system).pop(POSTS[4]),
        [(POSTS[4], "row", "a row at version 5 or later", "no row")],
    ),
    "an extra post": (
        lambda system: posts_of(system).update(
            {UNKNOWN_POST: PostRow(UNKNOWN_POST, PostStatus.LIVE, "Eve", NOON, "Hi", 0, 0, 1)}
        ),
        [(UNKNOWN_POST, "row", "no row: the log has no such post", "a row at version 1")],
    ),
    "a stale version": (
        lambda system: change(system, POSTS[5], likes=3, version=4),
        [(POSTS[5], "version", "6 or later", "4")],
    ),
    "a version beyond the log": (
        lambda system: change(system, POSTS[5], version=40),
        [(POSTS[5], "version", "one that ends a commit of the log, such as 6", "40")],
    ),
    "a resurrected removed post": (
        lambda system: change(system, POSTS[1], status=PostStatus.LIVE, message="1"),
        [
            (POSTS[1], "status", "<PostStatus.REMOVED: 2>", "<PostStatus.LIVE: 1>"),
            (POSTS[1], "message", "''", "'1'"),
        ],
    ),
    "a missing comment": (
        lambda system: comments_of(system, POSTS[0]).pop(COMMENT),
        [(POSTS[0], f"comments[{COMMENT}]", "a comment", "none")],
    ),
    "an extra comment": (
        lambda system: comments_of(system, POSTS[0]).update(
            {OTHER_COMMENT: CommentRow(POSTS[0], OTHER_COMMENT, "Eve", "Spam", NOON, False)}
        ),
        [(POSTS[0], f"comments[{OTHER_COMMENT}]", "none", "a comment")],
    ),
    "a changed comment": (
        lambda system: comments_of(system, POSTS[0]).update(
            {COMMENT: CommentRow(POSTS[0], COMMENT, "Bob", "Nasty", NOON, False)}
        ),
        [(POSTS[0], f"comments[{COMMENT}].comment", "'Nice'", "'Nasty'")],
    ),
    "a time that is a millisecond off": (
        lambda system: change(system, POSTS[2], date_posted=NOON + timedelta(milliseconds=1)),
        [
            (
                POSTS[2],
                "date_posted",
                "datetime.datetime(2026, 11, 23, 12, 0, 0, 123000, tzinfo=datetime.timezone.utc)",
                "datetime.datetime(2026, 11, 23, 12, 0, 0, 124000, tzinfo=datetime.timezone.utc)",
            )
        ],
    ),
    "comments of a post without a row": (
        lambda system: comments_of(system, UNKNOWN_POST).update(
            {COMMENT: CommentRow(UNKNOWN_POST, COMMENT, "Eve", "Spam", NOON, False)}
        ),
        [(UNKNOWN_POST, f"comments[{COMMENT}]", "none: its post has no row", "a comment")],
    ),
}


@pytest.mark.parametrize(("plant", "expected"), PLANTED.values(), ids=PLANTED.keys())
async def test_each_planted_fault_is_found_and_fixed(system, plant, expected):
    plant(system)

    report = await audit_of(system).run()
    assert found(report) == expected

    repair = system.container.repair()
    for post_id in {each.post_id for each in report.differences}:
        assert (await repair.repair(post_id)).problem is None
    assert found(await audit_of(system).run()) == []
    assert POSTS[1] not in [post.post_id for post in posts_of(system).values() if post.status is PostStatus.LIVE]


async def found_by_samples(audit: Audit, posts: int) -> list[tuple[PostId, str, str, str]]:
    """By as many samples as it takes. Whatever the seed, 200 draws of half the posts miss none."""
    for _ in range(200):
        report = await audit.sample(posts)
        assert report.posts <= posts
        if report.differences:
            return found(report)
    return []


async def test_a_sample_finds_a_row_that_differs(system):
    change(system, POSTS[3], likes=4)
    assert await found_by_samples(audit_of(system, seed=1), 4) == [(POSTS[3], "likes", "3", "4")]


async def test_a_sample_finds_a_missing_row_through_the_log(system):
    del posts_of(system)[POSTS[7]]
    missing = (POSTS[7], "row", "a row at version 8 or later", "no row")
    assert await found_by_samples(audit_of(system, seed=1), 4) == [missing]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("posts", [8, 1_000, 10**18])
async def test_a_sample_of_more_posts_than_there_are_is_a_whole_audit(system, posts):
    """It ended never, and grew, when it went on drawing until it had as many."""
    change(system, POSTS[3], likes=4)
    report = await audit_of(system).sample(posts)
    assert (report.posts, found(report)) == (8, [(POSTS[3], "likes", "3", "4")])


async def test_nothing_is_found_during_writes(system):
    async def keep_writing() -> None:
        while True:
            await write(system, *(LikePost(post_id=post_id, username=None) for post_id in POSTS[2:]))
            await asyncio.sleep(0.001)

    async with system.projecting():
        writing = asyncio.create_task(keep_writing())
        reports = [await audit_of(system).run() for _ in range(5)]
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)

    assert [found(report) for report in reports] == [[]] * 5
    assert reports[0].position < reports[-1].position


async def test_with_partitions_at_different_positions_the_lowest_counts(system):
    """The rows of one partition lag; commits above the lowest position are not expected."""
    checkpoint = system.read_db.checkpoints[1][0]
    system.read_db.live = replace(system.read_db.live, partitions=2)
    system.read_db.checkpoints[1] = {
        0: checkpoint,
        1: replace(checkpoint, partition=1, position=3),
    }
    del posts_of(system)[POSTS[6]]

    assert found(await audit_of(system).run()) == []


async def test_parked_posts_are_listed_and_not_counted(system):
    commit = ProposedCommit(
        stream_id=POSTS[2],
        version=4,
        commit_id="0198c0de-0000-7000-9999-000000000002",
        recorded_at=NOON,
        metadata={},
        events=(StoredEvent("PostShared", 1, {}),),
    )
    await system.event_store.append([commit])
    async with system.projecting():
        await system.caught_up()

    report = await audit_of(system).run()
    assert (found(report), report.parked) == ([], [POSTS[2]])


async def test_it_restarts_when_the_live_generation_is_swapped(system):
    rows = MemoryAuditRows(system.read_db)
    page, swapped = rows.page, False

    async def page_then_swap(generation, after, limit):
        nonlocal swapped
        answer = await page(generation, after, limit)
        if not swapped:
            swapped = True
            async for _ in rebuild.run():
                pass
        return answer

    rows.page = page_then_swap
    rebuild = system.container.rebuild()
    report = await system.process_with(audit_rows=rows).audit().run()

    assert (report.generation, found(report)) == (2, [])


async def test_a_row_that_a_projector_brings_further_meanwhile_is_not_set_back(system):
    change(system, POSTS[3], message="Forged")
    read_stream, reads = system.event_store.read_stream, 0

    async def read_then_write_more(post_id, after_version=0, limit=1_000):
        nonlocal reads
        commits = await read_stream(post_id, after_version, limit)
        reads += 1
        if reads == 2:
            await write(system, LikePost(post_id=POSTS[3], username="Cid"))
            async with system.projecting():
                await system.caught_up()
        return commits

    class Reading:
        pass

    reading = Reading()
    reading.read_stream = read_then_write_more
    await system.process_with(past_events=reading).repair().repair(POSTS[3])

    assert (posts_of(system)[POSTS[3]].likes, posts_of(system)[POSTS[3]].version) == (4, 5)
    assert found(await audit_of(system).run()) == []


async def test_a_post_that_cannot_be_read_is_left_as_it_is_with_the_reason(system):
    commit = ProposedCommit(
        stream_id=POSTS[2],
        version=4,
        commit_id="0198c0de-0000-7000-9999-000000000002",
        recorded_at=NOON,
        metadata={},
        events=(StoredEvent("PostShared", 1, {}),),
    )
    await system.event_store.append([commit])
    before = posts_of(system)[POSTS[2]]

    repaired = await system.container.repair().repair(POSTS[2])

    assert repaired.problem is not None
    assert "PostShared" in repaired.problem
    assert posts_of(system)[POSTS[2]] == before


class LaggingLog:
    """Reads as far as a position, as right after a failover, until it must prove where it ends."""

    def __init__(self, system: SmallSystem, position: int) -> None:
        self._system = system
        self._position = position

    async def tip(self) -> int:
        return min(self._position, await self._system.commit_log.tip())

    async def proven_tip(self) -> int:
        self._position = await self._system.commit_log.tip()
        return self._position

    async def read(self, after, limit=1_000):
        return [each for each in await self._system.commit_log.read(after, limit) if each.position <= self._position]

    async def read_events(self, after, limit=1_000):
        page = await self._system.commit_log.read_events(after, limit)
        return [each for each in page if each.position <= self._position]

    async def read_stream(self, post_id, after_version=0, limit=1_000):
        commits = await self._system.event_store.read_stream(post_id, after_version, limit)
        return [each for each in commits if each.position <= self._position]


def lagging(system: SmallSystem, position: int = 3):
    log = LaggingLog(system, position)
    return system.process_with(commit_log=log, past_events=log)


async def test_a_read_that_lags_after_a_failover_is_no_difference(system):
    assert found(await lagging(system).audit().run()) == []
    assert found(await lagging(system).audit(seed=1).sample(6)) == []


async def test_a_read_that_lags_after_a_failover_does_not_let_a_repair_delete_rows(system):
    before = dict(posts_of(system))
    for post_id in POSTS:
        await lagging(system).repair().repair(post_id)
    assert posts_of(system) == before

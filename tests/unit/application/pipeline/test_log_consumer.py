"""The projector that follows the log by position."""

import asyncio
from dataclasses import replace

import pytest

from adapters.memory.log import MemoryLog
from application.envelopes import ProposedCommit, StoredEvent
from application.errors import ReadDbUnavailable, SchemaOutdated, WrongLog
from application.ports.read_db import Checkpoint, CheckpointMove, CheckpointMoved
from application.query_side.posts import GetPost
from application.query_side.status import GetReadDbStatus
from command_process import ANYBODY
from domain.commands import AddComment, CreatePost, LikePost, RemovePost
from domain.ids import PostId
from given import COMMENT, NOON, POST
from small_system import SmallSystem

CREATE = CreatePost(post_id=POST, author="Ann", message="Hello", date_posted=NOON)
OTHER = PostId("0198c0de-0000-7000-8000-000000000002")


async def like(system: SmallSystem, times: int) -> None:
    for _ in range(times):
        await system.process.commands.handle(LikePost(post_id=POST, username=None), ANYBODY)


async def test_what_is_appended_appears_in_the_rows():
    system = SmallSystem()
    async with system.projecting():
        await system.process.commands.handle(CREATE, ANYBODY)
        await like(system, 20)
        added = AddComment(post_id=POST, comment_id=COMMENT, comment="Nice", username="Bob", comment_date=NOON)
        result = await system.process.commands.handle(added, ANYBODY)
        answer = await system.queries.ask(GetPost(post_id=POST, min_position=result.position))

    assert (answer.post.likes, answer.post.version, answer.post.comments_count) == (20, 22, 1)
    assert system.metrics.counts["projector_partitions_assigned"] == system.metrics.counts["projector_partitions"] == 1
    assert [comment.comment for comment in answer.comments] == ["Nice"]


async def test_it_resumes_at_its_checkpoint_after_a_restart():
    first = SmallSystem()
    async with first.projecting():
        await first.process.commands.handle(CREATE, ANYBODY)
        await like(first, 3)
        await first.caught_up()
    again = SmallSystem(first.log, first.read_db)
    await like(again, 2)
    async with again.projecting():
        await again.caught_up()
        await again.counted("projector_commits", 2)

    assert again.metrics.counts["projector_commits"] == 2
    assert again.read_db.live_rows.posts[POST].likes == 5


async def test_the_rows_of_an_empty_log_are_ready_at_once():
    system = SmallSystem()
    async with system.projecting():
        await system.caught_up()
        status = await system.queries.ask(GetReadDbStatus())

    assert (status.ready, status.position, status.lag) == (True, 0, 0)


async def test_an_empty_database_is_not_ready_before_it_is_filled():
    system = SmallSystem()
    await system.process.commands.handle(CREATE, ANYBODY)
    await like(system, 30)
    ready_at: list[int] = []
    mark_ready = system.store.mark_ready

    async def noting(generation: int) -> None:
        ready_at.append((await system.views.stamp()).position)
        await mark_ready(generation)

    system.store.mark_ready = noting
    async with system.projecting():
        await system.caught_up()

    assert ready_at == [31]


async def test_the_next_page_is_read_while_one_is_written():
    system = SmallSystem(batch_size=10)
    await system.process.commands.handle(CREATE, ANYBODY)
    await like(system, 29)
    read, project = system.commit_log.read_events, system.store.project
    begun: set[int] = set()
    read_while_writing: list[bool] = []

    async def noting_read(after: int, limit: int = 1_000):
        begun.add(after)
        return await read(after, limit)

    async def slow_project(batch, fold):
        await asyncio.sleep(0)
        read_while_writing.append(batch.moves[0].after.position in begun)
        await project(batch, fold)

    system.commit_log.read_events, system.store.project = noting_read, slow_project
    async with system.projecting():
        await system.caught_up()

    assert read_while_writing == [True, True, True]


async def test_fewer_are_read_at_once_where_commits_are_long():
    system = SmallSystem(batch_size=10_000)
    for number in range(2_600):
        text = "x" * 8_000 if 1_000 < number <= 2_000 else "short"
        created = {"author": "Ann", "message": text, "datePosted": "2026-11-23T15:46:58.123Z"}
        event = StoredEvent("PostCreated", 1, created)
        stream = PostId(f"0198c0de-0000-7000-8000-{number:012x}")
        system.log.add(ProposedCommit(stream, 1, f"commit {number}", NOON, {}, (event,)))
    read, asked = system.commit_log.read_events, dict[int, int]()

    async def noting_read(after: int, limit: int = 1_000):
        asked[after] = limit
        return await read(after, limit)

    system.commit_log.read_events = noting_read
    async with system.projecting():
        await system.caught_up()

    assert len(system.read_db.live_rows.posts) == 2_600
    limits = [limit for _, limit in sorted(asked.items())]
    assert limits[:3] == [1_000, 2_000, 488]  # 20,000 at 41 each


async def test_two_projectors_on_one_database_share_the_work_and_count_nothing_twice():
    one = SmallSystem()
    other = SmallSystem(one.log, one.read_db)
    await one.process.commands.handle(CREATE, ANYBODY)
    async with one.projecting(), other.projecting():
        for _ in range(10):
            await like(one, 5)
            await asyncio.sleep(0)
        await one.caught_up()
        async with asyncio.timeout(5):
            while sum(each.metrics.counts.get("projector_commits", 0) for each in (one, other)) < 51:
                await asyncio.sleep(0)

    assert one.read_db.live_rows.posts[POST].likes == 50
    assert one.metrics.counts["projector_commits"] + other.metrics.counts.get("projector_commits", 0) == 51


async def test_a_projector_that_believes_in_an_old_checkpoint_writes_nothing():
    system = SmallSystem()
    await system.process.commands.handle(CREATE, ANYBODY)
    async with system.projecting():
        await system.caught_up()
    commits = await system.commit_log.read(0)
    stale = CheckpointMove(None, Checkpoint(partition=0, position=1))

    with pytest.raises(CheckpointMoved):
        await system.projector.apply(1, [stale], commits)
    assert system.read_db.live_rows.posts[POST].version == 1


@pytest.mark.parametrize(
    "error",
    [
        ReadDbUnavailable("It does not answer."),
        SchemaOutdated("It has no tables yet."),
        AttributeError("'RawBSONDocument' object has no attribute 'update'"),
    ],
)
async def test_whatever_fails_is_an_interruption(error):
    system = SmallSystem()
    await system.process.commands.handle(CREATE, ANYBODY)
    project, failures = system.store.project, 2

    async def failing(batch, fold):
        nonlocal failures
        if failures:
            failures -= 1
            raise error
        await project(batch, fold)

    system.store.project = failing
    async with system.projecting():
        await system.caught_up()

    assert system.metrics.counts["projector_interruptions"] == 2


async def test_a_database_of_another_log_stops_it_with_one_sentence():
    system = SmallSystem()
    await system.process.commands.handle(CREATE, ANYBODY)
    async with system.projecting():
        await system.caught_up()
    other = SmallSystem(MemoryLog(), system.read_db)

    with pytest.raises(WrongLog, match="was filled from log"):
        await other.follower.run()


async def test_a_log_restored_to_an_older_state_stops_it_with_one_sentence():
    system = SmallSystem()
    await system.process.commands.handle(CREATE, ANYBODY)
    await like(system, 3)
    async with system.projecting():
        await system.caught_up()
    restored = MemoryLog()
    restored.log_id = system.log.log_id
    older = SmallSystem(restored, system.read_db)
    await older.process.commands.handle(CREATE, ANYBODY)

    with pytest.raises(WrongLog, match="restored to an older state"):
        await older.follower.run()


async def test_commits_that_the_rows_lack_are_read_from_the_log():
    """A row that lost its newest commits, as if they had never been delivered."""
    system = SmallSystem()
    await system.process.commands.handle(CREATE, ANYBODY)
    await like(system, 5)
    async with system.projecting():
        await system.caught_up()
    posts = system.read_db.live_rows.posts
    posts[POST] = posts[POST]._replace(version=2, likes=1)
    await like(system, 1)
    async with system.projecting():
        await system.caught_up()

    assert (posts[POST].likes, posts[POST].version) == (6, 7)
    assert system.metrics.counts["projector_healed_commits"] == 5


async def test_missing_commits_that_a_lagging_read_does_not_show_are_asked_for_again():
    """As straight after a failover; the projector would take the log for one that was restored to an older state."""
    system = SmallSystem()
    await system.process.commands.handle(CREATE, ANYBODY)
    await like(system, 5)
    async with system.projecting():
        await system.caught_up()
    posts = system.read_db.live_rows.posts
    posts[POST] = posts[POST]._replace(version=2, likes=1)
    read_stream, lagging = system.event_store.read_stream, True

    async def prove() -> int:
        nonlocal lagging
        lagging = False
        return await system.commit_log.tip()

    async def read(post_id: PostId, after: int = 0, limit: int = 1_000):
        return [] if lagging else await read_stream(post_id, after, limit)

    system.event_store.read_stream = read
    system.commit_log.proven_tip = prove
    [newest] = await system.commit_log.read(5)
    at = system.read_db.checkpoints[1][0]
    await system.projector.apply(1, [CheckpointMove(at, at)], [newest])

    assert (posts[POST].likes, posts[POST].version) == (5, 6)


async def test_a_removed_post_stays_removed_when_its_history_is_projected_again():
    system = SmallSystem()
    await system.process.commands.handle(CREATE, ANYBODY)
    await system.process.commands.handle(RemovePost(post_id=POST, username="Ann"), ANYBODY)
    async with system.projecting():
        await system.caught_up()
    checkpoint = system.read_db.checkpoints[1][0]
    system.read_db.checkpoints[1][0] = replace(checkpoint, position=0, commit_position=0, commit_id="")
    async with system.projecting():
        await system.caught_up()

    assert system.read_db.live_rows.live_post(POST) is None
    assert system.read_db.live_rows.posts[POST].version == 2


async def test_an_unknown_event_parks_its_post_and_the_others_flow():
    system = SmallSystem()
    await system.process.commands.handle(CREATE, ANYBODY)
    await append_unknown(system, version=2)
    other = CreatePost(post_id=OTHER, author="Bob", message="Hi", date_posted=NOON)
    async with system.projecting():
        result = await system.process.commands.handle(other, ANYBODY)
        answer = await system.queries.ask(GetPost(post_id=OTHER, min_position=result.position))
        (parked,) = await system.parked_streams.parked()

    assert answer.post.author == "Bob"
    assert (parked.post_id, parked.version, parked.position, parked.code) == (POST, 2, 2, "event-not-readable")


async def append_unknown(system: SmallSystem, version: int, kind: str = "PostShared") -> None:
    commit = ProposedCommit(
        stream_id=POST,
        version=version,
        commit_id=f"0198c0de-0000-7000-9999-{version:012d}",
        recorded_at=NOON,
        metadata={},
        events=(StoredEvent(kind, 1, {"username": "Ann"}),),
    )
    await system.event_store.append([commit])


async def test_a_change_of_the_number_of_partitions_is_logged(caplog: pytest.LogCaptureFixture):
    """Two projectors with different buses on one read database do so for ever."""
    system = SmallSystem()
    await system.projector.open(partitions=1)
    await system.projector.open(partitions=1)
    assert caplog.messages == []
    await system.projector.open(partitions=3)
    await system.projector.open(partitions=1)
    assert [message.partition(";")[0] for message in caplog.messages] == [
        "read database repartitioned from 1 to 3",
        "read database repartitioned from 3 to 1",
    ]

"""Rebuild: the idle slot is filled from the log, and replaces the live one in one transaction."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from adapters.memory.generations import MemoryGenerations, MemorySwap
from adapters.memory.log import MemoryCommitLog, MemoryLog
from application.errors import RebuildCancelled, RebuildRunning, StoreUnavailable
from application.maintenance.rebuild import Rebuild
from application.ports.generations import Build, BuildState, SwapInterrupted
from application.ports.read_db import CheckpointMoved
from application.query_side.posts import GetPost
from command_process import ANYBODY
from domain.commands import AddComment, CreatePost, LikePost, RemovePost
from domain.ids import PostId
from given import COMMENT, NOON, POST
from small_system import SmallSystem

POSTS = [PostId(f"0198c0de-0000-7000-8000-0000000001{n:02d}") for n in range(12)]


def rebuild_of(
    system: SmallSystem,
    batch_events: int = 10,
    generations: MemoryGenerations | None = None,
    log: MemoryCommitLog | None = None,
) -> Rebuild:
    return system.container.rebuild(
        log=log or system.commit_log, generations=generations or system.generations, batch_events=batch_events
    )


async def write(system: SmallSystem, *commands) -> None:
    for command in commands:
        await system.process.commands.handle(command, ANYBODY)


async def filled() -> SmallSystem:
    system = SmallSystem()
    for number, post_id in enumerate(POSTS):
        await write(system, CreatePost(post_id=post_id, author="Ann", message=f"{number}", date_posted=NOON))
        await write(system, *[LikePost(post_id=post_id, username=None)] * number)
    comment = AddComment(post_id=POSTS[0], comment_id=COMMENT, comment="Nice", username="Bob", comment_date=NOON)
    await write(system, comment, RemovePost(post_id=POSTS[1], username="Ann"))
    async with system.projecting():
        await system.caught_up()
    return system


async def run(rebuild: Rebuild, **options) -> list[Build]:
    return [build async for build in rebuild.run(**options)]


def dump(system: SmallSystem, slot: str | None = None):
    rows = system.read_db.slots[slot or system.read_db.live.slot]
    comments = {post_id: comments for post_id, comments in rows.comments.items() if comments}
    return dict(sorted(rows.posts.items())), comments


@pytest.mark.parametrize("batch_events", [1, 7, 1000])
async def test_the_new_rows_equal_the_old_ones(batch_events: int):
    system = await filled()
    before = dump(system)

    builds = await run(rebuild_of(system, batch_events))

    live = system.read_db.live
    assert (live.generation, live.slot, live.ready) == (2, "b", True)
    assert dump(system) == before
    assert builds[-1].state is BuildState.LIVE
    assert builds[-1].position == builds[-1].target == await system.commit_log.tip()
    assert builds[-1].events == 80


async def test_wrong_rows_are_gone_afterwards():
    system = await filled()
    right = dump(system)
    rows = system.read_db.live_rows.posts
    rows[POSTS[3]] = rows[POSTS[3]]._replace(likes=99)
    del rows[POSTS[4]]

    await run(rebuild_of(system))

    assert dump(system) == right


async def test_the_projector_continues_in_the_new_generation():
    system = await filled()
    async with system.projecting():
        await run(rebuild_of(system))
        await write(system, LikePost(post_id=POSTS[0], username="Cid"))
        await system.caught_up()

    assert system.read_db.live.generation == 2
    assert system.read_db.live_rows.posts[POSTS[0]].likes == 1


async def test_a_batch_begun_before_the_swap_does_not_land_after_it():
    system = await filled()
    live, checkpoints = await system.projector.open(partitions=1)
    await run(rebuild_of(system))
    await write(system, LikePost(post_id=POSTS[0], username="Cid"))
    commits = await system.commit_log.read(checkpoints[0].position)

    with pytest.raises(CheckpointMoved):
        await system.projector.apply(live.generation, [], commits)
    assert system.read_db.live_rows.posts[POSTS[0]].likes == 0


async def test_what_is_written_while_it_runs_is_in_the_new_rows():
    """Commits come, and are projected, until just before the swap; readers never see older rows than before."""
    system = await filled()
    generations = MemoryGenerations(system.read_db)
    swap = generations.swap

    @asynccontextmanager
    async def swap_after_more(build, *, keep_checkpoints):
        await write(system, *[LikePost(post_id=POSTS[0], username=None)] * 5)
        await system.caught_up()
        async with swap(build, keep_checkpoints=keep_checkpoints) as begun:
            yield begun

    generations.swap = swap_after_more
    async with system.projecting():
        async for build in rebuild_of(system, 10, generations).run():
            await write(system, LikePost(post_id=POSTS[0], username=None))
            last = build
    position = await system.commit_log.tip()
    async with system.projecting():
        answer = await system.queries.ask(GetPost(post_id=POSTS[0], min_position=position))

    likes = sum(commit.stream_id == POSTS[0] for commit in await system.commit_log.read(0)) - 2
    assert last.state is BuildState.LIVE
    assert answer.post.likes == likes > 5


async def test_a_swap_that_the_database_interrupts_is_repeated():
    system = await filled()
    before, generations = dump(system), MemoryGenerations(system.read_db)
    swap, interruptions = generations.swap, 2

    class Interrupted(MemorySwap):
        async def finish(self, build, row_keys, fold):
            nonlocal interruptions
            interruptions -= 1
            if interruptions >= 0:
                raise SwapInterrupted
            return await super().finish(build, row_keys, fold)

    @asynccontextmanager
    async def interrupted_swap(build, *, keep_checkpoints):
        async with swap(build, keep_checkpoints=keep_checkpoints) as begun:
            yield Interrupted(system.read_db, begun.checkpoints)

    generations.swap = interrupted_swap
    builds = await run(rebuild_of(system, 10, generations))

    assert builds[-1].state is BuildState.LIVE
    assert interruptions == -1
    assert dump(system) == before


async def test_a_log_that_does_not_answer_during_the_swap_ends_it_and_lets_projectors_go_on(monkeypatch):
    monkeypatch.setattr("application.maintenance.rebuild._CATCH_UP_SECONDS", 0.05)
    system = await filled()
    generations = MemoryGenerations(system.read_db)
    swap, read = generations.swap, system.commit_log.read_events

    async def hanging_read(after, limit):
        await asyncio.Event().wait()

    @asynccontextmanager
    async def swap_after_more(build, *, keep_checkpoints):
        await write(system, LikePost(post_id=POSTS[0], username=None))
        async with system.projecting():
            await system.caught_up()
        system.commit_log.read_events = hanging_read
        async with swap(build, keep_checkpoints=keep_checkpoints) as begun:
            yield begun

    generations.swap = swap_after_more
    with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.05 s .* Run the rebuild again"):
        await run(rebuild_of(system, 10, generations))
    system.commit_log.read_events = read

    assert not system.read_db.writing.locked()
    assert system.read_db.live.generation == 1
    assert system.read_db.builds[2].state is BuildState.BUILDING


async def test_a_read_that_lags_after_a_failover_during_the_swap_is_repeated():
    """As when the primary changes after the log was compared with the live rows."""
    system = await filled()
    right = dump(system)

    class Lagging(MemoryCommitLog):
        proofs = 0

        async def proven_tip(self) -> int:
            self.proofs += 1
            return await super().proven_tip()

        async def read_events(self, after: int, limit: int = 1_000):
            if self.proofs or after < 70:
                return await super().read_events(after, limit)
            return []

        async def tip(self) -> int:
            return await super().tip() if self.proofs else 70

    log = Lagging(system.log)
    await run(rebuild_of(system, log=log))

    assert log.proofs == 1
    assert dump(system) == right


async def test_it_ends_though_every_read_of_the_log_finds_something_new():
    system = await filled()

    class BusyLog(MemoryCommitLog):
        async def read_events(self, after, limit=1_000):
            await write(system, *[LikePost(post_id=POSTS[0], username=None)] * 3)
            return await super().read_events(after, limit)

    async with system.projecting(), asyncio.timeout(20):
        builds = await run(rebuild_of(system, log=BusyLog(system.log)))
        await system.caught_up()

    assert builds[-1].state is BuildState.LIVE
    assert system.read_db.live_rows.posts[POSTS[0]].likes == await system.commit_log.tip() - 80


async def test_a_killed_rebuild_is_resumed_where_it_was():
    system = await filled()
    before = dump(system)
    first = rebuild_of(system, 10).run()
    for _ in range(4):
        stopped = await anext(first)
    await first.aclose()
    assert system.read_db.live.generation == 1
    assert dump(system) == before

    builds = await run(rebuild_of(system, 10))

    assert (builds[0].generation, builds[0].position) == (stopped.generation, stopped.position)
    assert stopped.position > 0
    assert dump(system) == before
    assert system.read_db.live.generation == 2


async def test_it_can_begin_afresh_instead():
    system = await filled()
    first = rebuild_of(system, 10).run()
    await anext(first)
    await anext(first)
    await first.aclose()

    builds = await run(rebuild_of(system), restart=True)

    assert (builds[0].generation, builds[0].position) == (3, 0)
    states = {build.generation: build.state for build in await MemoryGenerations(system.read_db).builds()}
    assert states == {1: BuildState.RETIRED, 2: BuildState.CANCELLED, 3: BuildState.LIVE}


async def test_a_second_one_at_the_same_time_is_refused():
    system = await filled()
    generations = MemoryGenerations(system.read_db)
    first = rebuild_of(system, 10, generations).run()
    await anext(first)

    with pytest.raises(RebuildRunning):
        await run(rebuild_of(system, 10, generations))
    await first.aclose()
    assert (await run(rebuild_of(system, 10, generations)))[-1].state is BuildState.LIVE


async def test_a_cancelled_rebuild_stops_and_leaves_the_live_rows():
    system = await filled()
    generations = MemoryGenerations(system.read_db)
    running = rebuild_of(system, 10, generations).run()
    build = await anext(running)
    await generations.cancel(build, NOON)

    with pytest.raises(RebuildCancelled):
        async for _ in running:
            pass
    assert system.read_db.live.generation == 1


async def test_an_unfinished_build_of_another_log_is_not_resumed():
    system = await filled()
    running = rebuild_of(system, 10).run()
    for _ in range(3):
        await anext(running)
    await running.aclose()
    other = SmallSystem(MemoryLog(), system.read_db)
    await write(other, CreatePost(post_id=POST, author="Bob", message="Hi", date_posted=NOON))

    builds = await run(rebuild_of(other))

    assert (builds[0].generation, builds[0].position) == (3, 0)
    assert list(other.read_db.live_rows.posts) == [POST]
    assert other.read_db.live.log_id == other.log.log_id
    async with other.projecting():
        await write(other, LikePost(post_id=POST, username="Ann"))
        await other.caught_up()
    assert other.read_db.live_rows.posts[POST].likes == 1


async def test_an_empty_log_gives_empty_rows_that_are_ready():
    system = SmallSystem()
    builds = await run(rebuild_of(system))

    assert builds[-1].state is BuildState.LIVE
    assert system.read_db.live.ready
    async with system.projecting():
        await write(system, CreatePost(post_id=POST, author="Ann", message="Hello", date_posted=NOON))
        await system.caught_up()


async def test_what_is_parked_is_retried_after_the_swap_and_only_then():
    system = await filled()
    generations_seen = []

    async def retry() -> None:
        generations_seen.append(system.read_db.live.generation)

    await run(system.container.rebuild(retry_parked=retry), swap=False)
    assert generations_seen == []
    await run(system.container.rebuild(retry_parked=retry))
    assert generations_seen == [2]


async def test_without_a_swap_the_build_waits_beside_the_live_rows():
    system = await filled()
    before = dump(system)
    builds = await run(rebuild_of(system), swap=False)

    assert builds[-1].state is BuildState.BUILDING
    assert system.read_db.live.generation == 1
    assert dump(system, builds[-1].slot) == before


async def test_the_next_batch_is_read_while_one_is_written():
    system = await filled()
    generations = MemoryGenerations(system.read_db)
    read, load = system.commit_log.read_events, generations.load
    reads_during_load: list[int] = []
    loading = False

    async def noting_read(after, limit=1_000):
        if loading:
            reads_during_load.append(after)
        return await read(after, limit)

    async def slow_load(*arguments):
        nonlocal loading
        loading = True
        for _ in range(5):
            await asyncio.sleep(0)
        loading = False
        await load(*arguments)

    system.commit_log.read_events, generations.load = noting_read, slow_load
    await run(rebuild_of(system, 10, generations))

    assert reads_during_load

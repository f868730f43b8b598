"""What rebuild, audit and repair must do on every read database. An adapter adopts it with a subclass named `Test…`
and the fixture `open_maintained`: a callable whose answer is an async context manager of a `Maintained`. The first call
in a test makes a fresh read database; each further call opens the same one again, as another process would.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from adapters.memory.log import MemoryLog
from adapters.system.clock_and_ids import SystemClock
from application.envelopes import ProposedCommit, StoredEvent
from application.errors import RebuildCancelled, RebuildRunning, StoreUnavailable
from application.maintenance.audit import Audit, AuditReport
from application.maintenance.rebuild import Rebuild
from application.maintenance.rebuild_batches import ShardBatch, ShardedBatches, ShardReader
from application.ports.audit_rows import AuditRows, GenerationGone
from application.ports.commit_log import Shard
from application.ports.generations import Build, BuildState, Generations
from application.ports.post_views import PostFilter
from application.ports.read_db import Checkpoint, CheckpointMove, ProjectionBatch, RowChanges, RowKeys, Rows
from application.query_side.posts import GetPost, ListPosts
from application.rows import CommentRow, PostStatus
from command_process import ANYBODY, CODEC
from domain.commands import (
    AddComment,
    CreatePost,
    EditComment,
    EditMessage,
    LikePost,
    PostCommand,
    RemoveComment,
    RemovePost,
    UnlikePost,
)
from domain.errors import PostlogError
from domain.ids import CommentId, PostId
from entrypoints.composition.container import Container
from given import NOON
from small_system import ReadSide, SmallSystem


class InThisProcess:
    """A worker of a rebuild in this process."""

    def __init__(self, work: ShardReader) -> None:
        self._work = work

    async def read(self, after: int, until: int) -> int:
        return await self._work.read(after, until)

    async def cut(self, after: int, until: int) -> ShardBatch:
        return self._work.cut(after, until)

    def fold(self, after: int, rows: Rows, now: datetime) -> Future[RowChanges]:
        done = Future[RowChanges]()
        done.set_result(self._work.fold(after, rows, now))
        return done


TEXTS = ["plain", "trailing blanks  ", "żółć ß İ", "日本語", "👩‍👩‍👧 🙂", "שלום مرحبا", "𝔘𝔫𝔦"]
NAMES = ["Ann", "bob", "Straße", "İpek", "陳", "🙂"]


@dataclass(frozen=True)
class Maintained:
    """The adapters of one read database."""

    read_side: ReadSide
    generations: Generations
    audit_rows: AuditRows

    def rebuild(self, system: SmallSystem, batch_events: int = 100, workers: int = 1) -> Rebuild:
        batches = sharded_batches(system, batch_events, workers) if workers > 1 else None
        return self._container(system).rebuild(batch_events=batch_events, batches=batches)

    def audit(self, system: SmallSystem) -> Audit:
        return self._container(system).audit()

    def _container(self, system: SmallSystem) -> Container:
        return system.process_with(
            projection_store=self.read_side.store, generations=self.generations, audit_rows=self.audit_rows
        )

    async def dump(self) -> list[str]:
        """Every row of the live generation, canonically."""
        generation = (await self.read_side.store.live()).generation
        lines: list[str] = []
        after: PostId | None = None
        while page := await self.audit_rows.page(generation, after, 50):
            for each in page:
                lines += [repr(each.post), *(repr(comment) for comment in each.comments)]
            after = page[-1].post.post_id
        return lines

    async def plant(self, changes: RowChanges) -> None:
        """Write behind the projector's back."""
        generation = (await self.read_side.store.live()).generation
        await self.read_side.store.project(ProjectionBatch(generation, ()), lambda _: changes)

    async def rows(self, *posts: PostId) -> Rows:
        seen: list[Rows] = []

        def look(rows: Rows) -> RowChanges:
            seen.append(rows)
            return RowChanges()

        generation = (await self.read_side.store.live()).generation
        await self.read_side.store.project(ProjectionBatch(generation, (), RowKeys(list(posts), [])), look)
        return seen[-1]


def sharded_batches(system: SmallSystem, batch_events: int, workers: int) -> ShardedBatches:
    """By workers that live in this process."""
    folds = [ShardReader(system.commit_log, CODEC, shard, batch_events) for shard in Shard.all(workers)]
    return ShardedBatches(system.commit_log, SystemClock(), [InThisProcess(fold) for fold in folds], batch_events)


OpenMaintained = Callable[[], AbstractAsyncContextManager[Maintained]]


def post_id(number: int) -> PostId:
    return PostId(f"0198c0de-0000-7000-8000-{number:012x}")


def comment_id(number: int) -> CommentId:
    return CommentId(f"0198c0de-0000-7000-9000-{number:012x}")


def random_command(choice: random.Random, posts: int) -> PostCommand:
    post, name, text = post_id(choice.randrange(posts)), choice.choice(NAMES), choice.choice(TEXTS)
    comment = comment_id(choice.randrange(posts * 3))
    at = NOON + timedelta(milliseconds=choice.randrange(1_000_000))
    kinds: list[PostCommand] = [
        CreatePost(post_id=post, author=name, message=text, date_posted=at),
        EditMessage(post_id=post, message=text, username=name, edited_at=at),
        LikePost(post_id=post, username=None),
        LikePost(post_id=post, username=name),
        UnlikePost(post_id=post, username=name),
        AddComment(post_id=post, comment_id=comment, comment=text, username=name, comment_date=at),
        EditComment(post_id=post, comment_id=comment, comment=text, username=name, edit_date=at),
        RemoveComment(post_id=post, comment_id=comment, username=name),
        RemovePost(post_id=post, username=name),
    ]
    return choice.choices(kinds, weights=[30, 8, 20, 20, 8, 20, 8, 6, 1])[0]


async def write(system: SmallSystem, *commands: PostCommand) -> int:
    """Those that are not refused; how many there were."""
    done = 0
    for command in commands:
        try:
            await system.process.commands.handle(command, ANYBODY)
            done += 1
        except PostlogError:
            continue
    return done


async def open_history(maintained: Maintained, seed: int, commands: int, posts: int = 20) -> SmallSystem:
    """A system whose rows are at the tip of a random log."""
    choice = random.Random(seed)
    system = SmallSystem(read_side=maintained.read_side, batch_size=50, patience=30)
    await write(system, *(random_command(choice, posts) for _ in range(commands)))
    async with system.projecting():
        await system.caught_up(30)
    return system


async def run(rebuild: Rebuild, **options: bool) -> list[Build]:
    return [build async for build in rebuild.run(**options)]


class RebuildingContract:
    @pytest.fixture
    async def maintained(self, open_maintained: OpenMaintained) -> AsyncIterator[Maintained]:
        async with open_maintained() as handle:
            yield handle

    @pytest.fixture
    async def other(self, maintained: Maintained, open_maintained: OpenMaintained) -> AsyncIterator[Maintained]:
        async with open_maintained() as handle:
            yield handle

    # Rebuild

    @pytest.mark.parametrize("batch_events", [1, 7, 1000])
    async def test_a_rebuild_gives_the_same_rows(self, maintained: Maintained, batch_events: int) -> None:
        system = await open_history(maintained, seed=batch_events, commands=150)
        before = await maintained.dump()

        builds = await run(maintained.rebuild(system, batch_events))

        live = await maintained.read_side.store.live()
        assert (live.generation, live.slot, live.ready) == (2, "b", True)
        assert live.log_id == system.log.log_id
        assert builds[-1].state is BuildState.LIVE
        assert await maintained.dump() == before
        assert (await maintained.audit(system).run()).differences == []

    @pytest.mark.parametrize("batches", [1, 2, 5, 11])
    async def test_a_killed_rebuild_is_resumed_to_the_same_rows(self, maintained: Maintained, batches: int) -> None:
        system = await open_history(maintained, seed=batches, commands=200)
        before = await maintained.dump()
        first = maintained.rebuild(system, 10).run()
        for _ in range(batches):
            stopped = await anext(first)
        await first.aclose()
        assert await maintained.dump() == before

        builds = await run(maintained.rebuild(system, 10))

        assert (builds[0].generation, builds[0].position) == (stopped.generation, stopped.position)
        assert await maintained.dump() == before

    async def test_a_rebuild_by_several_workers_gives_the_same_rows_also_when_it_is_resumed(
        self, maintained: Maintained
    ) -> None:
        system = await open_history(maintained, seed=16, commands=200)
        stream = await system.event_store.read_stream(post_id(3))
        await append_unknown(system, post_id(3), version=stream[-1].last_version + 1)
        async with system.projecting():
            await system.caught_up()
        before, parked = await maintained.dump(), await maintained.read_side.parked.parked()
        first = maintained.rebuild(system, 9, workers=3).run()
        for _ in range(4):
            stopped = await anext(first)
        await first.aclose()

        builds = await run(maintained.rebuild(system, 20, workers=2))

        assert (builds[0].generation, builds[0].position) == (stopped.generation, stopped.position)
        assert stopped.position > 0
        assert await maintained.dump() == before
        assert [each.post_id for each in await maintained.read_side.parked.parked()] == [
            each.post_id for each in parked
        ]
        assert [each.post_id for each in parked] == [post_id(3)]

    async def test_the_slots_take_turns_and_the_idle_one_is_emptied_first(self, maintained: Maintained) -> None:
        system = await open_history(maintained, seed=3, commands=150)
        before = await maintained.dump()
        slots = []
        for _ in range(3):
            await run(maintained.rebuild(system))
            slots.append((await maintained.read_side.store.live()).slot)

        assert slots == ["b", "a", "b"]
        assert await maintained.dump() == before
        states = [(build.generation, build.state) for build in await maintained.generations.builds()]
        assert states == [
            (4, BuildState.LIVE),
            (3, BuildState.RETIRED),
            (2, BuildState.RETIRED),
            (1, BuildState.RETIRED),
        ]

    async def test_what_a_dropped_build_left_does_not_show_in_the_next(self, maintained: Maintained) -> None:
        system = await open_history(maintained, seed=4, commands=150)
        before = await maintained.dump()
        first = maintained.rebuild(system, 10).run()
        for _ in range(4):
            await anext(first)
        await first.aclose()

        builds = await run(maintained.rebuild(system, 10), restart=True)

        assert (builds[0].generation, builds[0].position) == (3, 0)
        assert await maintained.dump() == before

    async def test_a_rebuild_killed_while_it_emptied_the_slot_empties_it_again(self, maintained: Maintained) -> None:
        system = await open_history(maintained, seed=14, commands=150)
        before = await maintained.dump()
        await run(maintained.rebuild(system))
        first = maintained.rebuild(system).run()
        assert (await anext(first)).state is BuildState.EMPTYING
        await first.aclose()

        builds = await run(maintained.rebuild(system))

        assert (builds[0].generation, builds[0].state) == (3, BuildState.EMPTYING)
        assert await maintained.dump() == before

    async def test_an_error_is_recorded_with_the_build_until_it_is_resumed(self, maintained: Maintained) -> None:
        system = await open_history(maintained, seed=15, commands=100)
        before = await maintained.dump()
        read = system.commit_log.read_events

        async def failing_read(after: int, limit: int = 1_000) -> object:
            if after > 20:
                raise StoreUnavailable("The log is away.")
            return await read(after, limit)

        system.commit_log.read_events = failing_read  # type: ignore[assignment,method-assign]
        with pytest.raises(StoreUnavailable):
            await run(maintained.rebuild(system, 10))
        stopped = (await maintained.generations.builds())[0]
        system.commit_log.read_events = read  # type: ignore[method-assign]
        builds = await run(maintained.rebuild(system, 10))

        assert (stopped.generation, stopped.state, stopped.error) == (2, BuildState.BUILDING, "The log is away.")
        assert (builds[0].generation, builds[0].position) == (2, stopped.position)
        assert stopped.position > 0
        assert (await maintained.generations.builds())[0].error is None
        assert await maintained.dump() == before

    async def test_two_at_once_are_refused_also_in_another_process(
        self, maintained: Maintained, other: Maintained
    ) -> None:
        system = await open_history(maintained, seed=5, commands=50)
        first = maintained.rebuild(system, 5).run()
        await anext(first)
        assert await maintained.generations.is_locked()

        await anext(first)

        with pytest.raises(
            RebuildRunning, match=r"is running: generation 2 at position 5 of \d+(, .* s left)?\. "
        ) as refused:
            await run(maintained.rebuild(system, 5))
        await first.aclose()

        assert refused.value.generation == 2
        assert not await maintained.generations.is_locked()
        assert (await run(maintained.rebuild(system, 5)))[-1].state is BuildState.LIVE

    async def test_a_cancelled_rebuild_writes_no_more(self, maintained: Maintained, other: Maintained) -> None:
        system = await open_history(maintained, seed=6, commands=100)
        before = await maintained.dump()
        running = maintained.rebuild(system, 5).run()
        build = await anext(running)
        await other.generations.cancel(build, NOON)

        with pytest.raises(RebuildCancelled):
            async for _ in running:
                pass
        assert (await maintained.read_side.store.live()).generation == 1
        assert await maintained.dump() == before
        assert (await maintained.generations.builds())[0].ended_at == NOON

    async def test_readers_and_writers_notice_nothing(self, maintained: Maintained) -> None:
        """Every answer is at least as new as asked for, post and comments are of one version, and nothing fails."""
        system = await open_history(maintained, seed=7, commands=200)
        hot = post_id(900)
        await write(system, CreatePost(post_id=hot, author="Ann", message="0", date_posted=NOON))
        answers = 0

        async def read_and_write() -> None:
            nonlocal answers
            for number in range(1, 10_000):
                edit = EditMessage(post_id=hot, message=f"{number}", username="Ann", edited_at=NOON)
                comment = AddComment(
                    post_id=hot, comment_id=comment_id(9_000 + number), comment="c", username="Bob", comment_date=NOON
                )
                await system.process.commands.handle(edit, ANYBODY)
                result = await system.process.commands.handle(comment, ANYBODY)
                answer = await system.queries.ask(GetPost(post_id=hot, min_position=result.position))
                assert (answer.post.message, answer.post.comments_count) == (f"{number}", number)
                assert len(answer.comments) == min(number, 100)
                page = await system.queries.ask(ListPosts(wanted=PostFilter(author="ANN"), limit=50))
                assert hot in {post.post_id for post in page.posts}
                answers += 1
                await asyncio.sleep(0.001)

        async with system.projecting():
            reading = asyncio.create_task(read_and_write())
            for _ in range(4):
                await run(maintained.rebuild(system, 40))
            done = answers
            while answers < done + 3 and not reading.done():
                await asyncio.sleep(0.001)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await system.caught_up(30)

        assert answers >= 3
        assert (await maintained.read_side.store.live()).generation == 5
        assert (await maintained.audit(system).run()).differences == []

    async def test_a_swap_that_is_left_unfinished_changes_nothing(self, maintained: Maintained) -> None:
        system = await open_history(maintained, seed=19, commands=100)
        before, store = await maintained.dump(), maintained.read_side.store
        build = (await run(maintained.rebuild(system, 40), swap=False))[-1]

        async def fail() -> None:
            async with maintained.generations.swap(build, keep_checkpoints=True) as swap:
                assert swap.checkpoints == await store.checkpoints(1)
                raise StoreUnavailable("The log is away.")

        with pytest.raises(StoreUnavailable):
            await fail()
        assert (await store.live()).generation == 1

        opened = asyncio.Event()

        async def hang() -> None:
            async with maintained.generations.swap(build, keep_checkpoints=True):
                opened.set()
                await asyncio.Event().wait()

        swapping = asyncio.create_task(hang())
        await opened.wait()
        swapping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await swapping
        assert await maintained.dump() == before

        async with system.projecting():  # nothing is locked any more
            await write(system, LikePost(post_id=post_id(1), username=None))
            await system.caught_up(30)
        builds = await run(maintained.rebuild(system, 40))
        assert (builds[0].generation, builds[-1].state) == (build.generation, BuildState.LIVE)
        assert (await maintained.audit(system).run()).differences == []

    async def test_rows_of_another_log_can_be_replaced(self, maintained: Maintained) -> None:
        await open_history(maintained, seed=8, commands=100)
        other_log = SmallSystem(MemoryLog(), read_side=maintained.read_side)
        await write(other_log, CreatePost(post_id=post_id(1), author="Bob", message="Hi", date_posted=NOON))

        await run(maintained.rebuild(other_log))

        assert (await maintained.read_side.store.live()).log_id == other_log.log.log_id
        assert len(await maintained.dump()) == 1
        async with other_log.projecting():
            await write(other_log, LikePost(post_id=post_id(1), username="Ann"))
            await other_log.caught_up()
        assert (await maintained.rows(post_id(1))).posts[post_id(1)].likes == 1

    async def test_parked_posts_are_parked_in_the_new_generation_too(self, maintained: Maintained) -> None:
        system = await open_history(maintained, seed=9, commands=30)
        await write(system, CreatePost(post_id=post_id(800), author="Ann", message="Hi", date_posted=NOON))
        await append_unknown(system, post_id(800), version=2)
        async with system.projecting():
            await system.caught_up()
        await run(maintained.rebuild(system))

        (parked,) = await maintained.read_side.parked.parked()
        assert (parked.post_id, parked.version) == (post_id(800), 2)
        report = await maintained.audit(system).run()
        assert (report.differences, report.parked) == ([], [post_id(800)])

    async def test_rows_that_were_behind_are_at_the_rebuild_s_position_after_the_swap(
        self, maintained: Maintained
    ) -> None:
        """Of three partitions two are followed by the bus, and all are behind."""
        system = await open_history(maintained, seed=17, commands=60)
        store, behind = maintained.read_side.store, await system.commit_log.tip()
        live, _ = await system.projector.open(partitions=3)
        stored = await store.checkpoints(live.generation)
        on_the_bus = [replace(stored[partition], topic_id="topic", offset=40 + partition) for partition in range(2)]
        moves = [CheckpointMove(stored[at.partition], at) for at in on_the_bus]
        await store.project(ProjectionBatch(live.generation, moves, partitions=3), lambda _: RowChanges())
        await write(system, *(LikePost(post_id=post_id(number), username=None) for number in range(20)))

        builds = await run(maintained.rebuild(system, 10))

        tip = await system.commit_log.tip()
        stamp = await maintained.read_side.views.stamp()
        assert behind < builds[-1].position == stamp.position == tip
        (last,) = await system.commit_log.read(tip - 1)
        after = await store.checkpoints(stamp.generation)
        assert [(at.position, at.commit_position, at.commit_id) for at in after.values()] == [
            (tip, tip, last.commit_id)
        ] * 3
        assert [(at.topic_id, at.offset) for at in after.values()] == [("topic", 40), ("topic", 41), (None, None)]
        assert (await maintained.audit(system).run()).differences == []

    async def test_a_partition_without_a_checkpoint_is_at_the_rebuild_s_position_after_the_swap(
        self, maintained: Maintained
    ) -> None:
        system = SmallSystem(read_side=maintained.read_side)
        await write(system, *(random_command(random.Random(18), 20) for _ in range(50)))
        store = maintained.read_side.store
        live, _ = await system.projector.open(partitions=3)
        begun = CheckpointMove(None, Checkpoint(partition=1, position=0, topic_id="topic", offset=0))
        await store.project(ProjectionBatch(live.generation, [begun], partitions=3), lambda _: RowChanges())

        builds = await run(maintained.rebuild(system))

        stamp = await maintained.read_side.views.stamp()
        assert 0 < builds[-1].position == stamp.position
        assert sorted(await store.checkpoints(stamp.generation)) == [0, 1, 2]

    # Audit and repair

    @pytest.mark.parametrize(
        "kind",
        [
            "a changed field",
            "a wrong like count",
            "a missing post",
            "an extra post",
            "a stale version",
            "a resurrected removed post",
            "a missing comment",
            "an extra comment",
        ],
    )
    async def test_each_planted_fault_is_found_and_fixed(self, maintained: Maintained, kind: str) -> None:
        system = await open_history(maintained, seed=10, commands=120)
        await write(
            system,
            CreatePost(post_id=post_id(700), author="Ann", message="Hi", date_posted=NOON),
            AddComment(
                post_id=post_id(700), comment_id=comment_id(7_000), comment="c", username="Bob", comment_date=NOON
            ),
            LikePost(post_id=post_id(700), username="Bob"),
            CreatePost(post_id=post_id(701), author="Ann", message="Gone", date_posted=NOON),
            RemovePost(post_id=post_id(701), username="Ann"),
        )
        async with system.projecting():
            await system.caught_up()
        before = await maintained.dump()
        rows = await maintained.rows(post_id(700), post_id(701))
        kept, removed = rows.posts[post_id(700)], rows.posts[post_id(701)]
        plants = {
            "a changed field": (post_id(700), RowChanges(posts=[kept._replace(message="Forged")])),
            "a wrong like count": (post_id(700), RowChanges(posts=[kept._replace(likes=2)])),
            "a missing post": (post_id(700), RowChanges(deleted=[post_id(700)], cleared=[post_id(700)])),
            "an extra post": (post_id(999), RowChanges(posts=[kept._replace(post_id=post_id(999))])),
            "a stale version": (post_id(700), RowChanges(posts=[kept._replace(version=2, likes=0)])),
            "a resurrected removed post": (
                post_id(701),
                RowChanges(posts=[removed._replace(status=PostStatus.LIVE, message="Gone")]),
            ),
            "a missing comment": (post_id(700), RowChanges(comments_removed=[(post_id(700), comment_id(7_000))])),
            "an extra comment": (
                post_id(700),
                RowChanges(comments=[CommentRow(post_id(700), comment_id(7_777), "Eve", "Spam", NOON, False)]),
            ),
        }
        where, changes = plants[kind]
        await maintained.plant(changes)

        report = await maintained.audit(system).run()
        assert {each.post_id for each in report.differences} == {where}

        repair = system.process_with(projection_store=maintained.read_side.store).repair()
        assert (await repair.repair(where)).problem is None
        assert (await maintained.audit(system).run()).differences == []
        assert await maintained.dump() == before

    async def test_the_audit_finds_nothing_during_writes_and_rebuilds(self, maintained: Maintained) -> None:
        system = await open_history(maintained, seed=11, commands=150)
        choice = random.Random(11)

        async def keep_writing() -> None:
            while True:
                await write(system, random_command(choice, 20))
                await asyncio.sleep(0.001)

        left = 0

        async def keep_rebuilding() -> None:
            nonlocal left
            while True:
                if left:
                    left -= 1
                    await run(maintained.rebuild(system, 100))
                await asyncio.sleep(0.001)

        async def audited(audit: Awaitable[AuditReport]) -> AuditReport:
            """Beside as many swaps as an audit endures, with one that is under way."""
            nonlocal left
            left = 4
            return await audit

        async with system.projecting():
            tasks = [asyncio.create_task(keep_writing()), asyncio.create_task(keep_rebuilding())]
            reports = [await audited(maintained.audit(system).run()) for _ in range(4)]
            reports.append(await audited(maintained.audit(system).sample(20)))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        assert [list(report.differences) for report in reports] == [[]] * 5
        assert all(report.posts for report in reports)

    async def test_pages_of_the_audit_are_all_rows_in_order(self, maintained: Maintained) -> None:
        system = await open_history(maintained, seed=12, commands=150)
        generation = (await maintained.read_side.store.live()).generation
        in_one = await maintained.audit_rows.page(generation, None, 1_000)
        in_threes = []
        while page := await maintained.audit_rows.page(
            generation, in_threes[-1].post.post_id if in_threes else None, 3
        ):
            in_threes += page

        assert in_threes == list(in_one)
        assert [each.post.post_id for each in in_one] == sorted(each.post.post_id for each in in_one)
        assert list(await maintained.audit_rows.by_ids(generation, [in_one[2].post.post_id])) == [in_one[2]]
        assert (await maintained.audit_rows.start()).posts == len(in_one)
        await run(maintained.rebuild(system))
        with pytest.raises(GenerationGone):
            await maintained.audit_rows.page(generation, None, 3)

    async def test_comments_whose_post_has_no_row_are_found(self, maintained: Maintained) -> None:
        system = await open_history(maintained, seed=13, commands=20)
        orphan = CommentRow(post_id(990), comment_id(1), "Eve", "Spam", NOON, False)
        await maintained.plant(RowChanges(comments=[orphan]))

        report = await maintained.audit(system).run()
        assert [(each.post_id, each.field) for each in report.differences] == [
            (post_id(990), f"comments[{comment_id(1)}]")
        ]


async def append_unknown(system: SmallSystem, post: PostId, version: int) -> None:
    commit = ProposedCommit(
        stream_id=post,
        version=version,
        commit_id="0198c0de-0000-7000-9999-000000000001",
        recorded_at=NOON,
        metadata={},
        events=(StoredEvent("PostShared", 1, {}),),
    )
    await system.event_store.append([commit])

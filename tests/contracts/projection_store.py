"""What every projection store must do. An adapter adopts it with a subclass named `Test…` and the fixture
`open_read_db`.
"""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from adapters.memory.read_db import MemoryParkedStreams, MemoryPostViews, MemoryProjectionStore, MemoryReadDb
from application.ports.post_views import PostFilter
from application.ports.read_db import (
    Checkpoint,
    CheckpointMoved,
    LiveGeneration,
    ProjectionBatch,
    RowChanges,
    RowKeys,
    Rows,
)
from application.rows import PostStatus
from contracts.read_db_handle import (
    LOG,
    NOON,
    OTHER_LOG,
    TEXTS,
    ReadDbFixtures,
    ReadDbHandle,
    checkpoint,
    comment,
    comment_key,
    moves,
    parked,
    post,
    post_id,
)

FRESH = LiveGeneration(generation=1, slot="a", log_id=None, partitions=1, ready=False)


def nothing(rows: Rows) -> RowChanges:
    return RowChanges()


class ProjectionStoreContract(ReadDbFixtures):
    # A fresh read database

    async def test_a_fresh_one_has_its_first_generation_in_slot_a_and_belongs_to_no_log(
        self, read_db: ReadDbHandle
    ) -> None:
        assert await read_db.store.live() == FRESH

    async def test_its_id_stays_whatever_happens_to_it_and_whoever_asks(
        self, read_db: ReadDbHandle, other: ReadDbHandle
    ) -> None:
        before = await read_db.store.database_id()
        await read_db.store.claim(1, LOG, 3)
        await read_db.swap()
        assert before == await read_db.store.database_id() == await other.store.database_id()
        assert before.isalnum()

    async def test_a_fresh_one_has_no_checkpoints(self, read_db: ReadDbHandle) -> None:
        assert await read_db.store.checkpoints(1) == {}

    # Rows

    async def test_rows_come_back_as_they_were_written(self, read_db: ReadDbHandle) -> None:
        row = post(1, author="Ann", message="Hello", likes=3, comments_count=1, version=7)
        reply = comment(1, 1, edited=True)
        await read_db.write(RowChanges(posts=[row], comments=[reply]))
        assert await read_db.rows([post_id(1)], [comment_key(1, 1)]) == Rows(
            posts={post_id(1): row}, comments={comment_key(1, 1): reply}, parked={}
        )

    async def test_what_is_not_there_has_no_entry(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(posts=[post(1)]))
        rows = await read_db.rows([post_id(1), post_id(2)], [comment_key(1, 1)])
        assert rows == Rows(posts={post_id(1): post(1)}, comments={}, parked={})

    async def test_the_fold_is_given_only_what_the_batch_touches(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(posts=[post(1), post(2)], comments=[comment(1, 1), comment(1, 2)]))
        rows = await read_db.rows([post_id(2)], [comment_key(1, 2)])
        assert list(rows.posts) == [post_id(2)]
        assert list(rows.comments) == [comment_key(1, 2)]

    async def test_a_comment_is_found_under_its_own_post_only(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(comments=[comment(1, 1), comment(2, 1, comment="Same id")]))
        rows = await read_db.rows((), [comment_key(2, 1), comment_key(3, 1)])
        assert rows.comments == {comment_key(2, 1): comment(2, 1, comment="Same id")}

    @pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
    async def test_texts_of_any_script_come_back_unchanged(self, read_db: ReadDbHandle, text: str) -> None:
        row, reply = post(1, author=text, message=text), comment(1, 1, username=text, comment=text)
        await read_db.write(RowChanges(posts=[row], comments=[reply]))
        assert (await read_db.rows([post_id(1)])).posts == {post_id(1): row}
        assert (await read_db.rows((), [comment_key(1, 1)])).comments == {comment_key(1, 1): reply}

    async def test_texts_come_back_from_a_large_batch_too(self, read_db: ReadDbHandle) -> None:
        texts = [text for text in TEXTS.values() for _ in range(5)]
        posts = {post_id(n): post(n, author=text, message=text) for n, text in enumerate(texts)}
        await read_db.write(RowChanges(posts=list(posts.values())))
        assert (await read_db.rows(posts)).posts == posts

    @pytest.mark.parametrize(
        "time",
        [
            datetime(2026, 11, 23, 15, 46, 58, 0, tzinfo=UTC),
            datetime(2026, 11, 23, 15, 46, 58, 1_000, tzinfo=UTC),
            datetime(2026, 11, 23, 15, 46, 58, 999_000, tzinfo=UTC),
            datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC),
            datetime(1, 1, 1, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
        ],
        ids=str,
    )
    async def test_times_are_kept_to_the_millisecond_in_utc(self, read_db: ReadDbHandle, time: datetime) -> None:
        await read_db.write(RowChanges(posts=[post(1, date_posted=time)], comments=[comment(1, 1, comment_date=time)]))
        rows = await read_db.rows([post_id(1)], [comment_key(1, 1)])
        found = rows.posts[post_id(1)].date_posted
        assert found.isoformat() == time.isoformat()
        assert rows.comments[comment_key(1, 1)].comment_date == time

    async def test_likes_and_versions_grow_beyond_32_bits(self, read_db: ReadDbHandle) -> None:
        row = post(1, likes=2**40, version=2**40, comments_count=2**31 - 1)
        await read_db.write(RowChanges(posts=[row]))
        assert (await read_db.rows([post_id(1)])).posts == {post_id(1): row}

    @pytest.mark.parametrize("status", PostStatus)
    async def test_rows_of_every_status_are_kept(self, read_db: ReadDbHandle, status: PostStatus) -> None:
        await read_db.write(RowChanges(posts=[post(1, status=status)]))
        assert (await read_db.rows([post_id(1)])).posts[post_id(1)].status is status

    async def test_a_row_replaces_the_one_before(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(posts=[post(1)], comments=[comment(1, 1)]))
        row = post(1, status=PostStatus.REMOVED, author="Anna", message="", likes=9, comments_count=2, version=2)
        later = row._replace(date_posted=datetime(2027, 1, 1, tzinfo=UTC))
        reply = comment(1, 1, username="Eve", comment="Better", edited=True)
        await read_db.write(RowChanges(posts=[later], comments=[reply]))
        rows = await read_db.rows([post_id(1)], [comment_key(1, 1)])
        assert rows == Rows(posts={post_id(1): later}, comments={comment_key(1, 1): reply}, parked={})

    async def test_removed_comments_go_and_others_stay(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(comments=[comment(1, 1), comment(1, 2), comment(2, 1)]))
        await read_db.write(RowChanges(comments_removed=[comment_key(1, 1), comment_key(3, 3)]))
        rows = await read_db.rows((), [comment_key(1, 1), comment_key(1, 2), comment_key(2, 1)])
        assert list(rows.comments) == [comment_key(1, 2), comment_key(2, 1)]

    async def test_a_cleared_post_loses_all_its_comments_and_then_gets_the_new_ones(
        self, read_db: ReadDbHandle
    ) -> None:
        await read_db.write(RowChanges(comments=[comment(1, 1), comment(1, 2), comment(2, 1)]))
        new = comment(1, 2, comment="Written after")
        await read_db.write(RowChanges(cleared=[post_id(1)], comments=[new]))
        rows = await read_db.rows((), [comment_key(1, 1), comment_key(1, 2), comment_key(2, 1)])
        assert rows.comments == {comment_key(1, 2): new, comment_key(2, 1): comment(2, 1)}

    async def test_a_deleted_row_is_gone(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(posts=[post(1), post(2)]))
        await read_db.write(RowChanges(deleted=[post_id(1)]))
        assert list((await read_db.rows([post_id(1), post_id(2)])).posts) == [post_id(2)]

    async def test_a_parked_stream_is_given_to_the_fold_and_can_be_changed_and_freed(
        self, read_db: ReadDbHandle
    ) -> None:
        await read_db.write(RowChanges(parked=[parked(1), parked(2)]))
        assert (await read_db.rows([post_id(1), post_id(3)])).parked == {post_id(1): parked(1)}
        changed = parked(1, waiting_version=9, reason=TEXTS["emoji"])
        await read_db.write(RowChanges(parked=[changed]))
        assert (await read_db.rows([post_id(1)])).parked == {post_id(1): changed}
        await read_db.write(RowChanges(unparked=[post_id(1), post_id(3)]))
        assert (await read_db.rows([post_id(1), post_id(2)])).parked == {post_id(2): parked(2)}

    async def test_a_batch_may_touch_five_thousand_posts(self, read_db: ReadDbHandle) -> None:
        posts = [post(n, likes=n) for n in range(5_000)]
        comments = [comment(n, n) for n in range(5_000)]
        row_keys = RowKeys([row.post_id for row in posts], [(row.post_id, row.comment_id) for row in comments])
        batch = ProjectionBatch(1, moves((None, checkpoint(1))), row_keys)
        await read_db.store.project(batch, lambda _: RowChanges(posts=posts, comments=comments))

        def like(rows: Rows) -> RowChanges:
            liked = [row._replace(likes=row.likes + 1) for row in rows.posts.values()]
            return RowChanges(posts=liked, comments_removed=list(rows.comments))

        await read_db.store.project(replace(batch, moves=moves((checkpoint(1), checkpoint(2)))), like)
        rows = await read_db.rows(row_keys.posts, row_keys.comments)
        assert sorted(row.likes for row in rows.posts.values()) == list(range(1, 5_001))
        assert rows.comments == {}

    # All or nothing

    async def test_what_the_fold_raises_comes_out_and_nothing_is_written(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(posts=[post(1)]))

        class Trouble(Exception):
            pass

        def fold(rows: Rows) -> RowChanges:
            raise Trouble("the fold's own")

        batch = ProjectionBatch(1, moves((checkpoint(1), checkpoint(2)), (None, checkpoint(5, 1))))
        with pytest.raises(Trouble, match="the fold's own"):
            await read_db.store.project(batch, fold)
        assert await read_db.store.checkpoints(1) == {0: checkpoint(1)}
        await read_db.store.project(batch, nothing)

    # Checkpoints

    async def test_a_batch_moves_its_checkpoints(self, read_db: ReadDbHandle) -> None:
        first, second = checkpoint(4, 0), checkpoint(7, 1, topic_id="MkU3OEVBNTcw", offset=2**40)
        await read_db.store.project(ProjectionBatch(1, moves((None, first), (None, second))), nothing)
        assert await read_db.store.checkpoints(1) == {0: first, 1: second}
        third = checkpoint(9, 1, commit_position=8, topic_id="another", offset=0)
        await read_db.store.project(ProjectionBatch(1, moves((second, third))), nothing)
        assert await read_db.store.checkpoints(1) == {0: first, 1: third}

    async def test_a_checkpoint_can_give_up_its_topic(self, read_db: ReadDbHandle) -> None:
        on_topic, on_log = checkpoint(4, topic_id="topic", offset=3), checkpoint(4)
        await read_db.store.project(ProjectionBatch(1, moves((None, on_topic))), nothing)
        await read_db.store.project(ProjectionBatch(1, moves((on_topic, on_log))), nothing)
        assert await read_db.store.checkpoints(1) == {0: on_log}

    @pytest.mark.parametrize(
        "believed",
        [
            checkpoint(3),
            checkpoint(5),
            checkpoint(4, offset=1),
            checkpoint(4, topic_id="topic"),
            checkpoint(4, commit_id="of another log"),
            checkpoint(4, commit_position=3),
            None,
        ],
        ids=["behind", "ahead", "offset", "topic", "commit id", "commit position", "none"],
    )
    async def test_a_checkpoint_that_is_not_where_the_batch_believes_refuses_it(
        self, read_db: ReadDbHandle, believed: Checkpoint | None
    ) -> None:
        await read_db.store.project(ProjectionBatch(1, moves((None, checkpoint(4)))), nothing)
        batch = ProjectionBatch(1, moves((believed, checkpoint(6))))
        with pytest.raises(CheckpointMoved):
            await read_db.store.project(batch, lambda _: RowChanges(posts=[post(1)]))
        assert await read_db.store.checkpoints(1) == {0: checkpoint(4)}
        assert (await read_db.rows([post_id(1)])).posts == {}

    async def test_a_checkpoint_that_is_missing_refuses_a_batch_that_believes_in_it(
        self, read_db: ReadDbHandle
    ) -> None:
        with pytest.raises(CheckpointMoved):
            await read_db.store.project(ProjectionBatch(1, moves((checkpoint(4), checkpoint(6)))), nothing)
        assert await read_db.store.checkpoints(1) == {}

    async def test_one_checkpoint_that_moved_refuses_the_whole_batch(self, read_db: ReadDbHandle) -> None:
        await read_db.store.project(ProjectionBatch(1, moves((None, checkpoint(4)))), nothing)
        batch = ProjectionBatch(1, moves((checkpoint(4), checkpoint(5)), (checkpoint(1, 1), checkpoint(2, 1))))
        with pytest.raises(CheckpointMoved):
            await read_db.store.project(batch, lambda _: RowChanges(posts=[post(1)]))
        assert await read_db.store.checkpoints(1) == {0: checkpoint(4)}
        assert (await read_db.rows([post_id(1)])).posts == {}

    async def test_a_refused_batch_is_not_folded(self, read_db: ReadDbHandle) -> None:
        def fold(rows: Rows) -> RowChanges:
            raise AssertionError("nobody holds the checkpoint")

        with pytest.raises(CheckpointMoved):
            await read_db.store.project(ProjectionBatch(1, moves((checkpoint(4), checkpoint(6)))), fold)

    async def test_a_move_to_the_same_place_checks_and_leaves_the_checkpoint(self, read_db: ReadDbHandle) -> None:
        await read_db.store.project(ProjectionBatch(1, moves((None, checkpoint(4)))), nothing)
        stay = ProjectionBatch(1, moves((checkpoint(4), checkpoint(4))))
        await read_db.store.project(stay, lambda _: RowChanges(posts=[post(1)]))
        assert await read_db.store.checkpoints(1) == {0: checkpoint(4)}
        assert list((await read_db.rows([post_id(1)])).posts) == [post_id(1)]
        with pytest.raises(CheckpointMoved):
            await read_db.store.project(ProjectionBatch(1, moves((checkpoint(3), checkpoint(3)))), nothing)

    async def test_a_batch_without_moves_writes_and_leaves_every_checkpoint(self, read_db: ReadDbHandle) -> None:
        before = {0: checkpoint(4), 1: checkpoint(9, 1)}
        await read_db.store.project(ProjectionBatch(1, moves(*((None, each) for each in before.values()))), nothing)
        await read_db.store.project(ProjectionBatch(1, ()), lambda _: RowChanges(posts=[post(1)]))
        assert await read_db.store.checkpoints(1) == before
        assert list((await read_db.rows([post_id(1)])).posts) == [post_id(1)]

    @pytest.mark.parametrize("generation", [0, 2])
    async def test_a_generation_that_is_not_live_refuses_a_batch(self, read_db: ReadDbHandle, generation: int) -> None:
        for steps in (moves((None, checkpoint(1))), ()):
            with pytest.raises(CheckpointMoved):
                await read_db.store.project(
                    ProjectionBatch(generation, steps), lambda _: RowChanges(posts=[post(1)], parked=[parked(1)])
                )
        assert await read_db.store.checkpoints(generation) == {}
        assert (await read_db.rows([post_id(1)])).posts == {}

    # Several projectors

    async def test_one_of_several_wins_when_a_partition_begins(
        self, read_db: ReadDbHandle, other: ReadDbHandle
    ) -> None:
        async def begin(store: ReadDbHandle, number: int) -> bool:
            batch = ProjectionBatch(1, moves((None, checkpoint(number))))
            try:
                await store.store.project(batch, lambda _: RowChanges(posts=[post(number)]))
            except CheckpointMoved:
                return False
            return True

        won = await asyncio.gather(*(begin((read_db, other)[number % 2], number) for number in range(1, 9)))
        [winner] = [number for number, has_won in enumerate(won, start=1) if has_won]
        assert await read_db.store.checkpoints(1) == {0: checkpoint(winner)}
        assert list((await read_db.rows(map(post_id, range(1, 9)))).posts) == [post_id(winner)]

    async def test_projectors_that_race_for_one_checkpoint_lose_no_like(
        self, read_db: ReadDbHandle, other: ReadDbHandle
    ) -> None:
        await read_db.write(RowChanges(posts=[post(1)]))

        async def like_once(handle: ReadDbHandle) -> None:
            while True:
                before = (await handle.store.checkpoints(1))[0]
                after = checkpoint(before.position + 1)
                batch = ProjectionBatch(1, moves((before, after)), RowKeys([post_id(1)], ()))
                try:
                    await handle.store.project(batch, like)
                except CheckpointMoved:
                    continue
                return

        await asyncio.gather(*(like_once(handle) for _ in range(10) for handle in (read_db, other)))
        assert await read_db.store.checkpoints(1) == {0: checkpoint(21)}
        assert (await read_db.rows([post_id(1)])).posts[post_id(1)].likes == 20

    async def test_a_repair_and_projectors_of_all_partitions_lose_no_like(
        self, read_db: ReadDbHandle, other: ReadDbHandle
    ) -> None:
        """A repair locks every checkpoint, also those that begin only now."""
        await read_db.write(RowChanges(posts=[post(1), post(2)]))

        async def project(partition: int) -> None:
            at: Checkpoint | None = None if partition else checkpoint(1)
            for position in range(2, 12):
                after = checkpoint(position, partition)
                row_keys = RowKeys([post_id(partition + 1)], ())
                await read_db.store.project(ProjectionBatch(1, moves((at, after)), row_keys), like)
                at = after

        async def repair() -> None:
            for _ in range(10):
                await other.store.project(ProjectionBatch(1, (), RowKeys([post_id(1), post_id(2)], ())), like)

        await asyncio.gather(project(0), project(1), repair())
        rows = await read_db.rows([post_id(1), post_id(2)])
        assert [row.likes for row in rows.posts.values()] == [20, 20]

    # Whose it is

    async def test_a_claim_notes_the_log_and_its_partitions(self, read_db: ReadDbHandle) -> None:
        claimed = replace(FRESH, log_id=LOG, partitions=3)
        assert await read_db.store.claim(1, LOG, 3) == claimed
        assert await read_db.store.live() == claimed
        assert await read_db.store.checkpoints(1) == {}

    async def test_a_claim_for_another_log_changes_nothing(self, read_db: ReadDbHandle) -> None:
        claimed = await read_db.store.claim(1, LOG, 2)
        assert await read_db.store.claim(1, OTHER_LOG, 5) == claimed
        assert await read_db.store.live() == claimed

    async def test_a_claim_on_a_generation_that_is_not_live_is_refused(self, read_db: ReadDbHandle) -> None:
        with pytest.raises(CheckpointMoved):
            await read_db.store.claim(2, LOG, 1)
        assert await read_db.store.live() == FRESH

    async def test_the_same_claim_again_leaves_the_checkpoints(self, read_db: ReadDbHandle) -> None:
        await read_db.store.claim(1, LOG, 1)
        at = checkpoint(4, topic_id="topic", offset=9)
        await read_db.store.project(ProjectionBatch(1, moves((None, at))), nothing)
        await read_db.store.claim(1, LOG, 1)
        assert await read_db.store.checkpoints(1) == {0: at}

    async def test_more_partitions_begin_where_the_lowest_of_the_old_ones_stood(self, read_db: ReadDbHandle) -> None:
        await self._stands(read_db, checkpoint(9), checkpoint(5, 1, topic_id="topic", offset=3))
        await read_db.store.claim(1, LOG, 3)
        assert await read_db.store.checkpoints(1) == {n: checkpoint(5, n) for n in range(3)}

    async def test_fewer_partitions_begin_where_the_lowest_of_the_old_ones_stood(self, read_db: ReadDbHandle) -> None:
        await self._stands(read_db, checkpoint(9), checkpoint(5, 1))
        await read_db.store.claim(1, LOG, 1)
        assert await read_db.store.checkpoints(1) == {0: checkpoint(5)}

    async def test_new_partitions_begin_at_nothing_when_an_old_one_never_began(self, read_db: ReadDbHandle) -> None:
        await read_db.store.claim(1, LOG, 2)
        await read_db.store.project(ProjectionBatch(1, moves((None, checkpoint(9)))), nothing)
        await read_db.store.claim(1, LOG, 1)
        assert await read_db.store.checkpoints(1) == {0: Checkpoint(partition=0, position=0)}

    async def test_who_divides_the_posts_in_another_way_is_refused(self, read_db: ReadDbHandle) -> None:
        """Though its checkpoint looks the same: the partitions were changed and changed back by others meanwhile."""
        await self._stands(read_db, checkpoint(5), checkpoint(5, 1))
        await read_db.store.claim(1, LOG, 3)
        for steps in (moves((checkpoint(5, 1), checkpoint(6, 1))), moves((None, checkpoint(6, 4)))):
            with pytest.raises(CheckpointMoved):
                await read_db.store.project(ProjectionBatch(1, steps, partitions=2), nothing)
        assert await read_db.store.checkpoints(1) == {n: checkpoint(5, n) for n in range(3)}
        await read_db.store.project(
            ProjectionBatch(1, moves((checkpoint(5, 1), checkpoint(6, 1))), partitions=3), nothing
        )
        assert (await read_db.store.checkpoints(1))[1] == checkpoint(6, 1)

    async def test_it_is_ready_when_it_was_marked_so(self, read_db: ReadDbHandle) -> None:
        await read_db.store.mark_ready(1)
        assert await read_db.store.live() == replace(FRESH, ready=True)
        await read_db.store.mark_ready(1)

    async def test_a_generation_that_is_not_live_is_not_marked_ready(self, read_db: ReadDbHandle) -> None:
        with pytest.raises(CheckpointMoved):
            await read_db.store.mark_ready(2)
        assert await read_db.store.live() == FRESH

    # Any history

    @pytest.mark.parametrize("seed", range(5))
    async def test_any_batches_leave_what_they_leave_in_memory(self, read_db: ReadDbHandle, seed: int) -> None:
        memory = MemoryReadDb()
        model = ReadDbHandle(
            MemoryProjectionStore(memory), MemoryPostViews(memory), MemoryParkedStreams(memory), read_db.swap
        )
        chance = random.Random(seed)
        for _ in range(25):
            changes = random_changes(chance)
            for handle in (read_db, model):
                await handle.write(changes)
        assert await dump(read_db) == await dump(model)

    # Swaps

    async def test_after_a_swap_the_new_generation_is_live_in_the_other_slot(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(posts=[post(1)], parked=[parked(2)]))
        await read_db.swap()
        assert await read_db.store.live() == replace(FRESH, generation=2, slot="b")
        assert await read_db.store.checkpoints(2) == {0: checkpoint(1)}
        assert await read_db.rows([post_id(1), post_id(2)]) == Rows(posts={}, comments={}, parked={})

    async def test_a_batch_of_the_old_generation_is_refused_after_a_swap(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(posts=[post(1)]))
        await read_db.swap()
        batch = ProjectionBatch(1, moves((checkpoint(1), checkpoint(2))))
        with pytest.raises(CheckpointMoved):
            await read_db.store.project(batch, lambda _: RowChanges(posts=[post(2)]))
        assert await read_db.store.checkpoints(1) == {0: checkpoint(1)}

    async def test_a_batch_of_the_new_generation_writes_to_its_own_slot(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(posts=[post(1, message="old")], comments=[comment(1, 1)]))
        await read_db.swap()
        await read_db.write(RowChanges(posts=[post(1, message="new")]), generation=2)
        rows = await read_db.rows([post_id(1)], [comment_key(1, 1)])
        assert rows == Rows(posts={post_id(1): post(1, message="new")}, comments={}, parked={})
        assert await read_db.store.checkpoints(1) == {0: checkpoint(1)}
        assert await read_db.store.checkpoints(2) == {0: checkpoint(2)}

    async def _stands(self, read_db: ReadDbHandle, *checkpoints: Checkpoint) -> None:
        await read_db.store.claim(1, LOG, len(checkpoints))
        await read_db.store.project(ProjectionBatch(1, moves(*((None, each) for each in checkpoints))), nothing)


def like(rows: Rows) -> RowChanges:
    return RowChanges(posts=[row._replace(likes=row.likes + 1) for row in rows.posts.values()])


def random_changes(chance: random.Random) -> RowChanges:
    """On a few posts and comments, so that they hit each other."""

    def some(most: int) -> list[int]:
        return chance.sample(range(8), chance.randrange(most))

    texts = list(TEXTS.values())
    posts = [
        post(
            number,
            status=chance.choice(list(PostStatus)),
            author=chance.choice(texts),
            message=chance.choice(texts),
            date_posted=NOON + timedelta(milliseconds=chance.randrange(3)),
            likes=chance.randrange(2**40),
            comments_count=chance.randrange(3),
            version=chance.randrange(1, 2**40),
        )
        for number in some(6)
    ]
    comments = [
        comment(number, chance.randrange(5), comment=chance.choice(texts), edited=chance.random() < 0.5)
        for number in some(8)
    ]
    return RowChanges(
        posts=posts,
        comments=comments,
        comments_removed=[comment_key(number, chance.randrange(5)) for number in some(4)],
        cleared=[post_id(number) for number in some(3)],
        parked=[parked(number, reason=chance.choice(texts)) for number in some(3)],
        unparked=[post_id(number) for number in range(8, 10)],
    )


async def dump(read_db: ReadDbHandle) -> object:
    """Everything that can be asked for, in an order that does not depend on the engine."""
    numbers = range(8)
    rows = await read_db.rows(map(post_id, numbers), [comment_key(n, c) for n in numbers for c in range(5)])
    return (
        sorted(rows.posts.items()),
        sorted(rows.comments.items()),
        await read_db.parked.parked(),
        await read_db.store.checkpoints(1),
        await read_db.views.posts(PostFilter(), 100, None),
        [await read_db.views.post(post_id(number)) for number in numbers],
        [await read_db.views.comments(post_id(number), 100, None) for number in numbers],
    )

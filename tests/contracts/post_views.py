"""What every store of rows for queries must do. An adapter adopts it with a subclass named `Test…` and the fixture
`open_read_db`.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from application.partitioning import partition_of
from application.ports.post_views import CommentKeyset, PostFilter, PostKey, PostWithComments, Stamp
from application.ports.read_db import ProjectionBatch, RowChanges, Rows
from application.rows import PostRow, PostStatus
from contracts.read_db_handle import (
    LOG,
    NOON,
    TEXTS,
    ReadDbFixtures,
    ReadDbHandle,
    checkpoint,
    comment,
    comment_id,
    minutes_ago,
    moves,
    parked,
    post,
    post_id,
)

FRESH = Stamp(generation=1, ready=False, position=0, parked=0)
ANY = PostFilter()
UNSEEN = [PostStatus.REMOVED, PostStatus.EMPTY]


class PostViewsContract(ReadDbFixtures):
    # One post

    async def test_an_unknown_post_is_none(self, read_db: ReadDbHandle) -> None:
        answer = await read_db.views.post(post_id(1))
        assert (answer.stamp, answer.value) == (FRESH, None)

    async def test_a_post_comes_with_its_comments_newest_first(self, read_db: ReadDbHandle) -> None:
        row = post(1, author="Žofie", message=TEXTS["emoji"], likes=2**40, comments_count=3, version=9)
        old, new = comment(1, 5, comment_date=minutes_ago(9)), comment(1, 2, comment_date=minutes_ago(1), edited=True)
        same_time = comment(1, 3, comment_date=minutes_ago(1))
        await read_db.write(RowChanges(posts=[row, post(2)], comments=[old, new, same_time, comment(2, 9)]))
        assert (await read_db.views.post(post_id(1))).value == PostWithComments(row, [same_time, new, old])

    async def test_a_post_without_comments_has_none(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(posts=[post(1), post(2)], comments=[comment(2, 1)]))
        found = (await read_db.views.post(post_id(1))).value
        assert found is not None
        assert (found.post, list(found.comments)) == (post(1), [])

    async def test_a_post_comes_with_the_newest_hundred_of_its_comments(self, read_db: ReadDbHandle) -> None:
        comments = [comment(1, n, comment_date=minutes_ago(n % 105)) for n in range(210)]
        await read_db.write(RowChanges(posts=[post(1)], comments=comments))
        found = (await read_db.views.post(post_id(1))).value
        newest = sorted(comments, key=lambda each: (each.comment_date, each.comment_id), reverse=True)[:100]
        assert found is not None
        assert list(found.comments) == newest

    @pytest.mark.parametrize("status", UNSEEN)
    async def test_a_post_that_is_not_live_is_not_seen(self, read_db: ReadDbHandle, status: PostStatus) -> None:
        await read_db.write(RowChanges(posts=[post(1, status=status)]))
        assert (await read_db.views.post(post_id(1))).value is None
        assert (await read_db.views.posts(ANY, 10, None)).value == []
        assert (await read_db.views.comments(post_id(1), 10, None)).value is None

    async def test_many_at_once_get_each_their_own_post(self, read_db: ReadDbHandle) -> None:
        rows = [post(n, message=f"Post {n}", comments_count=n % 3) for n in range(100)]
        comments = [comment(n, n * 3 + c) for n in range(100) for c in range(n % 3)]
        await read_db.write(RowChanges(posts=rows, comments=comments))
        asked = [n % 120 for n in range(400)]
        answers = await asyncio.gather(*(read_db.views.post(post_id(n)) for n in asked))
        for n, answer in zip(asked, answers, strict=True):
            found = answer.value
            if n >= 100:
                assert found is None
            else:
                assert found is not None
                assert found.post == rows[n]
                assert [each.comment_id for each in found.comments] == [
                    comment_id(n * 3 + c) for c in reversed(range(n % 3))
                ]

    async def test_a_post_is_never_older_than_what_was_written_before_the_question(
        self, read_db: ReadDbHandle, other: ReadDbHandle
    ) -> None:
        """Also while others ask for the same post all the time."""
        await read_db.write(RowChanges(posts=[post(1)]))
        async with _asking_all_the_time(read_db, 4):
            for version in range(2, 30):
                await other.write(RowChanges(posts=[post(1, version=version)]))
                answer = await read_db.views.post(post_id(1))
                assert answer.value is not None
                assert (answer.value.post.version, answer.stamp.position) == (version, version)

    async def test_a_post_and_its_comments_are_of_one_version(self, read_db: ReadDbHandle, other: ReadDbHandle) -> None:
        await read_db.write(RowChanges(posts=[post(1, comments_count=0)]))

        async def write() -> None:
            for count in range(1, 40):
                row = post(1, comments_count=count, version=count + 1)
                await other.write(RowChanges(posts=[row], comments=[comment(1, count)]))
                await asyncio.sleep(0)

        writing = asyncio.create_task(write())
        while not writing.done():
            answer = await read_db.views.post(post_id(1))
            assert answer.value is not None
            assert answer.value.post.comments_count == len(answer.value.comments)
            assert answer.value.post.version == answer.stamp.position
            await asyncio.sleep(0)
        await writing

    # Pages of posts

    async def test_posts_come_newest_first(self, read_db: ReadDbHandle) -> None:
        rows = [post(n, date_posted=minutes_ago(n)) for n in (3, 1, 2)]
        await read_db.write(RowChanges(posts=rows))
        page = await read_db.views.posts(ANY, 10, None)
        assert [row.post_id for row in page.value] == [post_id(1), post_id(2), post_id(3)]
        assert page.value[0] == rows[1]

    async def test_a_page_has_at_most_so_many_posts(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(posts=[post(n, date_posted=minutes_ago(n)) for n in range(5)]))
        assert [row.post_id for row in (await read_db.views.posts(ANY, 2, None)).value] == [post_id(0), post_id(1)]

    async def test_pages_go_on_behind_a_key_that_no_post_has(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(posts=[post(n, date_posted=minutes_ago(n * 10)) for n in range(3)]))
        page = await read_db.views.posts(ANY, 10, PostKey(minutes_ago(5), post_id(9)))
        assert [row.post_id for row in page.value] == [post_id(1), post_id(2)]

    @pytest.mark.parametrize("limit", [1, 2, 3, 7])
    async def test_pages_over_equal_dates_show_every_post_once(self, read_db: ReadDbHandle, limit: int) -> None:
        rows = [post(n, date_posted=NOON + timedelta(milliseconds=n % 3)) for n in range(12)]
        await read_db.write(RowChanges(posts=rows))
        expected = sorted(rows, key=lambda row: (row.date_posted, row.post_id), reverse=True)
        assert await _all_pages(read_db, ANY, limit) == expected

    async def test_an_empty_page_is_stamped(self, read_db: ReadDbHandle) -> None:
        page = await read_db.views.posts(ANY, 10, None)
        assert (page.stamp, page.value) == (FRESH, [])

    # Filters

    @pytest.mark.parametrize(
        ("author", "asked"),
        [
            ("Ann", "aNN"),
            ("Straße", "STRAẞE"),
            ("İpek", "i̇pek"),
            ("Zo\u00eb", "ZOE\u0308"),
            (" Ann  Lee", "Ann Lee"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("Дмитрий", "дМИТРИЙ"),
            ("王小明", "王小明"),
            ("👩‍💻 Ann", "👩‍💻 ANN"),
        ],
    )
    async def test_an_author_is_found_by_any_form_of_the_name(
        self, read_db: ReadDbHandle, author: str, asked: str
    ) -> None:
        await read_db.write(RowChanges(posts=[post(1, author=author), post(2, author="Somebody")]))
        page = await read_db.views.posts(PostFilter(author=asked), 10, None)
        assert [row.author for row in page.value] == [author]

    @pytest.mark.parametrize(
        ("author", "asked"),
        [
            ("Ann", "An n"),
            ("Straße", "STRASSE"),
            ("fiona", "\ufb01ona"),
            ("Ann", "Änn"),
            ("eva", "\u00e9va"),
            ("ıpek", "ipek"),
            ("Ann%", "Ann"),
            ("Ann", "%"),
            ("A" * 5_000, "A" * 4_999),
            ("A" * 5_000 + "x", "A" * 5_000 + "y"),
        ],
    )
    async def test_names_that_only_look_alike_are_others(self, read_db: ReadDbHandle, author: str, asked: str) -> None:
        await read_db.write(RowChanges(posts=[post(1, author=author)]))
        assert (await read_db.views.posts(PostFilter(author=asked), 10, None)).value == []

    async def test_a_name_longer_than_any_limit_is_found(self, read_db: ReadDbHandle) -> None:
        """Nor does its length matter to an index, which takes a long text only if it can be compressed."""
        chance = random.Random(1)
        name = "Ωmega 😀" + "".join(chr(chance.randrange(0x4E00, 0x9FFF)) for _ in range(4_000))
        await read_db.write(RowChanges(posts=[post(1, author=name)]))
        page = await read_db.views.posts(PostFilter(author=name.upper()), 10, None)
        assert [row.author for row in page.value] == [name]

    async def test_posts_with_so_many_likes_or_more(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(posts=[post(n, likes=n * 2**31) for n in range(4)]))
        page = await read_db.views.posts(PostFilter(min_likes=2**32), 10, None)
        assert [row.likes for row in page.value] == [3 * 2**31, 2**32]

    @pytest.mark.parametrize(("has_comments", "expected"), [(True, [2, 1]), (False, [0]), (None, [2, 1, 0])])
    async def test_posts_with_or_without_comments(
        self, read_db: ReadDbHandle, has_comments: bool | None, expected: list[int]
    ) -> None:
        await read_db.write(RowChanges(posts=[post(n, comments_count=n) for n in range(3)]))
        page = await read_db.views.posts(PostFilter(has_comments=has_comments), 10, None)
        assert [row.comments_count for row in page.value] == expected

    @pytest.mark.parametrize("author", ["ANN", None])
    @pytest.mark.parametrize("min_likes", [2, None])
    @pytest.mark.parametrize("has_comments", [True, False, None])
    async def test_filters_go_together_and_over_pages(
        self, read_db: ReadDbHandle, author: str | None, min_likes: int | None, has_comments: bool | None
    ) -> None:
        rows = [
            post(n, author=("Ann", "Bob")[n % 2], likes=n // 2 % 4, comments_count=n // 8 % 2, date_posted=NOON)
            for n in range(16)
        ]
        await read_db.write(RowChanges(posts=rows))
        expected = [
            row
            for row in reversed(rows)
            if (author is None or row.author == "Ann")
            and (min_likes is None or row.likes >= min_likes)
            and (has_comments is None or (row.comments_count > 0) == has_comments)
        ]
        wanted = PostFilter(author=author, has_comments=has_comments, min_likes=min_likes)
        assert await _all_pages(read_db, wanted, 3) == expected

    # Pages of comments

    async def test_comments_of_an_unknown_post_are_none(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(posts=[post(1)], comments=[comment(2, 1)]))
        assert (await read_db.views.comments(post_id(2), 10, None)).value is None

    async def test_comments_of_a_post_without_any_are_an_empty_page(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(posts=[post(1), post(2)], comments=[comment(2, 1)]))
        assert (await read_db.views.comments(post_id(1), 10, None)).value == []

    @pytest.mark.parametrize("limit", [1, 3, 150])
    async def test_pages_of_comments_show_every_comment_once_newest_first(
        self, read_db: ReadDbHandle, limit: int
    ) -> None:
        comments = [
            comment(1, n, comment_date=NOON + timedelta(milliseconds=n % 4), comment=f"{n}", edited=n % 2 == 0)
            for n in range(130 if limit > 100 else 13)
        ]
        await read_db.write(RowChanges(posts=[post(1), post(2)], comments=[*comments, comment(2, 99)]))
        found = []
        after: CommentKeyset | None = None
        while page := (await read_db.views.comments(post_id(1), limit, after)).value:
            assert len(page) <= limit
            found += page
            after = CommentKeyset(page[-1].comment_date, page[-1].comment_id)
        assert found == sorted(comments, key=lambda each: (each.comment_date, each.comment_id), reverse=True)

    # How new it is

    async def test_a_fresh_database_stands_at_nothing_and_is_not_ready(self, read_db: ReadDbHandle) -> None:
        assert await read_db.views.stamp() == FRESH

    async def test_the_position_is_the_lowest_of_all_partitions(self, read_db: ReadDbHandle) -> None:
        await read_db.store.claim(1, LOG, 3)
        at = [checkpoint(9, 0), checkpoint(7, 1), checkpoint(8, 2)]
        await read_db.store.project(ProjectionBatch(1, moves(*((None, each) for each in at))), _no_changes)
        assert (await read_db.views.stamp()).position == 7

    async def test_a_partition_that_never_began_counts_as_zero(self, read_db: ReadDbHandle) -> None:
        await read_db.store.claim(1, LOG, 3)
        at = [checkpoint(9, 0), checkpoint(8, 2)]
        await read_db.store.project(ProjectionBatch(1, moves(*((None, each) for each in at))), _no_changes)
        assert (await read_db.views.stamp()).position == 0
        await read_db.write(RowChanges(), partition=1)
        assert (await read_db.views.stamp()).position == 1

    async def test_a_post_is_as_new_as_its_own_partition(self, read_db: ReadDbHandle) -> None:
        """Whether it has a row or not, and whether it is asked for alone or with others."""
        numbers = range(12)
        own = {number: partition_of(post_id(number), 3) for number in numbers}
        assert set(own.values()) == {0, 1, 2}
        await read_db.store.claim(1, LOG, 3)
        at = {0: 9, 1: 7}
        begun = [(None, checkpoint(position, partition)) for partition, position in at.items()]
        await read_db.store.project(ProjectionBatch(1, moves(*begun)), lambda _: RowChanges(posts=[post(1), post(2)]))
        together = await asyncio.gather(*(read_db.views.post(post_id(number)) for number in numbers))
        for number, found in zip(numbers, together, strict=True):
            position = at.get(own[number], 0)
            assert found.stamp.position == position
            assert (await read_db.views.post(post_id(number))).stamp.position == position
            assert (await read_db.views.comments(post_id(number), 10, None)).stamp.position == position
        assert (await read_db.views.posts(ANY, 10, None)).stamp.position == 0

    async def test_every_answer_is_stamped_alike(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(posts=[post(1)], parked=[parked(2), parked(3)]))
        await read_db.store.mark_ready(1)
        stamp = Stamp(generation=1, ready=True, position=1, parked=2)
        assert await read_db.views.stamp() == stamp
        assert (await read_db.views.post(post_id(1))).stamp == stamp
        assert (await read_db.views.post(post_id(9))).stamp == stamp
        assert (await read_db.views.posts(ANY, 10, None)).stamp == stamp
        assert (await read_db.views.comments(post_id(1), 10, None)).stamp == stamp

    async def test_a_parked_post_is_stamped_with_where_it_was_parked(self, read_db: ReadDbHandle) -> None:
        """Whether it has a row or not."""
        await read_db.write(RowChanges(posts=[post(1)], parked=[parked(1, position=30), parked(2, position=2**40)]))
        for number, position in ((1, 30), (2, 2**40)):
            assert (await read_db.views.post(post_id(number))).stamp.post_parked_at == position
            assert (await read_db.views.comments(post_id(number), 10, None)).stamp.post_parked_at == position
        together = await asyncio.gather(*(read_db.views.post(post_id(number)) for number in (1, 2, 3)))
        assert [answer.stamp.post_parked_at for answer in together] == [30, 2**40, None]

    # Swaps

    async def test_after_a_swap_the_new_rows_are_seen(self, read_db: ReadDbHandle, other: ReadDbHandle) -> None:
        await read_db.write(RowChanges(posts=[post(1)], comments=[comment(1, 1)], parked=[parked(1), parked(2)]))
        await read_db.store.mark_ready(1)
        await other.views.post(post_id(1))
        await read_db.swap()
        stamp = Stamp(generation=2, ready=True, position=1, parked=0)
        for views in (read_db.views, other.views):
            assert await views.stamp() == stamp
            page, one, comments = (
                await views.posts(ANY, 10, None),
                await views.post(post_id(1)),
                await views.comments(post_id(1), 10, None),
            )
            assert (page.stamp, page.value) == (stamp, [])
            assert (one.stamp, one.value) == (stamp, None)
            assert (comments.stamp, comments.value) == (stamp, None)

    async def test_readers_never_see_a_mix_while_generations_are_swapped(
        self, read_db: ReadDbHandle, other: ReadDbHandle
    ) -> None:
        """Each generation says its number in every row."""
        await self._number_rows(read_db, 1)

        async def swap_again_and_again() -> None:
            for generation in range(2, 22):
                await other.swap()
                await self._number_rows(other, generation)
                await asyncio.sleep(0)

        swapping = asyncio.create_task(swap_again_and_again())
        while not swapping.done():
            one, page, comments = await asyncio.gather(
                read_db.views.post(post_id(1)),
                read_db.views.posts(ANY, 10, None),
                read_db.views.comments(post_id(1), 10, None),
            )
            if one.value is None:
                assert one.stamp.generation == 2
            else:
                [reply] = one.value.comments
                assert one.value.post.message == reply.comment
                assert one.value.post.message in _may_say(one.stamp)
            assert {row.message for row in page.value} <= _may_say(page.stamp)
            assert {each.comment for each in comments.value or ()} <= _may_say(comments.stamp)
        await swapping

    async def _number_rows(self, read_db: ReadDbHandle, generation: int) -> None:
        row = post(1, message=f"{generation}", comments_count=1)
        changes = RowChanges(posts=[row], comments=[comment(1, 1, comment=f"{generation}")])
        await read_db.write(changes, generation=generation)


def _may_say(stamp: Stamp) -> set[str]:
    """Until a generation has numbered its rows, they are those of the one that was in its slot before, if any was."""
    return {f"{stamp.generation}", f"{stamp.generation - 2}"}


def _no_changes(_: Rows) -> RowChanges:
    return RowChanges()


async def _all_pages(read_db: ReadDbHandle, wanted: PostFilter, limit: int) -> list[PostRow]:
    found: list[PostRow] = []
    after: PostKey | None = None
    while page := (await read_db.views.posts(wanted, limit, after)).value:
        assert len(page) <= limit
        found += page
        after = PostKey(page[-1].date_posted, page[-1].post_id)
    return found


@asynccontextmanager
async def _asking_all_the_time(read_db: ReadDbHandle, readers: int) -> AsyncIterator[None]:
    async def ask() -> None:
        while True:
            await read_db.views.post(post_id(1))
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(ask()) for _ in range(readers)]
        yield
        for task in asking:
            task.cancel()

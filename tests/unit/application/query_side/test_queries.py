"""Queries: answered from rows that are new enough, or from the log."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.wire.event_codec import MsgspecEventCodec
from application.envelopes import ProposedCommit, StoredEvent
from application.errors import NotYetVisible, ReadDbNotReady, ReadDbUnavailable, VersionNotFound
from application.mediator import AlreadyRegistered, CommandDispatcher, Query, QueryDispatcher, UnknownRequest
from application.partitioning import partition_of
from application.ports.post_views import PostFilter, Stamp
from application.query_side.history import CountEvents, ListEvents
from application.query_side.posts import GetPost, ListComments, ListPosts
from application.query_side.posts_as_of import GetPostAsOf
from application.query_side.status import GetReadDbStatus, RowsReady
from command_process import ANYBODY
from domain.commands import AddComment, CreatePost, EditComment, EditMessage, LikePost, RemoveComment, RemovePost
from domain.errors import PostNotFound
from domain.ids import CommentId, PostId
from domain.upcasters import STEPS
from domain.upcasting import Part, UpcasterChain, split_event
from given import COMMENT, LATER, NOON, POST
from small_system import SmallSystem

OTHER = PostId("0198c0de-0000-7000-8000-000000000002")
HISTORY = [
    CreatePost(post_id=POST, author="Ann", message="Hello", date_posted=NOON),
    LikePost(post_id=POST, username="Bob"),
    AddComment(post_id=POST, comment_id=COMMENT, comment="Nice", username="Bob", comment_date=NOON),
    EditComment(post_id=POST, comment_id=COMMENT, comment="Very nice", username="Bob", edit_date=LATER),
    EditMessage(post_id=POST, message="Hello again", username="Ann", edited_at=LATER),
    RemoveComment(post_id=POST, comment_id=COMMENT, username="Bob"),
    RemovePost(post_id=POST, username="Ann"),
]


async def written(*commands, **settings) -> SmallSystem:
    system = SmallSystem(**settings)
    for command in commands:
        await system.process.commands.handle(command, ANYBODY)
    return system


async def projected(*commands, **settings) -> SmallSystem:
    system = await written(*commands, **settings)
    async with system.projecting():
        await system.caught_up()
    return system


class TestFreshness:
    async def test_a_query_waits_for_the_position_that_it_asks_for(self):
        system = await projected(HISTORY[0])
        await system.process.commands.handle(HISTORY[1], ANYBODY)
        asking = asyncio.create_task(system.queries.ask(GetPost(post_id=POST, min_position=2)))
        await asyncio.sleep(0)
        assert not asking.done()
        async with system.projecting():
            answer = await asking

        assert answer.post.likes == 1

    async def test_it_waits_for_a_bounded_time(self):
        """Longer than it takes to read whether the log has such a position."""
        system = await projected(HISTORY[0], patience=0.2)
        await system.process.commands.handle(HISTORY[1], ANYBODY)

        with pytest.raises(NotYetVisible) as refused:
            await system.queries.ask(GetPost(post_id=POST, min_position=2))
        assert refused.value.retry_after >= 1

    @pytest.mark.parametrize(
        "query",
        [
            GetPost(post_id=POST),
            ListPosts(wanted=PostFilter(), limit=10),
            ListComments(post_id=POST, limit=10),
        ],
        ids=lambda query: type(query).__name__,
    )
    async def test_rows_that_were_never_filled_are_not_shown(self, query: Query):
        system = await written(HISTORY[0], patience=0.05)

        with pytest.raises(ReadDbNotReady):
            await system.queries.ask(query)

    async def test_a_missing_checkpoint_counts_as_0(self):
        """For lists, and for the posts of that partition; others don't wait for it."""
        system = await projected(HISTORY[0], patience=0.05)
        system.read_db.live = replace(system.read_db.live, partitions=2)
        numbered = [PostId(f"{POST[:-1]}{digit}") for digit in range(10)]
        other = next(each for each in numbered if partition_of(each, 2) == 1)
        assert partition_of(POST, 2) == 0

        await system.queries.ask(GetPost(post_id=POST, min_position=1))
        with pytest.raises(NotYetVisible):
            await system.queries.ask(GetPost(post_id=other, min_position=1))
        with pytest.raises(NotYetVisible):
            await system.queries.ask(ListPosts(wanted=PostFilter(), limit=10, min_position=1))
        status = await system.queries.ask(GetReadDbStatus())
        assert (status.position, status.lag) == (0, 1)
        assert [(each.partition, each.position) for each in status.partitions] == [(0, 1), (1, 0)]

    async def test_the_status_never_names_the_new_generation_with_the_position_of_the_old_one(self):
        system = await projected(*HISTORY[:2])
        system.read_db.checkpoints[1][0] = replace(system.read_db.checkpoints[1][0], position=1)
        stamp = system.views.stamp

        async def stamp_just_before_a_swap() -> Stamp:
            system.views.stamp = stamp
            before = await stamp()
            system.read_db.checkpoints[2] = {0: replace(system.read_db.checkpoints[1][0], position=2)}
            system.read_db.live = replace(system.read_db.live, generation=2, slot="b")
            return before

        system.views.stamp = stamp_just_before_a_swap
        status = await system.queries.ask(GetReadDbStatus())
        assert (status.generation, status.position, status.lag) == (2, 2, 0)


class TestReadiness:
    async def test_rows_that_were_never_filled_are_not_ready(self):
        system = await written(HISTORY[0])
        result = await RowsReady(system.views).probe()
        assert (result.ok, result.detail) == (False, "The rows are being filled from the log; they are at position 0.")

    async def test_filled_rows_are_ready(self):
        system = await projected(HISTORY[0])
        result = await RowsReady(system.views).probe()
        assert (result.ok, result.detail) == (True, "The rows are at position 1.")

    async def test_a_database_that_is_away_is_not_ready(self):
        system = await projected(HISTORY[0])

        async def away() -> Stamp:
            raise ReadDbUnavailable("The read database does not answer.")

        system.views.stamp = away
        result = await RowsReady(system.views).probe()
        assert (result.ok, result.detail) == (False, "The read database does not answer.")


class TestPages:
    async def test_pages_of_posts_are_followed_to_the_end(self):
        posts = [
            CreatePost(
                post_id=PostId(f"0198c0de-0000-7000-8000-0000000000{n:02d}"),
                author="Ann",
                message=f"{n}",
                date_posted=NOON + timedelta(seconds=n // 3),
            )
            for n in range(10)
        ]
        system = await projected(*posts)
        seen, after = [], None
        while True:
            page = await system.queries.ask(ListPosts(wanted=PostFilter(), limit=4, after=after))
            seen += [post.message for post in page.posts]
            after = page.next
            if after is None:
                break

        assert seen == [str(n) for n in reversed(range(10))]

    async def test_a_page_that_is_just_full_is_the_last(self):
        system = await projected(HISTORY[0])
        page = await system.queries.ask(ListPosts(wanted=PostFilter(), limit=1))
        assert (len(page.posts), page.next) == (1, None)

    async def test_all_comments_can_be_paged_through(self):
        comments = [
            AddComment(
                post_id=POST,
                comment_id=CommentId(f"0198c0de-0000-7000-8000-0000000001{n:02d}"),
                comment=f"{n}",
                username="Bob",
                comment_date=NOON,
            )
            for n in range(5)
        ]
        system = await projected(HISTORY[0], *comments)
        first = await system.queries.ask(ListComments(post_id=POST, limit=3))
        second = await system.queries.ask(ListComments(post_id=POST, limit=3, after=first.next))

        assert [each.comment for each in (*first.comments, *second.comments)] == ["4", "3", "2", "1", "0"]
        assert second.next is None

    @pytest.mark.parametrize("query", [GetPost(post_id=POST), ListComments(post_id=POST, limit=1)])
    async def test_a_removed_post_is_not_found(self, query: Query):
        system = await projected(HISTORY[0], HISTORY[-1])
        with pytest.raises(PostNotFound):
            await system.queries.ask(query)


class TestHistory:
    async def test_all_events_are_listed_oldest_first_also_of_a_removed_post(self):
        system = await written(*HISTORY)
        page = await system.queries.ask(ListEvents(post_id=POST, limit=100))

        assert [(each.version, each.position, each.type, each.actor) for each in page.events] == [
            (1, 1, "PostCreated", "Ann"),
            (2, 2, "PostLiked", "Bob"),
            (3, 3, "CommentAdded", "Bob"),
            (4, 4, "CommentUpdated", "Bob"),
            (5, 5, "MessageUpdated", "Ann"),
            (6, 6, "CommentRemoved", "Bob"),
            (7, 7, "PostRemoved", "Ann"),
        ]
        assert page.next_after is None

    async def test_an_import_credits_each_event_to_the_user_that_it_names(self):
        system = SmallSystem()
        created = CreatePost(post_id=POST, author="Ann", message="Hello", date_posted=NOON)
        commands = (created, LikePost(post_id=POST, username=None), LikePost(post_id=POST, username="Bob"))
        await system.process.commands.commit(POST, commands, ANYBODY, "0198c0de-0000-7000-8000-00000000000f")
        page = await system.queries.ask(ListEvents(post_id=POST, limit=10))
        assert [(event.type, event.actor) for event in page.events] == [
            ("PostCreated", "Ann"),
            ("PostLiked", None),
            ("PostLiked", "Bob"),
        ]

    async def test_pages_end_at_a_version_and_the_next_begins_after_it(self):
        system = await written(*HISTORY)
        first = await system.queries.ask(ListEvents(post_id=POST, limit=3))
        second = await system.queries.ask(ListEvents(post_id=POST, limit=10, after=first.next_after))

        assert [each.version for each in first.events] == [1, 2, 3]
        assert [each.version for each in second.events] == [4, 5, 6, 7]

    async def test_a_page_can_begin_inside_a_commit(self):
        system = await written(HISTORY[0])
        await append(system, *(StoredEvent("PostLiked", 2, {"username": name}) for name in ("Bob", "Cid", "Dan")))
        page = await system.queries.ask(ListEvents(post_id=POST, limit=1, after=2))

        assert [(each.version, each.position, each.data) for each in page.events] == [(3, 2, {"username": "Cid"})]
        assert page.next_after == 3

    async def test_the_parts_of_a_split_event_stay_on_one_page(self):
        both = split_event(
            ("PostLikedTwice", 1),
            Part(("PostLiked", 2), lambda data: {"username": data["first"]}),
            Part(("PostLiked", 2), lambda data: {"username": data["second"]}),
        )
        system = await written(HISTORY[0], codec=MsgspecEventCodec(UpcasterChain((*STEPS, both))))
        await append(system, StoredEvent("PostLikedTwice", 1, {"first": "Bob", "second": "Cid"}))
        page = await system.queries.ask(ListEvents(post_id=POST, limit=1, after=1))

        assert [(each.version, each.type, each.stored_type) for each in page.events] == [
            (2, "PostLiked", "PostLikedTwice"),
            (2, "PostLiked", "PostLikedTwice"),
        ]

    async def test_the_history_of_an_unknown_post_is_not_found(self):
        system = await written()
        with pytest.raises(PostNotFound):
            await system.queries.ask(ListEvents(post_id=OTHER, limit=10))


class TestThePostAsItWas:
    @pytest.mark.parametrize(
        ("version", "message", "likes", "comments"),
        [
            (1, "Hello", 0, []),
            (2, "Hello", 1, []),
            (3, "Hello", 1, ["Nice"]),
            (4, "Hello", 1, ["Very nice"]),
            (5, "Hello again", 1, ["Very nice"]),
            (6, "Hello again", 1, []),
        ],
    )
    async def test_after_each_version(self, version: int, message: str, likes: int, comments: list[str]):
        system = await written(*HISTORY)
        answer = await system.queries.ask(GetPostAsOf(post_id=POST, version=version))

        assert (answer.post.version, answer.post.message, answer.post.likes) == (version, message, likes)
        assert [each.comment for each in answer.comments] == comments

    @pytest.mark.parametrize("version", [7, 8])
    async def test_it_is_not_found_once_it_was_removed(self, version: int):
        system = await written(*HISTORY)
        with pytest.raises(PostNotFound):
            await system.queries.ask(GetPostAsOf(post_id=POST, version=version))

    @pytest.mark.parametrize("version", [3, 99, 2**53 - 1])
    async def test_a_version_that_it_has_not_reached_is_not_found(self, version: int):
        system = await written(*HISTORY[:2])
        with pytest.raises(VersionNotFound, match=f"is at version 2; it has no version {version:,} yet"):
            await system.queries.ask(GetPostAsOf(post_id=POST, version=version))

    async def test_a_version_inside_a_commit_counts_too(self):
        system = await written(HISTORY[0])
        await append(system, *(StoredEvent("PostLiked", 2, {"username": name}) for name in ("Bob", "Cid", "Dan")))
        answer = await system.queries.ask(GetPostAsOf(post_id=POST, version=3))

        assert (answer.post.version, answer.post.likes) == (3, 2)

    async def test_at_a_time(self):
        system = await written(*HISTORY[:3])
        recorded = [commit.recorded_at for commit in await system.commit_log.read(0)]
        answer = await system.queries.ask(GetPostAsOf(post_id=POST, at=recorded[1]))

        assert answer.post.version == 2
        with pytest.raises(PostNotFound):
            await system.queries.ask(GetPostAsOf(post_id=POST, at=recorded[0] - timedelta(milliseconds=1)))

    async def test_it_equals_the_row_at_the_same_version(self):
        system = await projected(*HISTORY[:5])
        row = await system.queries.ask(GetPost(post_id=POST))
        fold = await system.queries.ask(GetPostAsOf(post_id=POST, version=5))
        assert (row.post, list(row.comments)) == (fold.post, list(fold.comments))


class TestTheMediator:
    async def test_an_unknown_query_is_an_error_of_the_wiring(self):
        with pytest.raises(UnknownRequest, match="GetReadDbStatus"):
            await QueryDispatcher().ask(GetReadDbStatus())

    async def test_a_second_handler_is_refused(self):
        dispatcher = CommandDispatcher()
        system = SmallSystem()
        system.process.commands.register_with(dispatcher)
        with pytest.raises(AlreadyRegistered, match="CreatePost"):
            system.process.commands.register_with(dispatcher)

    async def test_every_command_has_a_handler(self):
        dispatcher = CommandDispatcher()
        SmallSystem().process.commands.register_with(dispatcher)
        result = await dispatcher.dispatch(HISTORY[0], ANYBODY)
        assert (result.post_id, result.version) == (POST, 1)


async def append(system: SmallSystem, *events: StoredEvent) -> None:
    commit = ProposedCommit(
        stream_id=POST,
        version=2,
        commit_id="0198c0de-0000-7000-9999-000000000002",
        recorded_at=NOON,
        metadata={},
        events=events,
    )
    await system.event_store.append([commit])


async def test_events_are_counted_in_the_log_also_of_a_removed_post():
    system = await written(*HISTORY)
    assert await system.queries.ask(CountEvents(POST)) == 7
    with pytest.raises(PostNotFound):
        await system.queries.ask(CountEvents(OTHER))

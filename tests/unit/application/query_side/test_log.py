"""The log as readers see it: newest first, filtered, and searched in bounded steps."""

import pytest

from adapters.memory.log import MemoryCommitLog, MemoryEventStore, MemoryLog
from adapters.wire.event_codec import MsgspecEventCodec
from application.envelopes import ProposedCommit, StoredEvent
from application.query_side.log import (
    CommitFilter,
    ListChangedPosts,
    ListCommits,
    ListNewCommits,
    LogQueries,
    SearchLimits,
    log_backwards,
    stream_backwards,
)
from command_process import CODEC
from domain.ids import PostId
from domain.upcasting import UpcasterChain, rename_event
from given import NOON, POST

OTHER = PostId("0198c0de-0000-7000-8000-000000000002")
ANY = CommitFilter()
LIKED = StoredEvent("PostLiked", 2, {"username": "Bob"})
CREATED = StoredEvent("PostCreated", 1, {"author": "Ann", "message": "Hello", "datePosted": "2026-11-23T12:00:00.000Z"})
MB = "x" * 4_000_000


class SteppingClock:
    """Each reading is `step` seconds later."""

    def __init__(self, step: float = 0.0) -> None:
        self.step = step
        self.seconds = 0.0

    def now(self):
        return NOON

    def monotonic(self) -> float:
        self.seconds += self.step
        return self.seconds


class Written:
    def __init__(self) -> None:
        self.log = MemoryLog()
        self.versions: dict[PostId, int] = {}
        self.limits = SearchLimits()

    def add(self, *events: StoredEvent, post: PostId = POST, actor: str | None = "Bob") -> None:
        version = self.versions.get(post, 0) + 1
        self.log.add(
            ProposedCommit(
                stream_id=post,
                version=version,
                commit_id=f"00000000-0000-7000-8000-{self.log.tip + 1:012x}",
                recorded_at=NOON,
                metadata={"actor": actor} if actor else {},
                events=events or (LIKED,),
            )
        )
        self.versions[post] = version + len(events or (LIKED,)) - 1

    def queries(self, codec=CODEC, clock: SteppingClock | None = None) -> LogQueries:
        return LogQueries(
            MemoryCommitLog(self.log), MemoryEventStore(self.log), codec, clock or SteppingClock(), self.limits
        )

    async def listed(self, wanted: CommitFilter = ANY, limit: int = 3, before: int | None = None, **made):
        page = await self.queries(**made).list_commits(ListCommits(wanted=wanted, limit=limit, before=before))
        return [each.commit.position for each in page.commits], page

    async def news(self, wanted: CommitFilter = ANY, after: int = 0, limit: int = 50):
        page = await self.queries().list_new_commits(ListNewCommits(wanted=wanted, limit=limit, after=after))
        return [each.commit.position for each in page.commits], page


@pytest.fixture
def written() -> Written:
    return Written()


async def all_positions(written: Written, wanted: CommitFilter, limit: int) -> list[int]:
    positions, before = [], None
    while True:
        found, page = await written.listed(wanted, limit, before)
        positions += found
        if page.older is None:
            return positions
        before = page.older


class TestListing:
    async def test_it_is_newest_first_page_by_page(self, written: Written):
        for _ in range(7):
            written.add()
        assert (await written.listed())[0] == [7, 6, 5]
        assert await all_positions(written, ANY, 3) == [7, 6, 5, 4, 3, 2, 1]

    async def test_an_empty_log_has_no_page(self, written: Written):
        found, page = await written.listed()
        assert (found, page.older) == ([], None)

    async def test_a_position_beyond_the_end_begins_at_the_end(self, written: Written):
        written.add()
        assert (await written.listed(before=10**17))[0] == [1]

    async def test_a_commit_has_versions_actor_and_data(self, written: Written):
        written.add()
        written.add(LIKED, LIKED)
        _, page = await written.listed()
        newest = page.commits[0]
        assert newest.commit.metadata == {"actor": "Bob"}
        assert [(event.version, event.data) for event in newest.events] == [
            (2, {"username": "Bob"}),
            (3, {"username": "Bob"}),
        ]
        assert newest.unreadable is None

    async def test_what_can_t_be_read_is_shown_as_it_is_stored_with_the_reason(self, written: Written):
        written.add(StoredEvent("PostShared", 3, {"by": "Zed"}))
        _, page = await written.listed()
        [only] = page.commits
        assert "this version of Postlog does not know the type" in only.unreadable
        assert [(event.type, event.schema_version, event.data) for event in only.events] == [
            ("PostShared", 3, {"by": "Zed"})
        ]


class TestFilters:
    async def test_by_any_form_of_the_actors_name(self, written: Written):
        for actor in ("Bob", "Zo\u00eb", None, "ZOE\u0308", "Zoe"):
            written.add(actor=actor)
        assert await all_positions(written, CommitFilter(actor="zo\u00eb"), 1) == [4, 2]

    async def test_by_whoever_did_any_of_an_import_s_events(self, written: Written):
        written.add(actor="Ann")
        written.add(CREATED, StoredEvent("PostLiked", 2, {"username": None}), LIKED, actor="Ann")
        written.add(StoredEvent("PostLiked", 2, {"username": None}), LIKED, actor="Bob")
        assert await all_positions(written, CommitFilter(actor="bob"), 3) == [3, 2]
        assert await all_positions(written, CommitFilter(actor="ann"), 3) == [2, 1]
        _, page = await written.listed()
        assert [logged.actors for logged in page.commits] == [[None, "Bob"], ["Ann", None, "Bob"], ["Ann"]]

    async def test_by_stored_type_readable_or_not(self, written: Written):
        written.add()
        written.add(LIKED, StoredEvent("PostShared", 3, {}))
        assert await all_positions(written, CommitFilter(event_type="PostShared"), 3) == [2]

    async def test_by_current_type_finds_what_is_stored_under_an_older_one(self, written: Written):
        written.add(StoredEvent("PostFavoured", 1, {"username": "Bob"}))
        codec = MsgspecEventCodec(UpcasterChain((rename_event(("PostFavoured", 1), ("PostLiked", 2)),)))
        found, _ = await written.listed(CommitFilter(event_type="PostLiked"), codec=codec)
        assert found == [1]

    @pytest.mark.parametrize("limit", [1, 2, 50])
    async def test_by_post_with_every_other_filter(self, written: Written, limit: int):
        for number in range(1, 31):
            written.add(*[LIKED] * (number % 4), post=POST if number % 3 else OTHER, actor="Ann" if number % 2 else "B")
        of_other = [position for position in range(30, 0, -1) if position % 3 == 0]
        assert await all_positions(written, CommitFilter(post_id=OTHER), limit) == of_other
        odd = [position for position in of_other if position % 2]
        assert await all_positions(written, CommitFilter(post_id=OTHER, actor="ann"), limit) == odd

    async def test_a_post_that_nobody_knows_has_no_commit(self, written: Written):
        written.add()
        found, page = await written.listed(CommitFilter(post_id=OTHER))
        assert (found, page.older) == ([], None)


class TestBounds:
    """A rare commit in a long log is searched for in steps."""

    async def test_a_bounded_number_of_commits_is_searched_and_the_page_says_how_far(self, written: Written):
        written.limits = SearchLimits(commits=2_000)
        written.add(actor="Ann")
        for _ in range(4_999):
            written.add()
        found, page = await written.listed(CommitFilter(actor="Ann"))
        assert (found, page.searched_from, page.searched_to, page.older) == ([], 5_001, 3_001, 3_001)
        assert await all_positions(written, CommitFilter(actor="Ann"), 3) == [1]

    async def test_a_search_takes_a_bounded_time(self, written: Written):
        for _ in range(3_000):
            written.add()
        _, page = await written.listed(CommitFilter(actor="Ann"), clock=SteppingClock(step=0.3))
        assert page.older == 1_001

    async def test_large_commits_are_not_held_all_at_once(self, written: Written):
        for _ in range(10):
            written.add(StoredEvent("PostLiked", 2, {"username": MB}))
        log, past = MemoryCommitLog(written.log), MemoryEventStore(written.log)
        for pages in (log_backwards(log, 11, 10), stream_backwards(past, POST, 11, 10)):
            sizes = [[commit.position for commit in page] async for page in pages]
            assert [position for page in sizes[::-1] for position in page] == list(range(1, 11))
            assert max(len(page) for page in sizes) < 5


class TestNews:
    async def test_those_beyond_a_position_come_oldest_first(self, written: Written):
        for actor in ("Ann", "Bob", "Ann"):
            written.add(actor=actor)
        found, page = await written.news(CommitFilter(actor="Ann"))
        assert (found, page.position, page.skipped) == ([1, 3], 3, None)
        assert (await written.news(after=3))[0] == []

    async def test_commits_that_are_too_many_are_skipped_and_their_positions_reported(self, written: Written):
        for _ in range(60):
            written.add()
        found, page = await written.news(after=5)
        assert (found[0], found[-1], page.skipped) == (11, 60, (6, 10))

    async def test_a_follower_that_is_far_behind_skips_to_near_the_end(self, written: Written):
        for _ in range(5_000):
            written.add()
        found, page = await written.news(after=100)
        assert (found[0], found[-1], page.position, page.skipped) == (4_951, 5_000, 5_000, (101, 4_950))

    async def test_a_log_that_was_restored_to_an_older_state_has_no_news(self, written: Written):
        written.add()
        found, page = await written.news(after=9)
        assert (found, page.position, page.skipped) == ([], 9, None)


async def test_the_posts_that_changed_are_named_while_they_are_few(written):
    written.limits = SearchLimits(commits_per_read=3)
    queries = written.queries()
    for post in (POST, OTHER, POST):
        written.add(post=post)

    async def changed(after: int | None):
        found = await queries.list_changed_posts(ListChangedPosts(after=after))
        return found.posts, found.position

    assert await changed(None) == (None, 3)
    assert await changed(3) == (frozenset(), 3)
    assert await changed(1) == ({POST, OTHER}, 3)
    assert await changed(2) == ({POST}, 3)
    written.add()
    assert await changed(0) == (None, 4)


async def test_followers_of_the_log_share_reads_of_its_end(written):
    class Counting(MemoryCommitLog):
        tip_reads = 0

        async def tip(self):
            self.tip_reads += 1
            return await super().tip()

    log = Counting(written.log)
    queries = LogQueries(log, MemoryEventStore(written.log), CODEC, SteppingClock(step=0.001))
    for _ in range(300):
        await queries.list_new_commits(ListNewCommits(wanted=ANY, limit=50, after=0))
    assert log.tip_reads < 10

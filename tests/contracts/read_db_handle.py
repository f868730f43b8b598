"""What the contract suites of a read database need of an adapter, and the rows that they write.

An adapter's tests give one fixture, `open_read_db`: a callable whose answer is an async context manager of a
`ReadDbHandle`. The first call in a test makes a fresh read database; each further call opens the same one again, as
another process would, as far as the adapter can. Handles may be open side by side.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from application.ports.post_views import PostViews
from application.ports.read_db import (
    Checkpoint,
    CheckpointMove,
    ParkedStream,
    ParkedStreams,
    ProjectionBatch,
    ProjectionStore,
    RowChanges,
    RowKeys,
    Rows,
)
from application.rows import CommentKey, CommentRow, PostRow, PostStatus
from domain.ids import CommentId, PostId

NOON = datetime(2026, 11, 23, 12, 0, 0, 123_000, tzinfo=UTC)
LOG = "5d7ee5a1-9c0f-4b57-8a39-6f1a6c1f4e11"
OTHER_LOG = "00000000-0000-4000-8000-000000000002"

TEXTS = {
    "ascii": "plain text",
    "trailing-blanks": "  blanks stay \u00a0 ",
    "latin": "Žluťoučký kůň, smørrebrød, ß, İstanbul",
    "greek-cyrillic": "Ελληνικά ς σ Σ и кириллица",
    "hebrew-arabic": "שלום עולם، مرحبا بالعالم",
    "cjk": "日本語と한국어 and 漢字",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 🇨🇿 👍🏽",
    "combining": "e\u0301 stays two code points, \u00e9 stays one",
    "beyond-the-bmp": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \U0010fffd",
    "quotes": "'; DROP TABLE posts_a; -- \" ` \\ \\N % %s :x {}",
    "copy-format": "tab\tline\nreturn\r\x01\x1f\x7f\\.\n\\.",
    "json-looking": '{"a": [1, "\\u0041", null]}',
    "long": "0123456789" * 2_000,
}


@dataclass(frozen=True, slots=True)
class ReadDbHandle:
    """`swap` makes the next generation live, in the other slot, with copies of the checkpoints: as a rebuild does when
    it ends."""

    store: ProjectionStore
    views: PostViews
    parked: ParkedStreams
    swap: Callable[[], Awaitable[None]]

    async def write(self, changes: RowChanges, *, partition: int = 0, generation: int = 1) -> None:
        """One batch, which moves the checkpoint by one."""
        before = (await self.store.checkpoints(generation)).get(partition)
        after = checkpoint(before.position + 1 if before else 1, partition)
        await self.store.project(ProjectionBatch(generation, [CheckpointMove(before, after)]), lambda _: changes)

    async def rows(self, posts: Iterable[PostId] = (), comments: Iterable[CommentKey] = ()) -> Rows:
        """What a projector would be given."""
        seen: list[Rows] = []

        def look(rows: Rows) -> RowChanges:
            seen.append(rows)
            return RowChanges()

        generation = (await self.store.live()).generation
        await self.store.project(ProjectionBatch(generation, (), RowKeys(list(posts), list(comments))), look)
        return seen[-1]


OpenReadDb = Callable[[], AbstractAsyncContextManager[ReadDbHandle]]


class ReadDbFixtures:
    """`read_db`, and `other`, which is a second process on the same one."""

    @pytest.fixture
    async def read_db(self, open_read_db: OpenReadDb) -> AsyncIterator[ReadDbHandle]:
        async with open_read_db() as handle:
            yield handle

    @pytest.fixture
    async def other(self, read_db: ReadDbHandle, open_read_db: OpenReadDb) -> AsyncIterator[ReadDbHandle]:
        async with open_read_db() as handle:
            yield handle


def post_id(number: int) -> PostId:
    """In the order of the numbers."""
    return PostId(f"019b0000-0000-7000-8000-{number:012x}")


def comment_id(number: int) -> CommentId:
    return CommentId(f"019c0000-0000-7000-8000-{number:012x}")


def minutes_ago(minutes: int) -> datetime:
    return NOON - timedelta(minutes=minutes)


def post(number: int, **values: Any) -> PostRow:
    row = PostRow(post_id(number), PostStatus.LIVE, "Ann", NOON, "Hello", 0, 0, 1)
    return row._replace(**values)


def comment(of_post: int, number: int, **values: Any) -> CommentRow:
    row = CommentRow(post_id(of_post), comment_id(number), "Bob", "Nice", NOON, False)
    return row._replace(**values)


def comment_key(of_post: int, number: int) -> CommentKey:
    return post_id(of_post), comment_id(number)


def parked(number: int, **values: Any) -> ParkedStream:
    stream = ParkedStream(
        post_id=post_id(number),
        version=3,
        position=30,
        waiting_version=4,
        code="event-not-readable",
        reason="PostMoved is not known.",
        parked_at=NOON,
    )
    return replace(stream, **values)


def checkpoint(position: int, partition: int = 0, **values: Any) -> Checkpoint:
    at = Checkpoint(partition=partition, position=position, commit_position=position, commit_id=f"commit-{position}")
    return replace(at, **values)


def moves(*steps: tuple[Checkpoint | None, Checkpoint]) -> list[CheckpointMove]:
    return [CheckpointMove(before, after) for before, after in steps]

"""One log, and rows from it in every engine: what is read back is the same to the byte, in the same order."""

import json
import random
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.memory.log import MemoryLog
from adapters.postgres.read_db import postgres_read_db
from adapters.sqlite.read_db import sqlite_read_db
from adapters.sqlserver.read_db import sqlserver_read_db
from application.envelopes import StoredEvent
from application.ports.post_views import CommentKeyset, PostFilter, PostKey, PostViews
from application.rows import CommentRow, PostRow
from contracts.log_handle import proposed
from contracts.maintained import maintained_in_memory, maintained_in_sql
from contracts.read_db_handle import TEXTS
from contracts.rebuilding import Maintained, OpenMaintained, comment_id, post_id, random_command, run, write
from small_system import SmallSystem

# Names that somebody's collation, normal form, case or trimming would confuse.
AUTHORS = [
    *("Strasse", "Straße", "STRASSE", "straße", "ſtrasse"),
    *("I", "i", "İ", "ı", "i̇", "I\u0307"),
    *("Ann", "ann", "ann ", " ann", "ann\u00a0", "ann\t", "Ånn", "A\u030ann", "a\u200bnn"),
    *("ﬁ", "fi", "Σίσυφος", "ΣΊΣΥΦΟΣ", "σίσυφος", "ǆ", "ŉ"),
    *(
        "陳",
        "한국",
        "한국",
        "שלום",
        "مرحبا",
        "🙂",
        "👩‍👩‍👧",
        "𝔘𝔫𝔦",
        "\U0010fffd",
        "\uffff",
        "\ue000",
        "%_[a]'",
        "x" * 250,
    ),
]


@pytest.fixture(scope="module")
async def log() -> MemoryLog:
    system = SmallSystem()
    chance = random.Random(5)
    await write(system, *(random_command(chance, posts=30) for _ in range(400)))
    for number, author in enumerate(AUTHORS, start=100):
        await system.event_store.append([proposed(post_id(number), 1, *_post(number, author))])
    return system.log


def _post(number: int, author: str) -> Iterable[StoredEvent]:
    """As an import brings it from another system, where our rules did not hold."""
    text = list(TEXTS.values())[number % len(TEXTS)]
    at = f"2026-11-23T12:00:00.{number % 3:03d}Z"
    yield StoredEvent("PostCreated", 1, {"author": author, "message": text, "datePosted": at})
    said = {"comment": f"{text} {author}", "username": author, "commentDate": f"2026-11-23T12:00:00.{number:03d}Z"}
    yield StoredEvent("CommentAdded", 1, {"commentId": comment_id(number), **said})


@pytest.fixture(scope="module")
async def expected(log: MemoryLog) -> bytes:
    """Of the rows as the projection computes them, without any database."""
    async with maintained_in_memory()() as maintained:
        await _projected(log, maintained)
        return await _dump(maintained)


@pytest.fixture(params=["sqlite", "postgres", "sqlserver"])
def open_maintained(request: pytest.FixtureRequest, tmp_path: Path) -> OpenMaintained:
    match request.param:
        case "sqlite":
            return maintained_in_sql(lambda: sqlite_read_db(tmp_path / "read.sqlite"))
        case "postgres":
            url = request.getfixturevalue("fresh_postgres_url")
            return maintained_in_sql(lambda: postgres_read_db(url, pool_size=4))
        case _:
            url = request.getfixturevalue("fresh_sqlserver_url")
            return maintained_in_sql(lambda: sqlserver_read_db(url, pool_size=4))


@pytest.fixture
async def maintained(open_maintained: OpenMaintained) -> AsyncIterator[Maintained]:
    async with open_maintained() as maintained:
        yield maintained


async def test_rows_are_the_same_in_every_engine_projected_and_rebuilt(
    log: MemoryLog, maintained: Maintained, expected: bytes
) -> None:
    system = await _projected(log, maintained)
    assert _lines(await _dump(maintained)) == _lines(expected)
    await run(maintained.rebuild(system))
    assert (await maintained.read_side.store.live()).slot == "b"
    assert _lines(await _dump(maintained)) == _lines(expected)
    assert (await maintained.audit(system).run()).differences == []


async def test_what_is_compared_has_every_text_in_it(expected: bytes) -> None:
    for text in [*TEXTS.values(), *AUTHORS]:
        assert json.dumps(text, ensure_ascii=False).encode() in expected
    assert b'"2026-11-23T12:00:00.002000+00:00"' in expected


async def _projected(log: MemoryLog, maintained: Maintained) -> SmallSystem:
    system = SmallSystem(log=log, read_side=maintained.read_side, batch_size=50)
    async with system.projecting():
        await system.caught_up(60)
    return system


async def _dump(maintained: Maintained) -> bytes:
    """Every row, and every page that a reader can ask for, one JSON text a line."""
    lines: list[Any] = []
    generation = (await maintained.read_side.store.live()).generation
    after = None
    while page := await maintained.audit_rows.page(generation, after, 50):
        lines += [("row", each.post, *each.comments) for each in page]
        after = page[-1].post.post_id
    views = maintained.read_side.views
    wanted = [PostFilter(), PostFilter(has_comments=True), PostFilter(has_comments=False), PostFilter(min_likes=2)]
    for asked in [*wanted, *(PostFilter(author=author) for author in AUTHORS)]:
        lines += [(repr(asked), *page) async for page in _pages(views, asked)]
    for number in (*range(30), *range(100, 100 + len(AUTHORS))):
        found = (await views.post(post_id(number))).value
        lines.append(("post", *((found.post, *found.comments) if found else ())))
        lines += [("comments", *page) async for page in _pages_of_comments(views, number)]
    return "".join(f"{json.dumps(line, ensure_ascii=False, default=datetime.isoformat)}\n" for line in lines).encode()


async def _pages(views: PostViews, wanted: PostFilter) -> AsyncIterator[list[PostRow]]:
    after = None
    while page := (await views.posts(wanted, 7, after)).value:
        yield page
        after = PostKey(page[-1].date_posted, page[-1].post_id)


async def _pages_of_comments(views: PostViews, number: int) -> AsyncIterator[list[CommentRow]]:
    after = None
    while page := (await views.comments(post_id(number), 2, after)).value:
        yield page
        after = CommentKeyset(page[-1].comment_date, page[-1].comment_id)


def _lines(dump: bytes) -> list[bytes]:
    """A failure then shows the line that differs."""
    return dump.splitlines(keepends=True)

"""Two command processes and three importers append at once, while a reader follows by position."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Protocol
from uuid import uuid4

import pytest
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import MongoDatabase
from adapters.mongo.event_store import MongoEventStore
from adapters.mongo.provisioning import MongoProvisioning
from adapters.wire.commit_bson import at_position, encode_without_position
from application.envelopes import Commit, ProposedCommit
from application.errors import LogDamaged
from application.ports.event_store import Appended, AppendOutcome, VersionTaken
from contracts.log_handle import POST_A, POST_B, liked, proposed
from domain.ids import PostId
from local.databases import MongoDatabase as Place


class Writer(Protocol):
    async def append(self, commits: Sequence[ProposedCommit]) -> list[AppendOutcome]: ...


class CounterWriter:
    """The wrong way: the position comes from a counter that is not tied to the insert."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def append(self, commits: Sequence[ProposedCommit]) -> list[AppendOutcome]:
        return [await self._append(commit) for commit in commits]

    async def _append(self, commit: ProposedCommit) -> AppendOutcome:
        counter = await self._database.database["counter"].find_one_and_update(
            {"_id": "position"}, {"$inc": {"last": 1}}, upsert=True, return_document=ReturnDocument.AFTER
        )
        assert counter is not None
        try:
            await self._database.commits.insert_one(at_position(encode_without_position(commit), counter["last"]))
        except DuplicateKeyError:
            return VersionTaken()
        return Appended(counter["last"])


@pytest.fixture
async def processes(fresh_mongo_database: Place) -> AsyncIterator[list[MongoDatabase]]:
    """Six: each has a client of its own."""
    async with AsyncExitStack() as opened:
        databases = [MongoDatabase(fresh_mongo_database.url, fresh_mongo_database.name) for _ in range(6)]
        yield [await opened.enter_async_context(database) for database in databases]


async def write_and_follow(writers: Sequence[Writer], reader: MongoDatabase) -> list[str]:
    """Two writers compete for two posts, three append posts of their own in groups. Returns what is wrong with the log
    in the end, or was at any time that the reader saw."""
    await MongoProvisioning(reader).provision()
    log = MongoCommitLog(reader)
    writing = asyncio.gather(
        fight(writers[0], "left"), fight(writers[1], "right"), *(bring(writer) for writer in writers[2:])
    )
    seen: list[Commit] = []
    try:
        while not writing.done() or len(seen) < await log.tip():
            seen += await log.read(len(seen))
    except LogDamaged as gap:
        await writing
        return [gap.message]
    answered = [answer for answers in await writing for answer in answers]
    return wrong_versions(seen) + wrong_answers(seen, answered)


async def fight(writer: Writer, name: str) -> list[tuple[str, int]]:
    """Forty likes on each of two posts, in competition with another: a lost version is tried again one higher."""
    answered: list[tuple[str, int]] = []
    version = {POST_A: 1, POST_B: 1}
    for number in range(40):
        for post in (POST_A, POST_B):
            outcome: AppendOutcome = VersionTaken()
            while outcome == VersionTaken():
                commit = proposed(post, version[post], liked(name), name=f"{name} {post} {number}")
                [outcome] = await writer.append([commit])
                version[post] += 1
            assert isinstance(outcome, Appended)
            answered.append((commit.commit_id, outcome.position))
    return answered


async def bring(writer: Writer) -> list[tuple[str, int]]:
    """Ten groups of ten posts with three likes, in commits of one and of two events."""
    answered: list[tuple[str, int]] = []
    for _ in range(10):
        posts = [PostId(str(uuid4())) for _ in range(10)]
        group = [
            commit
            for post in posts
            for commit in (proposed(post, 1), proposed(post, 2, liked("a"), liked("b")), proposed(post, 4))
        ]
        for commit, outcome in zip(group, await writer.append(group), strict=True):
            assert isinstance(outcome, Appended)
            answered.append((commit.commit_id, outcome.position))
    return answered


def wrong_versions(commits: Sequence[Commit]) -> list[str]:
    wrong: list[str] = []
    ends: dict[PostId, int] = {}
    for commit in commits:
        if commit.version != ends.get(commit.stream_id, 0) + 1:
            wrong.append(f"{commit.stream_id} goes from {ends.get(commit.stream_id, 0)} to {commit.version}")
        ends[commit.stream_id] = commit.last_version
    return wrong


def wrong_answers(commits: Sequence[Commit], answered: Sequence[tuple[str, int]]) -> list[str]:
    stored = sorted((commit.commit_id, commit.position) for commit in commits)
    return [] if stored == sorted(answered) else [f"{len(answered)} commits were answered, {len(stored)} are stored"]


async def test_five_writers_leave_dense_positions_and_versions_and_a_reader_sees_no_gap(
    processes: list[MongoDatabase],
) -> None:
    *writing, reading = processes
    assert await write_and_follow([MongoEventStore(database) for database in writing], reading) == []


async def test_the_test_detects_positions_from_a_counter_that_is_not_tied_to_the_insert(
    processes: list[MongoDatabase],
) -> None:
    """The test above can fail: each of the fifty lost versions costs the counter at least a number."""
    *writing, reading = processes
    [problem] = await write_and_follow([CounterWriter(database) for database in writing], reading)
    assert "The log has no commit at position" in problem

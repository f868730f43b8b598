"""Replication is held back and the primary killed while writers append: what the primary alone had is gone, and what
was answered must not be.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import pytest
from pymongo.errors import WTimeoutError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import MAJORITY, MongoDatabase
from adapters.mongo.event_store import MongoEventStore
from adapters.mongo.provisioning import MongoProvisioning
from adapters.wire.commit_bson import at_position, encode_without_position
from application.envelopes import Commit, ProposedCommit
from application.errors import LogChanged, StoreUnavailable
from application.ports.event_store import AlreadyStored, Appended, Unsettled
from contracts.log_handle import POST_A, POST_B, POST_C, liked, proposed
from contracts.waiting import eventually
from domain.ids import PostId
from local.mongod import ReplicaSet

pytestmark = [
    pytest.mark.usefixtures("forgotten_sockets"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

LOCAL = ReadConcern("local")


class Cluster:
    """A log on three nodes. `admin` is the test's own connection."""

    def __init__(self, nodes: ReplicaSet, name: str, admin: MongoDatabase) -> None:
        self._nodes = nodes
        self._name = name
        self.admin = admin
        self.primary = nodes.wait_for_primary()
        self.others = [node for node in range(3) if node != self.primary]

    @asynccontextmanager
    async def process(
        self, tip_read_concern: ReadConcern = MAJORITY, append_timeout: float = 30.0
    ) -> AsyncIterator[MongoEventStore]:
        """A writer with a client of its own, whose driver waits for the next primary and sends its insert again."""
        url = f"{self._nodes.url}&serverSelectionTimeoutMS=15000"
        async with MongoDatabase(url, self._name, append_timeout) as database:
            yield MongoEventStore(database, tip_read_concern)

    async def hold_back_replication(self) -> None:
        for node in self.others:
            await asyncio.to_thread(self._nodes.hold_back, node)
        await eventually(self._nothing_is_replicated)

    async def lose_the_primary(self) -> None:
        """kill -9; the others elect one of themselves, without what was held back."""
        await asyncio.to_thread(self._nodes.kill, self.primary)
        for node in self.others:
            await asyncio.to_thread(self._nodes.release, node)
        await asyncio.to_thread(self._nodes.wait_for_primary, other_than=self.primary)

    async def bring_back_the_lost(self) -> None:
        """It rolls back the commits that only it had."""
        await asyncio.to_thread(self._nodes.restart, self.primary)

    async def kill_and_restart(self) -> None:
        await self._find_primary()
        await asyncio.to_thread(self._nodes.kill, self.primary)
        await asyncio.to_thread(self._nodes.wait_for_primary, other_than=self.primary)
        await self.bring_back_the_lost()

    async def freeze_and_thaw(self) -> None:
        await self._find_primary()
        self._nodes.freeze(self.primary)
        await asyncio.to_thread(self._nodes.wait_for_primary, other_than=self.primary)
        self._nodes.thaw(self.primary)

    async def hold_back_and_kill(self) -> None:
        await self._find_primary()
        await self.hold_back_replication()
        await self.lose_the_primary()
        await self.bring_back_the_lost()

    async def _find_primary(self) -> None:
        self.primary = await asyncio.to_thread(self._nodes.wait_for_primary)
        self.others = [node for node in range(3) if node != self.primary]

    async def an_insert_is_under_way(self) -> bool:
        """One that the primary has received and not yet answered."""
        wanted = {"currentOp": 1, "command.insert": "commits", "command.$db": self._name}
        operations = await self.admin.client.admin.command(wanted)
        return bool(operations["inprog"])

    async def all_commits(self) -> list[Commit]:
        log = MongoCommitLog(self.admin)
        commits: list[Commit] = []
        while page := await log.read(len(commits)):
            commits += page
        return commits

    async def _nothing_is_replicated(self) -> bool:
        soon = WriteConcern("majority", wtimeout=100)
        try:
            await self.admin.database.get_collection("marks", write_concern=soon).insert_one({})
        except WTimeoutError:
            return True
        return False


@pytest.fixture
async def cluster(three_nodes: ReplicaSet) -> AsyncIterator[Cluster]:
    name = f"test_{uuid4().hex[:12]}"
    async with MongoDatabase(three_nodes.url, name) as admin:
        await MongoProvisioning(admin).provision()
        yield Cluster(three_nodes, name, admin)


async def append_behind_an_unreplicated_write(cluster: Cluster, tip_read_concern: ReadConcern) -> list[int]:
    """One process was acknowledged 1 to 10, and its group of three more is on the primary only. Another process appends
    then, and the primary dies. The positions that are left."""
    async with cluster.process() as first:
        await first.append([proposed(POST_A, version) for version in range(1, 11)])
    await cluster.hold_back_replication()
    await insert_on_the_primary_only(cluster.admin, 11, [proposed(POST_B, version) for version in (1, 2, 3)])
    async with cluster.process(tip_read_concern) as second:
        appending = asyncio.create_task(second.append([proposed(POST_C)]))
        await eventually(cluster.an_insert_is_under_way)
        await cluster.lose_the_primary()
        [outcome] = await appending
    documents = await cluster.admin.commits.find({}, {"streamId": 1}, sort=[("_id", 1)]).to_list()
    assert isinstance(outcome, Appended)
    assert [document["_id"] for document in documents if document["streamId"] == POST_C] == [outcome.position]
    return [document["_id"] for document in documents]


async def insert_on_the_primary_only(admin: MongoDatabase, first: int, commits: Sequence[ProposedCommit]) -> None:
    documents = [
        at_position(encode_without_position(commit), position) for position, commit in enumerate(commits, first)
    ]
    await admin.commits.with_options(write_concern=WriteConcern(1)).insert_many(documents)


async def test_a_position_is_never_built_on_a_commit_that_a_failover_rolls_back(cluster: Cluster) -> None:
    assert await append_behind_an_unreplicated_write(cluster, MAJORITY) == list(range(1, 12))


async def test_with_the_tip_read_locally_a_failover_removes_what_a_write_builds_on(cluster: Cluster) -> None:
    """What the majority read prevents, and that the test above can fail. Here the guard detects it."""
    with pytest.raises(LogChanged, match="no commit at position 12"):
        await append_behind_an_unreplicated_write(cluster, LOCAL)


async def test_a_commit_without_a_majority_is_never_acknowledged(cluster: Cluster) -> None:
    """The server reports that it inserted two commits and refused the third, and does not know whether all this will
    last."""
    async with cluster.process(append_timeout=1.5) as store:
        assert await store.append([proposed(POST_A, 1, name="one key")]) == [Appended(1)]
        await cluster.hold_back_replication()
        group = [proposed(POST_A, 2), proposed(POST_B, 1), proposed(POST_C, 1, name="one key")]
        assert [type(outcome) for outcome in await store.append(group)] == [Unsettled, Unsettled, AlreadyStored]
        await cluster.lose_the_primary()
    assert [(commit.position, commit.version) for commit in await cluster.all_commits()] == [(1, 1)]


async def test_a_commit_is_not_refused_for_one_that_a_failover_rolls_back(cluster: Cluster) -> None:
    async with cluster.process() as store:
        assert await store.append([proposed(POST_B, 1)]) == [Appended(1)]
        await cluster.hold_back_replication()
        rival, same_id = proposed(POST_A, 1, name="rival"), proposed(POST_C, 1, liked("theirs"), name="one key")
        await insert_on_the_primary_only(cluster.admin, 2, [rival, same_id])
        mine = [proposed(POST_A, 1), proposed(POST_B, 2, name="one key")]
        appending = asyncio.create_task(store.append(mine))
        await eventually(cluster.an_insert_is_under_way)
        await cluster.lose_the_primary()
        assert await appending == [Appended(2), Appended(3)]
    stored = [(commit.position, commit.stream_id, commit.version) for commit in await cluster.all_commits()]
    assert stored == [(1, POST_B, 1), (2, POST_A, 1), (3, POST_B, 2)]


async def test_two_writers_lose_nothing_and_leave_no_gap_when_their_primary_is_lost(cluster: Cluster) -> None:
    stop = asyncio.Event()
    async with cluster.process() as one, cluster.process() as two:
        writing = [asyncio.create_task(write_until(stop, store)) for store in (one, two)]
        await eventually(lambda: tip_is_beyond(cluster, 40))
        await cluster.hold_back_replication()
        await insert_on_the_primary_only(cluster.admin, await next_position(cluster), [proposed(POST_B)])
        await cluster.lose_the_primary()
        reached = await MongoCommitLog(cluster.admin).tip()
        await eventually(lambda: tip_is_beyond(cluster, reached + 40), seconds=30)
        stop.set()
        answered = [pair for written in await asyncio.gather(*writing) for pair in written]
    await cluster.bring_back_the_lost()
    stored = await cluster.all_commits()
    assert [commit.position for commit in stored] == list(range(1, len(stored) + 1))
    assert versions_without_gap(stored)
    by_id = {commit.commit_id: commit for commit in stored}
    for commit, position in answered:
        assert (by_id[commit.commit_id].position, by_id[commit.commit_id].events) == (position, commit.events)
    assert len(answered) >= 80


@pytest.mark.long
async def test_repeated_failovers_lose_nothing_and_show_no_reader_a_commit_that_is_rolled_back(
    cluster: Cluster,
) -> None:
    stop = asyncio.Event()
    async with cluster.process() as one, cluster.process() as two, cluster.process(append_timeout=4.0) as impatient:
        writing = [asyncio.create_task(write_until(stop, store)) for store in (one, two, impatient)]
        reading = asyncio.create_task(read_until(stop, cluster))
        for number in range(9):
            await tip_moves_on(cluster)
            await (cluster.kill_and_restart, cluster.freeze_and_thaw, cluster.hold_back_and_kill)[number % 3]()
        await tip_moves_on(cluster)
        stop.set()
        answered = [pair for written in await asyncio.gather(*writing) for pair in written]
        seen = await reading
    stored = await cluster.all_commits()
    assert [commit.position for commit in stored] == list(range(1, len(stored) + 1))
    assert versions_without_gap(stored)
    assert seen == stored[: len(seen)]
    positions = {commit.commit_id: commit.position for commit in stored}
    assert [(commit.commit_id, positions[commit.commit_id]) for commit, _ in answered] == [
        (commit.commit_id, position) for commit, position in answered
    ]


async def read_until(stop: asyncio.Event, cluster: Cluster) -> list[Commit]:
    log = MongoCommitLog(cluster.admin)
    seen: list[Commit] = []
    while not stop.is_set():
        with suppress(StoreUnavailable):
            seen += await log.read(len(seen))
            await log.wait(after=len(seen), timeout=1.0)
    return seen


async def tip_moves_on(cluster: Cluster) -> None:
    reached = await tip_now(cluster)
    await eventually(lambda: tip_is_beyond(cluster, reached + 20), seconds=60)


async def write_until(stop: asyncio.Event, store: MongoEventStore) -> list[tuple[ProposedCommit, int]]:
    """Groups of three commits to a stream of its own; what was answered as appended, and where. A stream whose end is
    unknown is left for another."""
    answered: list[tuple[ProposedCommit, int]] = []
    stream, version = PostId(str(uuid4())), 1
    while not stop.is_set():
        group = [proposed(stream, version + number) for number in range(3)]
        outcomes = await store.append(group)
        for commit, outcome in zip(group, outcomes, strict=True):
            assert isinstance(outcome, Appended | Unsettled), outcome
            if isinstance(outcome, Appended):
                answered.append((commit, outcome.position))
        version += 3
        if any(isinstance(outcome, Unsettled) for outcome in outcomes):
            stream, version = PostId(str(uuid4())), 1
    return answered


async def tip_is_beyond(cluster: Cluster, position: int) -> bool:
    return await tip_now(cluster) > position


async def tip_now(cluster: Cluster) -> int:
    """-1 while there is no primary."""
    try:
        return await MongoCommitLog(cluster.admin).tip()
    except StoreUnavailable:
        return -1


async def next_position(cluster: Cluster) -> int:
    """As only the primary has it."""
    newest: dict[str, Any] | None = await cluster.admin.commits.with_options(read_concern=LOCAL).find_one(
        {}, {"_id": 1}, sort=[("_id", -1)]
    )
    return 1 if newest is None else newest["_id"] + 1


def versions_without_gap(commits: Sequence[Commit]) -> bool:
    ends: dict[PostId, int] = {}
    for commit in commits:
        if commit.version != ends.get(commit.stream_id, 0) + 1:
            return False
        ends[commit.stream_id] = commit.last_version
    return True

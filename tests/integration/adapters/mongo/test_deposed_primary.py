"""A primary that was deposed and has not noticed must not answer where a stream, or the log, ends."""

import asyncio
from uuid import uuid4

import pytest

from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import MongoDatabase
from adapters.mongo.event_store import MongoEventStore
from adapters.mongo.provisioning import MongoProvisioning
from application.envelopes import StreamTail
from application.errors import StoreUnavailable
from application.ports.event_store import Appended
from contracts.log_handle import POST_A, proposed
from local.mongod import ReplicaSet

pytestmark = [
    pytest.mark.usefixtures("forgotten_sockets"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


async def tail_or_refusal(store: MongoEventStore) -> StreamTail | str | None:
    try:
        return await store.stream_tail(POST_A)
    except StoreUnavailable:
        return "refused"


async def tip_or_refusal(log: MongoCommitLog) -> int | str:
    try:
        return await log.proven_tip()
    except StoreUnavailable:
        return "refused"


async def copy_from(nodes: ReplicaSet, primary: int, third: int) -> None:
    """Otherwise the third node waits for the frozen one for about ten seconds."""
    async with MongoDatabase(f"mongodb://{nodes.addresses[third]}/?directConnection=true") as database:
        await database.client.admin.command("replSetSyncFrom", nodes.addresses[primary])


async def test_a_deposed_primary_never_returns_a_tail_without_commits_that_the_next_one_acknowledged(
    three_nodes: ReplicaSet,
) -> None:
    name = f"test_{uuid4().hex[:12]}"
    old = three_nodes.wait_for_primary()
    async with (
        MongoDatabase(f"{three_nodes.url}&serverSelectionTimeoutMS=15000", name, append_timeout=30.0) as database,
        MongoDatabase(f"mongodb://{three_nodes.addresses[old]}/?directConnection=true", name) as knows_only_the_old,
    ):
        await MongoProvisioning(database).provision()
        store = MongoEventStore(database)
        assert await store.append([proposed(POST_A, 1)]) == [Appended(1)]
        old_stores = [MongoEventStore(knows_only_the_old) for _ in range(8)]
        assert await asyncio.gather(*map(tail_or_refusal, old_stores)) == [StreamTail(1, 1)] * 8
        old_logs = [MongoCommitLog(knows_only_the_old) for _ in range(8)]
        assert await asyncio.gather(*map(tip_or_refusal, old_logs)) == [1] * 8
        three_nodes.freeze(old)
        asked_the_old = asyncio.gather(*map(tail_or_refusal, old_stores))
        asked_for_the_tip = asyncio.gather(*map(tip_or_refusal, old_logs))
        new = await asyncio.to_thread(three_nodes.wait_for_primary, other_than=old)
        await copy_from(three_nodes, new, third=3 - old - new)
        assert await store.append([proposed(POST_A, 2)]) == [Appended(2)]
        three_nodes.thaw(old)
        assert set(await asked_the_old) <= {"refused", StreamTail(2, 2)}
        assert set(await asked_for_the_tip) <= {"refused", 2}

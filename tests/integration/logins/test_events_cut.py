"""`postlog events cut` on MongoDB: only an administrator may remove commits, and afterwards the service goes on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bson.json_util
import pytest

from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import MongoDatabase
from adapters.mongo.event_store import MongoEventStore
from adapters.mongo.relay_state import MongoRelayState
from adapters.mongo.snapshots import MongoSnapshots
from application.ports.event_store import Appended, Snapshot
from application.projections.log_checks import LogGaps
from command_process import ANYBODY, CommandProcess
from contracts.damaged_streams import CREATED
from contracts.log_handle import proposed
from domain.commands import LikePost
from domain.ids import PostId
from integration.logins.places import MongoPlace
from running import postlog

POSTS = [PostId(f"019b0000-0000-7000-8000-0000000001{number:02x}") for number in range(9)]


@pytest.fixture
async def holed(mongo: MongoPlace) -> MongoPlace:
    """1 and 2, and 6 to 8, as a restore below running processes leaves it, with a snapshot and a relay that know 8."""
    await mongo.init()
    async with MongoDatabase(mongo.service_url, mongo.database) as database:
        commits = [proposed(post, 1, *CREATED) for post in POSTS[1:]]
        assert (await MongoEventStore(database).append(commits))[-1] == Appended(8)
        await MongoSnapshots(database).store(Snapshot(stream_id=POSTS[7], version=1, position=7, format="f", state=b""))
        relay = MongoRelayState(database)
        lease = await relay.acquire("relay", 1.0)
        assert lease is not None
        await relay.advance(lease, 8)
        await relay.release(lease)
    with mongo.as_admin() as client:
        client[mongo.database].commits.delete_many({"_id": {"$in": [3, 4, 5]}})
    return mongo


def cut(place: MongoPlace, *arguments: str, admin: str | None = None) -> tuple[int, str]:
    env = {
        "POSTLOG__EVENT_STORE__ADAPTER": "mongo",
        "POSTLOG__EVENT_STORE__MONGO__URL": place.service_url,
        "POSTLOG__EVENT_STORE__MONGO__DATABASE": place.database,
    }
    if admin:
        env["POSTLOG_ADMIN__MONGO_URL"] = admin
    done = postlog("events", "cut", *arguments, env=env)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def positions(place: MongoPlace) -> Sequence[int]:
    with place.as_admin() as client:
        return [each["_id"] for each in client[place.database].commits.find({}, {"_id": 1}, sort=[("_id", 1)])]


async def test_the_service_s_own_login_sees_it_and_may_not_remove_it(holed: MongoPlace, tmp_path: Path) -> None:
    status, printed = cut(holed)
    assert status == 1
    assert "The log has no commit at positions 3 to 5, but one at 6" in printed
    assert "3 commits after position 2, up to position 8." in printed

    status, printed = cut(holed, "--behind", "2", "--save", str(tmp_path / "cut.ndjson"))
    assert status == 2
    assert "may not remove commits, as it should be" in printed
    assert "--admin-url-file" in printed
    assert positions(holed) == [1, 2, 6, 7, 8]


async def test_an_administrator_removes_it_and_the_service_goes_on(holed: MongoPlace, tmp_path: Path) -> None:
    file = tmp_path / "cut.ndjson"
    status, printed = cut(holed, "--behind", "6", "--save", str(file), admin=holed.admin_url)
    assert (status, positions(holed)) == (2, [1, 2, 6, 7, 8])
    assert "The gap begins after position 2, not after 6, so nothing was removed." in printed

    with holed.as_admin() as client:
        before = {each["_id"]: each for each in client[holed.database].commits.find()}
    status, printed = cut(holed, "--behind", "2", "--save", str(file), admin=holed.admin_url)
    assert status == 0, printed
    assert "Removed 3 commits after position 2, where the log ends now" in printed
    assert positions(holed) == [1, 2]
    saved = [bson.json_util.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [_plain(each) for each in saved] == [_plain(before[number]) for number in (6, 7, 8)]

    async with MongoDatabase(holed.service_url, holed.database) as database:
        log, snapshots = MongoCommitLog(database), MongoSnapshots(database)
        assert await LogGaps(log).find(thorough=True) is None
        assert await snapshots.load(POSTS[7]) is None
        state = await MongoRelayState(database).state()
        assert state is not None
        assert state.position == 2
        process = CommandProcess(MongoEventStore(database), snapshots, require_writable=LogGaps(log).require_none)
        liked = await process.commands.handle(LikePost(post_id=POSTS[1], username="Bob"), ANYBODY)
        assert liked.position == 3
        assert [commit.position for commit in await log.read(0)] == [1, 2, 3]
    assert cut(holed)[0] == 0


async def test_what_it_saved_can_be_inserted_again_with_the_commits_of_a_backup(
    holed: MongoPlace, tmp_path: Path
) -> None:
    """As `mongoimport` does it."""
    file = tmp_path / "cut.ndjson"
    with holed.as_admin() as client:
        commits = client[holed.database].commits
        before = list(commits.find(sort=[("_id", 1)]))
        assert cut(holed, "--behind", "2", "--save", str(file), admin=holed.admin_url)[0] == 0
        commits.insert_many([bson.json_util.loads(line) for line in file.read_text(encoding="utf-8").splitlines()])
        assert [_plain(each) for each in commits.find(sort=[("_id", 1)])] == [_plain(each) for each in before]


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """Whether a time has its zone is a matter of who reads it."""
    return document | {"recordedAt": document["recordedAt"].replace(tzinfo=None)}

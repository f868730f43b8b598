"""`postlog events cut`: the way out of a gap in a log on SQLite."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from adapters.sqlite.commit_removal import SqliteCommitRemoval
from adapters.sqlite.event_store import SqliteEventStore, SqliteSnapshots
from adapters.sqlite.log_file import SqliteLog
from adapters.sqlite.relay_state import SqliteRelayState
from application.ports.commit_log import StoredCommit
from application.ports.event_store import Snapshot
from contracts.damaged_streams import CREATED
from contracts.log_handle import liked, proposed
from domain.ids import PostId
from entrypoints.cli import main

LOG = Path("var/log.sqlite")
OPTION = f"--set=event_store.sqlite.path={LOG}"
SENTENCE = "The log has no commit at positions 3 to 5, but one at 6"


def post(number: int) -> PostId:
    return PostId(f"019b0000-0000-7000-8000-0000000001{number:02x}")


async def append(*numbers: int) -> list[object]:
    async with SqliteLog(LOG) as log:
        commits = [proposed(post(number), 1, *CREATED, liked(f"Ann {number} Żółć")) for number in numbers]
        return list(await SqliteEventStore(log).append(commits))


async def arrange() -> None:
    """With a snapshot and a relay checkpoint after the gap."""
    await append(*range(1, 9))
    async with SqliteLog(LOG) as log:
        snapshot = Snapshot(stream_id=post(7), version=2, position=7, format="f", state=b"")
        await SqliteSnapshots(log).store(snapshot)
        relay = SqliteRelayState(log)
        lease = await relay.acquire("relay", 1.0)
        assert lease is not None
        await relay.advance(lease, 8)
        await relay.release(lease)


def remove(*positions: int) -> None:
    with closing(sqlite3.connect(LOG)) as connection, connection:
        [trigger] = connection.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'commits_are_never_deleted'"
        ).fetchone()
        connection.execute("DROP TRIGGER commits_are_never_deleted")
        connection.executemany("DELETE FROM commits WHERE position = ?", [(position,) for position in positions])
        connection.execute(trigger)


def positions() -> list[int]:
    with closing(sqlite3.connect(LOG)) as connection:
        return [position for [position] in connection.execute("SELECT position FROM commits ORDER BY position")]


@pytest.fixture
def holed() -> None:
    asyncio.run(arrange())
    remove(3, 4, 5)


@pytest.mark.usefixtures("holed")
def test_without_confirmation_the_commits_after_the_gap_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["events", "cut", OPTION]) == 1
    shown = capsys.readouterr().out
    assert SENTENCE in shown
    assert f"position 6  post {post(6)}  version 1" in shown
    assert "3 commits after position 2, up to position 8." in shown
    assert "postlog events cut --behind 2 --save FILE" in shown
    assert positions() == [1, 2, 6, 7, 8]

    assert main.run(["events", "cut", OPTION, "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "gap": True,
        "log": f"sqlite {Path('var/log.sqlite').absolute()}",
        "behind": 2,
        "firstMissing": 3,
        "nextThere": 6,
        "commits": 3,
        "tip": 8,
    }


@pytest.mark.usefixtures("holed")
def test_with_confirmation_they_are_saved_and_removed_with_all_that_depends_on_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["events", "cut", OPTION, "--behind", "2", "--save", "cut.ndjson"]) == 0
    assert "Removed 3 commits after position 2, where the log ends now; saved in cut.ndjson." in capsys.readouterr().out
    saved = [json.loads(line) for line in Path("cut.ndjson").read_text(encoding="utf-8").splitlines()]
    assert [(each["_id"], each["streamId"]) for each in saved] == [(number, post(number)) for number in (6, 7, 8)]
    assert saved[0]["events"][1] == {"type": "PostLiked", "schemaVersion": 2, "data": {"username": "Ann 6 Żółć"}}
    assert saved[0]["recordedAt"] == {"$date": "2026-11-23T15:46:58.123Z"}

    async def afterwards() -> None:
        async with SqliteLog(LOG) as log:
            assert await SqliteSnapshots(log).load(post(7)) is None
            state = await SqliteRelayState(log).state()
            assert state is not None
            assert state.position == 2

    asyncio.run(afterwards())
    assert main.run(["events", "cut", OPTION]) == 0
    assert main.run(["events", "check", OPTION]) == 0
    asyncio.run(append(20, 21))
    assert positions() == [1, 2, 3, 4]
    with closing(sqlite3.connect(LOG)) as connection, pytest.raises(sqlite3.IntegrityError, match="never deleted"):
        connection.execute("DELETE FROM commits")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    before = positions()
    assert main.run(["events", "cut", OPTION, *arguments]) == 2
    assert positions() == before
    return capsys.readouterr().err


@pytest.mark.usefixtures("holed")
def test_another_position_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for position in ("0", "1", "3", "5", "8"):
        sentence = refused(capsys, "--behind", position, "--save", "cut.ndjson")
        assert f"The gap begins after position 2, not after {position}, so nothing was removed." in sentence
    assert not Path("cut.ndjson").exists()


@pytest.mark.usefixtures("holed")
def test_without_a_file_to_save_to_nothing_is_removed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Give both --behind POSITION and --save FILE" in refused(capsys, "--behind", "2")
    assert "Give both --behind POSITION and --save FILE" in refused(capsys, "--save", "cut.ndjson")
    Path("there.ndjson").write_text("precious")
    assert "there.ndjson exists already" in refused(capsys, "--behind", "2", "--save", "there.ndjson")
    assert Path("there.ndjson").read_text() == "precious"
    assert "nowhere/cut.ndjson: No such file" in refused(capsys, "--behind", "2", "--save", "nowhere/cut.ndjson")


def test_a_log_without_a_gap_is_not_changed(capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(arrange())
    assert main.run(["events", "cut", OPTION]) == 0
    where, said = capsys.readouterr().out.splitlines()
    assert where == f"Log: sqlite {Path('var/log.sqlite').absolute()}."
    assert said == "No position is missing from the log."
    sentence = refused(capsys, "--behind", "8", "--save", "cut.ndjson")
    assert "No position is missing from the log, so nothing is removed from it." in sentence
    assert not Path("cut.ndjson").exists()


@pytest.mark.usefixtures("holed")
def test_nothing_is_removed_while_another_process_writes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more commit is appended after all are saved."""
    commits_after = SqliteCommitRemoval.commits_after

    async def and_one_more(self: SqliteCommitRemoval, position: int):
        async for page in commits_after(self, position):
            yield page
        await SqliteEventStore(self._log).append([proposed(post(30), 1)])

    monkeypatch.setattr(SqliteCommitRemoval, "commits_after", and_one_more)
    assert main.run(["events", "cut", OPTION, "--behind", "2", "--save", "cut.ndjson"]) == 2
    assert "The log is being written to, so nothing was removed." in capsys.readouterr().err
    assert positions()[:5] == [1, 2, 6, 7, 8]


@pytest.mark.usefixtures("holed")
async def test_commits_that_changed_since_they_were_saved_are_not_removed() -> None:
    async with SqliteLog(LOG) as log:
        removal = SqliteCommitRemoval(log)
        pages = [page async for page in removal.commits_after(2)]
        commits: list[StoredCommit] = [commit for page in pages for commit in page]
        commits[1] = commits[1]._replace(commit_id="another")
        with pytest.raises(Exception, match="Another process changes the log"):
            await removal.remove(commits, 2)
    assert positions() == [1, 2, 6, 7, 8]


def test_removed_commits_can_be_restored_by_hand_from_the_saved_file() -> None:
    """The saved file is complete: with the missing commits from a backup, the log is what it was."""
    asyncio.run(arrange())
    with closing(sqlite3.connect(LOG)) as connection:
        rows = connection.execute("SELECT * FROM commits").fetchall()
    remove(3, 4, 5)
    assert main.run(["events", "cut", OPTION, "--behind", "2", "--save", "cut.ndjson"]) == 0
    with closing(sqlite3.connect(LOG)) as connection, connection:
        connection.executemany(
            "INSERT INTO commits VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [row for row in rows if 3 <= row[0] <= 5]
        )
        for line in Path("cut.ndjson").read_text(encoding="utf-8").splitlines():
            each = json.loads(line)
            last_version = each["version"] + len(each["events"]) - 1
            texts = [json.dumps(each[name], ensure_ascii=False) for name in ("metadata", "events")]
            values = [each["_id"], each["streamId"], each["version"], last_version, each["commitId"]]
            connection.execute(
                "INSERT INTO commits VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [*values, each["recordedAt"]["$date"], *texts]
            )
        restored = connection.execute("SELECT * FROM commits").fetchall()
    plain = [[json.loads(value) if str(value)[:1] in "{[" else value for value in row] for row in rows]
    assert [[json.loads(v) if str(v)[:1] in "{[" else v for v in row] for row in restored] == plain
    assert main.run(["events", "check", OPTION]) == 0

"""`postlog backup` and `postlog restore` beside a service that runs, and files that are copied over its log."""

import json
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from running import embedded, postlog, ticks


def posted(address: str, count: int) -> list[str]:
    ids = []
    for number in range(count):
        answer = httpx.post(f"{address}/api/v1/posts", json={"author": "Ann", "message": f"Message {number}"})
        assert answer.status_code == 201, answer.text
        ids.append(answer.json()["id"])
    return ids


def caught_up(address: str) -> None:
    for _ in ticks(20, "the rows did not catch up"):
        if httpx.get(f"{address}/api/v1/read-db").json()["lag"] == 0:
            return


def commits_in(file: Path) -> int:
    with closing(sqlite3.connect(f"{file.as_uri()}?immutable=1", uri=True)) as connection:
        count: int = connection.execute("SELECT count(*) FROM commits").fetchone()[0]
    return count


def test_a_backup_of_a_running_service_holds_every_acknowledged_post(tmp_path: Path):
    """A plain copy of the file holds none of them: they are in the write-ahead log."""
    data, backup = tmp_path / "data", tmp_path / "backup.sqlite"
    with embedded(data) as (_, address):
        posted(address, 50)
        result = postlog("backup", str(backup), "--json", env={"POSTLOG_DATA": str(data)})
        refused = postlog("restore", str(backup), env={"POSTLOG_DATA": str(data)})
        posted(address, 1)

    assert result.returncode == 0, result.stderr
    record = json.loads(result.stdout)
    assert (record["position"], record["file"], record["gaps"]) == (50, str(backup), [])
    assert commits_in(backup) == 50
    assert backup.stat().st_mode & 0o777 == 0o600
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"Error: The event log {data / 'log.sqlite'} (event_store.sqlite.path) is open")


@pytest.mark.long
def test_the_way_back_to_a_backup(tmp_path: Path):
    """The procedure of docs/operations.md: the rows that have seen more are noticed, and a rebuild makes them right."""
    data, backup = tmp_path / "data", tmp_path / "backup.sqlite"
    env = {"POSTLOG_DATA": str(data)}
    with embedded(data) as (running, address):
        kept = posted(address, 3)
        assert postlog("backup", str(backup), env=env).returncode == 0
        lost = posted(address, 4)
        caught_up(address)
        running.signal(signal.SIGTERM)

    restored = postlog("restore", str(backup), env=env)
    doctor = postlog("doctor", env=env)
    started = postlog("project", "--port", "0", env=env)
    rebuilt = postlog("rebuild", env=env)

    assert restored.returncode == 0, restored.stderr
    assert "up to position 3, from" in restored.stdout
    assert "postlog rebuild" in restored.stdout
    assert [doctor.returncode, started.returncode, rebuilt.returncode] == [2, 2, 0], doctor.stdout + started.stderr
    for sentence in (doctor.stdout, started.stderr):
        assert "the log was restored to an older state" in sentence
        assert "refill this one with `postlog rebuild`" in sentence
    assert postlog("doctor", env=env).returncode == 0
    [old] = data.glob("log.sqlite.before-restore-*")
    assert commits_in(old) == 7
    with embedded(data) as (_, address):
        found = [httpx.get(f"{address}/api/v1/posts/{post_id}").status_code for post_id in kept + lost]
        remembered = httpx.get(f"{address}/api/v1/posts/{kept[0]}", headers={"Postlog-Min-Position": "7"})
    assert found == [200] * 3 + [404] * 4
    assert (remembered.status_code, remembered.json()["code"]) == (409, "position-beyond-log")


def copied_by_postlog(log: Path, copy: Path) -> None:
    assert postlog("backup", str(copy), env={"POSTLOG_DATA": str(log.parent)}).returncode == 0


def copied_by_the_shell(log: Path, copy: Path) -> None:
    with closing(sqlite3.connect(log)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


@pytest.mark.parametrize("copied", [copied_by_postlog, pytest.param(copied_by_the_shell, marks=pytest.mark.long)])
def test_a_copy_put_over_a_running_log_ends_all_commands(tmp_path: Path, copied: Callable[[Path, Path], None]):
    data, copy = tmp_path / "data", tmp_path / "copy.sqlite"
    env = {"POSTLOG_DATA": str(data)}
    with embedded(data) as (running, address):
        [post_id, *_] = posted(address, 20)
        copied(data / "log.sqlite", copy)
        posted(address, 20)
        with (data / "log.sqlite").open("wb") as log, copy.open("rb") as reading:
            shutil.copyfileobj(reading, log)  # as `cp` does: into the file that is there

        answers = [httpx.post(f"{address}/api/v1/posts", json={"author": "Ann", "message": "Lost?"}) for _ in range(20)]
        ready = httpx.get(f"{address}/health/ready")
        history = httpx.get(f"{address}/api/v1/posts/{post_id}/events")
        running.signal(signal.SIGTERM)

    assert {answer.status_code for answer in answers} == {503}
    assert answers[0].json()["code"] == "log-changed"
    assert "was changed while Postlog ran" in answers[0].json()["detail"]
    assert (ready.status_code, history.status_code) == (503, 503)
    assert "postlog restore" in ready.text
    assert (data / "log.sqlite").read_bytes() == copy.read_bytes(), "its write-ahead log was written into the copy"

    restored = postlog("restore", str(copy), env=env)
    rebuilt = postlog("rebuild", env=env)
    assert (restored.returncode, rebuilt.returncode) == (0, 0), restored.stderr + rebuilt.stderr
    assert postlog("doctor", env=env).returncode == 0


@pytest.mark.long
def test_a_backup_beside_the_write_ahead_log_of_a_killed_service_is_refused_at_the_start(tmp_path: Path):
    data, backup = tmp_path / "data", tmp_path / "backup.sqlite"
    env = {"POSTLOG_DATA": str(data)}
    with embedded(data) as (running, address):
        posted(address, 20)
        copied_by_postlog(data / "log.sqlite", backup)
        posted(address, 5)
        running.kill()
    shutil.copyfile(backup, data / "log.sqlite")
    lines = tmp_path / "posts.ndjson"
    lines.write_text(
        '{"externalId": "1", "author": "Ann", "message": "Hello", "datePosted": "2026-01-31T09:30:00Z", "likes": 0}\n'
    )

    for verb in (["run"], ["serve", "command"], ["doctor"], ["import", str(lines)]):
        result = postlog(*verb, env=env | {"PORT": "0"})
        assert result.returncode == 2, result.stdout
        said = result.stdout + result.stderr
        assert "(log.sqlite-wal) belongs to another file" in said
        assert "postlog restore" in said
    assert postlog("restore", str(backup), env=env).returncode == 0
    assert postlog("rebuild", env=env).returncode == 0
    assert postlog("doctor", env=env).returncode == 0
    assert commits_in(data / "log.sqlite") == 20


def damage(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size // 2 // 4_096 * 4_096)
        opened.write(b"\xff" * 4_096)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "remedy"),
    [("log.sqlite", "bring a backup back with `postlog restore`"), ("read.sqlite", "compute it again with `postlog")],
)
def test_the_doctor_finds_a_damaged_file_and_its_remedy_works(tmp_path: Path, name: str, remedy: str):
    data, backup = tmp_path / "data", tmp_path / "backup.sqlite"
    env = {"POSTLOG_DATA": str(data)}
    with embedded(data) as (running, address):
        posted(address, 120)
        caught_up(address)
        copied_by_postlog(data / "log.sqlite", backup)
        running.signal(signal.SIGTERM)
    damage(data / name)

    if name == "log.sqlite":
        with embedded(data) as (running, address):
            for _ in ticks(30, running.printed):  # the whole file is read soon after the start
                if httpx.post(f"{address}/api/v1/posts", json={"author": "Ann", "message": "Hello"}).status_code == 503:
                    break
            assert httpx.get(f"{address}/health/ready").status_code == 503
    doctor = postlog("doctor", env=env)
    assert doctor.returncode == 2
    setting = "event_store" if name == "log.sqlite" else "read_db"
    [found] = [line for line in doctor.stdout.splitlines() if line.startswith("problem  integrity")]
    assert f"integrity of {setting}.sqlite.path: {data / name} is damaged: " in found
    assert remedy in found

    if name == "log.sqlite":
        assert postlog("restore", str(backup), env=env).returncode == 0
    else:
        (data / name).unlink()
        assert postlog("rebuild", env=env).returncode == 0
    assert postlog("doctor", env=env).returncode == 0
    assert postlog("audit", env=env).returncode == 0


def test_a_log_on_mongodb_is_backed_up_with_its_own_tools(tmp_path: Path):
    for verb in ("backup", "restore"):
        result = postlog(verb, str(tmp_path / "file"), "--set", "event_store.adapter=mongo")
        assert result.returncode == 2
        [sentence] = result.stderr.splitlines()
        assert "event_store.adapter is mongo" in sentence
        assert "mongodump" in sentence
        assert "docs/operations.md" in sentence

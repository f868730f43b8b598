"""kill -9 of every process and every server under load: log and rows end as if nothing had happened."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from integration.distributed.evidence import (
    assert_acknowledged_once,
    assert_dense,
    assert_rows_tell,
    commits_of,
    imported_likes,
    rows_of,
)
from integration.distributed.system import Place, System
from integration.distributed.writers import Writers, writing
from local.kafka import Kafka
from local.mongod import ReplicaSet
from local.postgres import Postgres
from running import Running, ticks

SERVICES = {
    "commands": ("serve", "command"),
    "queries": ("serve", "query"),
    "relay": ("relay",),
    "standby": ("relay",),
    "projector": ("project",),
    "second projector": ("project",),
}


Killing = Mapping[str, tuple[Callable[[], None], Callable[[], None]]]
"""How each server is killed and brought back."""


@dataclass(frozen=True, slots=True)
class Killer:
    """Kills services and servers, by name, and brings them back. `work` commands are acknowledged after each."""

    system: System
    writers: Writers
    killing: Killing
    work: int

    def strike(self, name: str) -> None:
        if name in self.killing:
            kill, restart = self.killing[name]
            kill()
            if name != "mongod":  # without it no command can be acknowledged; without the others every one is
                self.writers.wait_for_more(self.work)
            restart()
        else:
            self.system.kill(name)
            self.system.again(name)
        self.writers.wait_for_more(self.work)


def posts_file(folder: Path, likes: list[int]) -> Path:
    lines = [
        {
            "externalId": f"post-{n}",
            "author": f"author {n % 7}",
            "message": f"Imported {n} with ünïcode 🙂",
            "datePosted": f"2020-01-{n % 28 + 1:02d}T10:00:00Z",
            "likes": count,
        }
        for n, count in enumerate(likes)
    ]
    file = folder / "posts.ndjson"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return file


def finish_import(system: System, importing: Running, file: Path) -> None:
    """To its end; once more when a server was away for longer than it waits."""
    if importing.process.wait(90) != 0:
        again = system.run("import", str(file), timeout=120)
        assert again.returncode == 0, again.stderr


def assert_nothing_was_lost(system: System, place: Place, writers: Writers, likes: list[int]) -> None:
    acknowledged = writers.stop()
    commits = commits_of(place)
    assert_dense(commits)
    assert_acknowledged_once(commits, acknowledged)
    system.wait_for_lag_0("queries", len(commits))
    rows = rows_of(place)
    assert_rows_tell(rows, acknowledged)
    assert imported_likes(rows) == {f"Imported {n} with ünïcode 🙂": count for n, count in enumerate(likes)}
    audited = system.run("audit", "--json")
    assert audited.returncode == 0, audited.stdout + audited.stderr
    report = json.loads(audited.stdout.splitlines()[-1])
    assert (report["posts"], report["postsThatDiffer"], report["parked"]) == (len(rows), 0, [])
    assert system.run("doctor").returncode == 0


@pytest.fixture
def system(tmp_path: Path, killable_place: Place):
    with System(tmp_path, killable_place.settings) as system:
        yield system


@pytest.fixture
def killing(killable_mongod: ReplicaSet, killable_kafka: Kafka, killable_postgres: Postgres):
    return {
        "mongod": (lambda: killable_mongod.kill(0), lambda: killable_mongod.restart(0)),
        "kafka": (killable_kafka.kill, killable_kafka.restart),
        "postgres": (killable_postgres.kill, killable_postgres.restart),
    }


def active_relay(system: System) -> str:
    for _ in ticks(20, "no relay is active"):
        for name in ("relay", "standby"):
            if "postlog_relay_active 1.0" in system.get(name, "/metrics").text:
                return name
    raise AssertionError


@pytest.mark.timeout(300)
def test_every_process_and_every_server_is_killed_once_and_nothing_is_lost(
    tmp_path: Path, system: System, killing: Killing, killable_place: Place
):
    likes = [(n * 37) % 120 for n in range(150)]
    file = posts_file(tmp_path, likes)
    system.start_all(SERVICES)
    with writing(4, system.url("commands")) as writers:
        importing = system.start("import", "import", str(file))
        killer = Killer(system, writers, killing, work=25)
        for victim in (active_relay(system), "projector", "commands", "mongod", "kafka", "postgres"):
            killer.strike(victim)
        finish_import(system, importing, file)
        assert_nothing_was_lost(system, killable_place, writers, likes)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_kills_in_any_order_under_more_load_lose_nothing(
    tmp_path: Path, system: System, killing: Killing, killable_place: Place, seed: int
):
    chance = random.Random(seed)
    likes = [chance.randrange(400) for _ in range(1_500)]
    file = posts_file(tmp_path, likes)
    system.start_all(SERVICES | {"second commands": ("serve", "command")})
    victims = [*SERVICES, "second commands", *killing] * 2
    chance.shuffle(victims)
    with writing(12, system.url("commands"), system.url("second commands")) as writers:
        importing = system.start("import", "import", str(file))
        killer = Killer(system, writers, killing, work=100)
        for victim in victims:
            killer.strike(victim)
        finish_import(system, importing, file)
        assert_nothing_was_lost(system, killable_place, writers, likes)

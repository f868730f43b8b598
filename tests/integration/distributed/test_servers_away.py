"""A server that is down when the processes start, and goes away later: they say so, and go on by themselves when it is
back. Nothing acknowledged is lost, and no password is shown."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import make_url

from integration.distributed.evidence import rows_of
from integration.distributed.system import Place, System
from local.kafka import Kafka
from local.mongod import ReplicaSet
from local.postgres import Postgres
from running import ticks

pytestmark = pytest.mark.timeout(300)

SERVICES = {
    "commands": ("serve", "command"),
    "queries": ("serve", "query"),
    "relay": ("relay",),
    "projector": ("project",),
}
NEED = {
    "mongod": ("event_store.mongo.url", ["commands", "relay", "projector"]),
    "kafka": ("bus.kafka.bootstrap_servers", ["relay", "projector"]),
    "postgres": ("read_db.postgres.url", ["queries", "projector"]),
}
SHORT_WAITS = {
    "POSTLOG__COMMANDS__TIMEOUT_SECONDS": "3",
    "POSTLOG__EVENT_STORE__MONGO__APPEND_TIMEOUT_SECONDS": "2",
    "POSTLOG__EVENT_STORE__MONGO__READ_TIMEOUT_SECONDS": "2",
}


def wait_until_red(system: System, setting: str, names: list[str]) -> None:
    """Readiness of each names the setting, and so does what it prints; it goes on running. The others do not mind."""
    for name in names:
        for _ in ticks(20, f"{name} does not turn red"):
            answer = system.get(name, "/health/ready")
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and setting in answer.text:
                break
        for _ in ticks(20, f"{name} does not print {setting}:\n{system[name].printed}"):
            if setting in system[name].printed:
                break
        assert system.get(name, "/health/live").status_code == httpx.codes.OK
        assert system[name].process.poll() is None
    for name in SERVICES.keys() - names:
        assert setting not in system.get(name, "/health/ready").text


def create(system: System, message: str) -> httpx.Response:
    return httpx.post(f"{system.url('commands')}/api/v1/posts", json={"author": "Ann", "message": message}, timeout=20)


def assert_problem(answer: httpx.Response, code: str) -> None:
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert int(answer.headers["retry-after"]) >= 1


def write_while_away(system: System, server: str, message: str) -> list[str]:
    """What was acknowledged: nothing where the log is away, everything otherwise."""
    answer = create(system, message)
    if server == "mongod":
        assert_problem(answer, "store-unavailable")
        return []
    assert answer.status_code == httpx.codes.CREATED, answer.text
    if server == "postgres":
        assert_problem(system.get("queries", "/api/v1/posts"), "read-db-unavailable")
    return [message]


@pytest.mark.long
@pytest.mark.parametrize("server", ["mongod", "kafka", "postgres"])
def test_a_server_that_is_down_at_start_and_goes_away_later_is_waited_for(
    tmp_path: Path,
    killable_mongod: ReplicaSet,
    killable_kafka: Kafka,
    killable_postgres: Postgres,
    killable_place: Place,
    server: str,
):
    kill: Callable[[], None]
    restart: Callable[[], None]
    kill, restart = {
        "mongod": (lambda: killable_mongod.kill(0), lambda: killable_mongod.restart(0)),
        "kafka": (killable_kafka.kill, killable_kafka.restart),
        "postgres": (killable_postgres.kill, killable_postgres.restart),
    }[server]
    setting, needing = NEED[server]
    with System(tmp_path, killable_place.settings | SHORT_WAITS) as system:
        system.init()
        kill()
        for name, words in SERVICES.items():
            system.start(name, *words)
        for name in SERVICES:
            system[name].address()
        wait_until_red(system, setting, needing)
        acknowledged = write_while_away(system, server, "while it was down at the start")
        restart()
        system.wait_until_ready(*SERVICES)

        position = create(system, "when it was there").json()["position"]
        acknowledged.append("when it was there")
        system.wait_for_lag_0("queries", position)

        kill()
        wait_until_red(system, setting, needing)
        for name in SERVICES.keys() - needing:
            assert system.get(name, "/health/ready").status_code == httpx.codes.OK
        acknowledged += write_while_away(system, server, "while it was away")
        if server == "mongod":
            assert system.get("queries", "/api/v1/posts").status_code == httpx.codes.OK
        doctor = system.run("doctor")
        assert doctor.returncode == 2
        assert setting in doctor.stdout
        restart()
        system.wait_until_ready(*SERVICES)
        last = create(system, "when it was back")
        acknowledged.append("when it was back")
        system.wait_for_lag_0("queries", last.json()["position"])

        assert {message for message, *_ in rows_of(killable_place).values()} >= set(acknowledged)
        password = str(make_url(killable_place.postgres_url).password)
        assert password not in system.printed() + doctor.stdout + doctor.stderr

"""Five processes on real servers, watched by a real Prometheus: the dashboard shows data, and each alert is walked.
What it is for is provoked, it fires, the commands of its runbook are run, and the system is healthy again."""

import math
import threading
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from integration.distributed.system import System, new_place
from integration.observability.watched import DEADLINE, Watched, watched
from local.find import Servers
from local.kafka import Kafka
from local.mongod import ReplicaSet
from local.postgres import Postgres
from observability_files import exported, queries, rules, runbook_commands, used_in
from running import ticks

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]  # building Prometheus takes minutes

SERVICES = {
    "command": ("serve", "command"),
    "query": ("serve", "query"),
    "relay": ("relay",),
    "project": ("project",),
    "audit": ("audit", "--continuous"),
}
SHORT_WAITS = {
    "POSTLOG__COMMANDS__TIMEOUT_SECONDS": "3",
    "POSTLOG__EVENT_STORE__MONGO__APPEND_TIMEOUT_SECONDS": "2",
    "POSTLOG__EVENT_STORE__MONGO__READ_TIMEOUT_SECONDS": "2",
}


class Traffic(threading.Thread):
    """Commands and queries, a few a second, whether they succeed or not."""

    def __init__(self, system: System) -> None:
        super().__init__(daemon=True)
        self._system = system
        self._stopping = threading.Event()

    def run(self) -> None:
        with httpx.Client(timeout=10) as client:
            while not self._stopping.wait(0.2):
                for method, name, body in (
                    ("POST", "command", {"author": "Ann", "message": "Hi"}),
                    ("GET", "query", None),
                ):
                    with suppress(httpx.TransportError):  # the process was killed
                        client.request(method, f"{self._system.url(name)}/api/v1/posts", json=body)

    def stop(self) -> None:
        self._stopping.set()
        self.join()


@pytest.fixture(scope="module")
def distributed(
    servers: Servers,
    _own_mongod: ReplicaSet,
    _own_kafka: Kafka,
    _own_postgres: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    with (
        new_place(_own_mongod.url, _own_kafka.bootstrap, _own_postgres.url) as place,
        System(folder, place.settings | SHORT_WAITS) as system,
    ):
        system.start_all(SERVICES)
        traffic = Traffic(system)
        traffic.start()
        try:
            with watched(servers, system, folder, {f"postlog-{name}": name for name in SERVICES}) as system_and_alerts:
                yield system_and_alerts
        finally:
            traffic.stop()


def test_every_query_of_the_dashboard_returns_data(distributed: Watched) -> None:
    rebuilt = distributed.system.run("rebuild", timeout=120)
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    empty = [("", "")]
    for _ in ticks(DEADLINE, "a panel shows nothing"):
        empty = [each for each in queries() if not shows_data(distributed, each[1])]
        if not empty:
            break
    assert distributed.query("max(postlog_rows_generation)")[0]["value"][1] == "2", "the rebuild is seen"


def shows_data(distributed: Watched, expression: str) -> bool:
    return any(not math.isnan(float(series["value"][1])) for series in distributed.query(expression))


def test_the_processes_export_what_the_files_use(distributed: Watched) -> None:
    """By the names that Prometheus has. But a counter with labels only when it has counted."""
    used = {metric.name for _, expression in queries() for metric in used_in(expression)}
    used |= {metric.name for rule in rules() for metric in used_in(rule["expr"])}
    stored = {series["metric"]["__name__"] for series in distributed.query('group by (__name__) ({__name__=~".+"})')}
    later = {name for name in exported() if name.endswith("_total") and exported()[name]}
    assert used - later - stored - {"ALERTS", "postlog_disk_free_bytes"} == set()


def test_a_process_ends(distributed: Watched) -> None:
    distributed.wait_until_quiet()
    distributed.system.kill("query")
    distributed.wait_until_firing("PostlogProcessDown", job="postlog-query")
    run_as_a_service(distributed, "PostlogProcessDown", "query")
    distributed.is_healthy()


def test_the_only_relay_ends_and_the_lag_grows(distributed: Watched) -> None:
    distributed.wait_until_quiet()
    distributed.system.kill("relay")
    distributed.wait_until_firing("PostlogRelayAbsent")
    distributed.wait_until_firing("PostlogLagGrowing", job="postlog-project")
    statuses, printed = distributed.run_the_runbook("PostlogLagGrowing")
    assert statuses == [1]
    assert "No relay is active" in printed
    run_as_a_service(distributed, "PostlogRelayAbsent", "relay")
    distributed.is_healthy()


def test_the_only_projector_ends(distributed: Watched) -> None:
    distributed.wait_until_quiet()
    distributed.system.kill("project")
    distributed.wait_until_firing("PostlogPartitionWithoutProjector")
    distributed.wait_until_firing("PostlogLagUnknown")
    statuses, printed = distributed.run_the_runbook("PostlogLagUnknown")
    assert statuses == [1], printed
    run_as_a_service(distributed, "PostlogPartitionWithoutProjector", "project")
    distributed.is_healthy()


def test_mongodb_is_away(distributed: Watched, killable_mongod: ReplicaSet) -> None:
    distributed.wait_until_quiet()
    killable_mongod.kill(0)
    distributed.wait_until_firing("PostlogStoreUnavailable", check="event_store", job="postlog-command")
    distributed.wait_until_firing("PostlogServerErrors", job="postlog-command")
    for alert in ("PostlogStoreUnavailable", "PostlogServerErrors"):
        statuses, printed = distributed.run_the_runbook(alert)
        assert statuses == [2]
        assert "event_store.mongo.url" in printed
    killable_mongod.restart(0)
    distributed.is_healthy()


def test_kafka_is_away(distributed: Watched, killable_kafka: Kafka) -> None:
    distributed.wait_until_quiet()
    killable_kafka.kill()
    distributed.wait_until_firing("PostlogStoreUnavailable", check="bus", job="postlog-relay")
    statuses, printed = distributed.run_the_runbook("PostlogStoreUnavailable")
    assert statuses == [2]
    assert "bus.kafka.bootstrap_servers" in printed
    killable_kafka.restart()
    distributed.is_healthy()


def test_postgresql_is_away(distributed: Watched, killable_postgres: Postgres) -> None:
    distributed.wait_until_quiet()
    killable_postgres.kill()
    distributed.wait_until_firing("PostlogStoreUnavailable", check="read_db", job="postlog-query")
    statuses, printed = distributed.run_the_runbook("PostlogStoreUnavailable")
    assert statuses == [2]
    assert "read_db.postgres.url" in printed
    killable_postgres.restart()
    distributed.is_healthy()


def run_as_a_service(distributed: Watched, alert: str, name: str) -> None:
    """The command of its runbook, which is that of the process."""
    [words] = runbook_commands(alert)
    assert tuple(words) == SERVICES[name]
    distributed.system.again(name)

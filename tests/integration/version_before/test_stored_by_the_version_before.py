"""This version reads and continues what the version before stored: the log, the topic and the rows in `tests/fixtures`,
in SQLite files and on MongoDB, Kafka and PostgreSQL."""

import gzip
import json
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import httpx
import pytest

from integration.distributed.system import Place, System, new_place
from integration.version_before import copies
from integration.version_before.make_fixtures import wait_for_rows, wait_until
from integration.version_before.recording import IMPORTED, SETTINGS, Recording, asked, request
from local.databases import fresh_postgres_database
from newer_code import newer_code
from running import Running, embedded, postlog

FIXTURES = Path(__file__).parents[2] / "fixtures/before_0_2"

Run = Callable[..., CompletedProcess[str]]


def assert_queries_answer_as_before(recording: Recording, address: str) -> None:
    assert recording.queries
    for query in recording.queries:
        assert asked(address, query.path) == query


def assert_spent_keys_are_honoured(recording: Recording, address: str) -> None:
    """Each request with its key again: the same answer, from the log, or from a receipt when it changed nothing."""
    for sent in recording.commands:
        again = request(address, sent.method, sent.path, sent.body, sent.key)
        assert (again.status_code, again.json()) == (sent.status, sent.answer)
    other = request(address, "POST", "", {"author": "Ann", "message": "Another"}, recording.commands[0].key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


def assert_the_import_is_known(recording: Recording, run: Run, folder: Path) -> None:
    file = folder / "posts.ndjson"
    file.write_text(json.dumps(IMPORTED) + "\n", encoding="utf-8")
    imported = run("import", str(file))
    assert imported.returncode == 0, imported.stderr


def write_more(recording: Recording, address: str) -> int:
    """Likes for every post that readers see, then a new one: versions and positions continue. The last position."""
    position = recording.position
    [posts] = [query.answer["posts"] for query in recording.queries if query.path == "/api/v1/posts"]
    for post in posts:
        liked = request(address, "POST", f"/{post['postId']}/likes", {"username": "Newcomer"}, f"more-{position}")
        if post["postId"] == recording.parked:
            assert (liked.status_code, liked.json()["code"]) == (503, "event-not-readable")
            continue
        position += 1
        assert (liked.json()["version"], liked.json()["position"]) == (post["version"] + 1, position)
    created = request(address, "POST", "", {"author": "Newcomer", "message": "More"}, "more")
    assert (created.json()["version"], created.json()["position"]) == (1, position + 1)
    return position + 1


def assert_jobs_agree(recording: Recording, run: Run) -> None:
    """The audit finds no difference, the only unreadable event is that of the parked post, and a rebuild has no other
    rows."""
    audit = run("audit", "--json")
    assert (audit.returncode, json.loads(audit.stdout.splitlines()[-1])["parked"]) == (0, [recording.parked]), (
        audit.stdout
    )
    checked = run("events", "check", "--json")
    lines = [json.loads(line) for line in checked.stdout.splitlines()]
    assert (checked.returncode, lines[-1]["unreadable"], lines[-1]["damaged"]) == (1, 1, 0)
    assert [each["postId"] for each in lines if "reason" in each] == [recording.parked]
    [parked] = [json.loads(line) for line in run("parked", "list", "--json").stdout.splitlines()]
    assert (parked["postId"], parked["position"]) == (recording.parked, recording.rows_position)
    same = run("rebuild", "--dry-run")
    assert same.returncode == 0, same.stdout + same.stderr
    rebuilt = run("rebuild", "--json")
    assert (rebuilt.returncode, json.loads(rebuilt.stdout.splitlines()[0])["state"]) == (1, "live"), rebuilt.stderr
    assert run("audit").returncode == 0


class TestInFilesOfSqlite:
    recording = Recording.load(FIXTURES / "embedded/recording.ndjson")

    @pytest.fixture
    def data(self, tmp_path: Path) -> Path:
        """The receipts become those of today, since they expire."""
        data = tmp_path / "data"
        data.mkdir()
        for name in ("log.sqlite", "read.sqlite"):
            (data / name).write_bytes(gzip.decompress((FIXTURES / f"embedded/{name}.gz").read_bytes()))
        with sqlite3.connect(data / "log.sqlite") as log:
            log.execute("UPDATE receipts SET kept_at = unixepoch()")
        log.close()
        return data

    @pytest.fixture
    def run(self, data: Path) -> Run:
        return lambda *words: postlog(*words, env=SETTINGS | {"POSTLOG_DATA": str(data)}, timeout=180)

    @contextmanager
    def service(self, data: Path) -> Iterator[str]:
        """`postlog run` with up-to-date rows."""
        with embedded(data, **SETTINGS) as (running, address):
            wait_for_rows(address, self.recording.position)
            yield address
            assert running.signal(signal.SIGINT, deadline=30) == 0

    def test_rows_are_read_as_they_are_then_continued_and_every_query_answers_as_before(
        self, data: Path, tmp_path: Path
    ):
        env = SETTINGS | {"POSTLOG_DATA": str(data), "PORT": "0"}
        with Running(tmp_path, "serve", "query", env=env) as running:
            status = httpx.get(f"{running.address()}/api/v1/read-db", timeout=20).json()
            assert (status["position"], status["parked"]) == (self.recording.rows_position, 1)
        with self.service(data) as address:
            assert_queries_answer_as_before(self.recording, address)
            status = httpx.get(f"{address}/api/v1/read-db", timeout=20).json()
            assert (status["generation"], status["parked"], status["lag"]) == (1, 1, 0)

    def test_keys_are_honoured_and_commands_continue(self, data: Path, run: Run, tmp_path: Path):
        with self.service(data) as address:
            assert_spent_keys_are_honoured(self.recording, address)
            assert_the_import_is_known(self.recording, run, tmp_path)
            assert httpx.get(f"{address}/api/v1/read-db", timeout=20).json()["position"] == self.recording.position
            wait_for_rows(address, write_more(self.recording, address))
        assert_jobs_agree(self.recording, run)

    @pytest.mark.long
    def test_jobs_find_the_same_in_the_rows_and_in_a_rebuild(self, data: Path, run: Run):
        with self.service(data):
            pass
        assert_jobs_agree(self.recording, run)
        with self.service(data) as address:
            assert_queries_answer_as_before(self.recording, address)

    def test_a_newer_version_frees_the_post_that_was_parked(self, data: Path, tmp_path: Path):
        with embedded(data, **SETTINGS, **newer_code(tmp_path)) as (_, address):
            wait_until(lambda: httpx.get(f"{address}/api/v1/read-db", timeout=20).json()["parked"] == 0)
            found = httpx.get(f"{address}/api/v1/posts/{self.recording.parked}", timeout=20).json()
            assert (found["version"], found["likes"]) == (2, 1)


class TestOnServers:
    recording = Recording.load(FIXTURES / "distributed/recording.ndjson")

    @pytest.fixture
    def place(self, mongo_url: str, kafka_bootstrap: str, postgres_url: str) -> Iterator[Place]:
        with new_place(mongo_url, kafka_bootstrap, postgres_url) as place:
            copies.load_log(FIXTURES / "distributed/log.ndjson", place.mongo_url, place.mongo_database)
            yield place

    @pytest.fixture
    def system(self, place: Place, tmp_path: Path) -> Iterator[System]:
        """Everything is loaded; `postlog init` has made the topic, and found log and tables."""
        with System(tmp_path, place.settings | SETTINGS) as system:
            system.init(POSTLOG__READ_DB__ADAPTER="sqlite", POSTLOG_DATA=str(tmp_path))
            copies.load_topic(FIXTURES / "distributed/topic.ndjson", place.kafka_bootstrap, place.topic)
            topic_id = copies.topic_id(place.kafka_bootstrap, place.topic)
            copies.load_rows(FIXTURES / "distributed/rows.sql", place.psycopg_url, topic_id)
            system.init()
            yield system

    @pytest.mark.long
    def test_processes_continue_log_topic_and_rows(self, system: System, tmp_path: Path):
        recording = self.recording
        system.start("queries", "serve", "query")
        system["queries"].address()
        status = system.get("queries", "/api/v1/read-db").json()
        assert (status["position"], status["parked"]) == (recording.rows_position, 1)

        system.start("projector", "project")
        wait_for_rows(system.url("queries"), recording.position)
        assert_queries_answer_as_before(recording, system.url("queries"))

        system.start("commands", "serve", "command")
        system["commands"].address()
        assert_spent_keys_are_honoured(recording, system.url("commands"))
        assert_the_import_is_known(recording, system.run, tmp_path)
        system.start("relay", "relay")
        system.wait_until_ready("relay")
        position = write_more(recording, system.url("commands"))
        system.wait_for_lag_0("queries", position)
        status = system.get("queries", "/api/v1/read-db").json()
        assert (status["generation"], status["parked"]) == (1, 1)
        assert metrics_of(system, "projector", "projector_bus_resets", "projector_commits_from_log") == {}
        assert_jobs_agree(recording, system.run)

    def test_an_empty_read_database_gets_the_rows_from_the_topic(self, system: System, postgres_url: str):
        """Its rows are those of the version before, once they are up to date."""
        recording = self.recording
        with fresh_postgres_database(postgres_url) as url:
            elsewhere = {"POSTLOG__READ_DB__POSTGRES__URL": url}
            system.init(**elsewhere)
            system.start("queries", "serve", "query", **elsewhere)
            system.start("projector", "project", **elsewhere)
            system["queries"].address()
            wait_for_rows(system.url("queries"), recording.position)
            assert_queries_answer_as_before(recording, system.url("queries"))
            assert system.run("audit", **elsewhere).returncode == 0


def metrics_of(system: System, name: str, *metrics: str) -> Mapping[str, float]:
    """Those that are not 0."""
    names = tuple(f"postlog_{metric}" for metric in metrics)
    lines = [line.split() for line in system.get(name, "/metrics").text.splitlines() if line.startswith(names)]
    return {line[0]: float(line[1]) for line in lines if float(line[1])}

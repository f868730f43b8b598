"""A distributed system under test: its place on real servers, its processes, each killed and started again alone."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx
from confluent_kafka.admin import AdminClient

from local.databases import fresh_mongo_database, fresh_postgres_database
from local.ports import free_port
from running import Running, postlog, ticks

PARTITIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A log, a topic and a read database that nobody else uses, empty at first."""

    mongo_url: str
    mongo_database: str
    kafka_bootstrap: str
    topic: str
    postgres_url: str

    @property
    def psycopg_url(self) -> str:
        """Of the read database, for who looks past Postlog."""
        return self.postgres_url.replace("+psycopg", "", 1)

    @property
    def settings(self) -> dict[str, str]:
        """As environment variables. Lease and watermarks are short, so that nobody waits long for a relay's death."""
        return {
            "POSTLOG__EVENT_STORE__ADAPTER": "mongo",
            "POSTLOG__EVENT_STORE__MONGO__URL": self.mongo_url,
            "POSTLOG__EVENT_STORE__MONGO__DATABASE": self.mongo_database,
            "POSTLOG__BUS__ADAPTER": "kafka",
            "POSTLOG__BUS__KAFKA__BOOTSTRAP_SERVERS": self.kafka_bootstrap,
            "POSTLOG__BUS__KAFKA__TOPIC": self.topic,
            "POSTLOG__BUS__KAFKA__GROUP_ID": self.topic,
            "POSTLOG__BUS__KAFKA__PARTITIONS": str(PARTITIONS),
            "POSTLOG__READ_DB__ADAPTER": "postgres",
            "POSTLOG__READ_DB__POSTGRES__URL": self.postgres_url,
            "POSTLOG__RELAY__LEASE_SECONDS": "2",
            "POSTLOG__RELAY__WATERMARK_SECONDS": "1",
        }


@contextmanager
def new_place(mongo_url: str, kafka_bootstrap: str, postgres_url: str) -> Iterator[Place]:
    with fresh_mongo_database(mongo_url) as mongo, fresh_postgres_database(postgres_url) as postgres:
        topic = f"distributed-{uuid4().hex[:12]}"
        try:
            yield Place(
                mongo_url=mongo.url,
                mongo_database=mongo.name,
                kafka_bootstrap=kafka_bootstrap,
                topic=topic,
                postgres_url=postgres,
            )
        finally:
            delete_topic(kafka_bootstrap, topic)


def delete_topic(bootstrap: str, topic: str) -> None:
    """If it is there."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    if topic in admin.list_topics(timeout=10).topics:
        admin.delete_topics([topic])[topic].result(20)


@dataclass(slots=True)
class _Process:
    words: tuple[str, ...]
    env: dict[str, str]
    running: Running


class System:
    """Processes by name; each keeps its port when it is started again. All are killed when the block ends."""

    def __init__(self, folder: Path, settings: Mapping[str, str], program: Path | None = None) -> None:
        self.settings = dict(settings)
        self._program = program
        self._folder = folder
        self._processes: dict[str, _Process] = {}
        self._outputs: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            if process.running.process.poll() is None:
                process.running.kill()
        if error is not None:
            error.add_note(self.printed(lines=15))

    def init(self, **env: str) -> None:
        made = self.run("init", **env)
        assert made.returncode == 0, made.stdout + made.stderr

    def start_all(self, services: Mapping[str, tuple[str, ...]]) -> None:
        """Make what they need, start each under its name, and wait until all are ready."""
        self.init()
        for name, words in services.items():
            self.start(name, *words)
        self.wait_until_ready(*services)

    def run(self, *words: str, timeout: float = 60, **env: str) -> Any:
        """A job, to its end: `returncode`, `stdout`, `stderr`."""
        return postlog(*words, env=self.settings | env, timeout=timeout, program=self._program)

    def start(self, name: str, *words: str, **env: str) -> Running:
        """Does not wait until it answers."""
        port = str(free_port())
        own = {"POSTLOG__HTTP__PORT": port, "POSTLOG__WORKER__PORT": port} | env
        running = self._spawn(words, own)
        self._processes[name] = _Process(words, own, running)
        return running

    def again(self, name: str, **env: str) -> Running:
        """At the same port."""
        process = self._processes[name]
        process.env |= env
        process.running = self._spawn(process.words, process.env)
        return process.running

    def kill(self, name: str) -> None:
        self._processes[name].running.kill()

    def __getitem__(self, name: str) -> Running:
        return self._processes[name].running

    def url(self, name: str) -> str:
        """Where it listens, whether it does already or not."""
        return f"http://127.0.0.1:{self._processes[name].env['POSTLOG__HTTP__PORT']}"

    def port(self, name: str) -> int:
        return int(self._processes[name].env["POSTLOG__HTTP__PORT"])

    def get(self, name: str, path: str, **headers: str) -> httpx.Response:
        return httpx.get(f"{self.url(name)}{path}", headers=headers, timeout=20)

    def wait_until_ready(self, *names: str, deadline: float = 40) -> None:
        for name in names:
            self[name].address(deadline)
            for _ in ticks(deadline, f"{name} is not ready"):
                if self.get(name, "/health/ready").status_code == httpx.codes.OK:
                    break

    def wait_for_lag_0(self, name: str, position: int, deadline: float = 60) -> None:
        """Until the rows, as this query side sees them, are at `position` and that is the log's end."""
        last = None
        for _ in ticks(deadline, f"the rows are not at the end of the log, position {position}"):
            last = self.get(name, "/api/v1/read-db")
            status = last.json()
            if last.is_success and (status["position"], status["lag"]) == (position, 0):
                return

    def printed(self, lines: int | None = None) -> str:
        """What every process printed, or the last lines of each."""
        parts = []
        for output in self._outputs:
            text = output.read_text(encoding="utf-8", errors="replace")
            parts.append(text if lines is None else "\n".join([f"== {output.name}", *text.splitlines()[-lines:]]))
        return "\n".join(parts)

    def _spawn(self, words: tuple[str, ...], env: dict[str, str]) -> Running:
        running = Running(self._folder, *words, env=self.settings | env, program=self._program)
        self._outputs.append(running.output)
        return running

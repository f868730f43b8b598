"""A Kafka broker (KRaft, one node) on 127.0.0.1."""

import base64
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from local.ports import free_port
from local.processes import ServerFailedError, ServerProcess, guarded

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    # The default of a broker. Still, only `postlog init` may create the topic.
    "auto.create.topics.enable": "true",
    "delete.topic.enable": "true",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "3",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # A killed broker may register again only after this time: a restart takes 4 s, and 12 s with the default.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    # So that messages expire within a test; the defaults are 5 min, and 30 s before the first check.
    "log.retention.check.interval.ms": "500",
    "log.initial.task.delay.ms": "500",
    "log.segment.delete.delay.ms": "500",
}

_LOGGING = """\
<Configuration status="WARN">
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %c: %m%n"/></Console></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


@dataclass(frozen=True, slots=True)
class Listener:
    """Another listener of the broker, on its own port. `protocol` is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL;
    Clients are told `advertised_port`, if it differs. `settings` are the broker's for this listener."""

    name: str
    protocol: str
    port: int = field(default_factory=free_port)
    advertised_port: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"


class Kafka:
    """One broker; it keeps its port and data through kill and restart. Its default listener accepts every client;
    `listeners` are additional ones, and `settings` of the broker come last. `properties` are those of its Java."""

    def __init__(
        self,
        jars: Path,
        folder: Path,
        listeners: Sequence[Listener] = (),
        settings: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        self._listeners = listeners
        self._more_settings = settings or {}
        self._port = free_port()
        self._folder = folder / f"kafka-{self._port}"
        self._settings = self._folder / "server.properties"
        self._java = ["java", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={self._folder / 'log4j2.xml'}"]
        self._java += [f"-D{name}={value}" for name, value in (properties or {}).items()]
        self._java += ["-cp", f"{jars}/*"]
        heap = ["-Xmx384m", "-Xms128m"]
        command = [*self._java[:1], *heap, *self._java[1:], "kafka.Kafka", str(self._settings)]
        self._process = ServerProcess("Kafka", command, log=self._folder / "kafka.log")

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        self._folder.mkdir(parents=True)
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in self._all_settings().items()))
        (self._folder / "log4j2.xml").write_text(_LOGGING)
        cluster = base64.urlsafe_b64encode(uuid.UUID(int=uuid.uuid4().int >> 8).bytes).decode().rstrip("=")
        self._run_tool("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._settings))
        self.restart()

    def stop(self) -> None:
        self._process.kill()

    def kill(self) -> None:
        """kill -9; returns when the process is gone."""
        self._process.kill()

    def restart(self) -> None:
        """Start the broker if it is down, on its old data, and wait until it responds."""
        self._process.start()
        self._process.wait_until(lambda: answers(self.bootstrap), seconds=60)

    def freeze(self) -> None:
        self._process.freeze()

    def thaw(self) -> None:
        self._process.thaw()

    def heal(self) -> None:
        self.thaw()
        self.restart()

    def _all_settings(self) -> dict[str, str]:
        broker, controller = f"PLAINTEXT://{self.bootstrap}", f"127.0.0.1:{free_port()}"
        more = self._listeners
        advertised = [f"{each.name}://127.0.0.1:{each.advertised_port or each.port}" for each in more]
        protocols = [f"{each.name}:{each.protocol}" for each in more]
        return {
            **SETTINGS,
            "listeners": ",".join([broker, f"CONTROLLER://{controller}", *(f"{e.name}://{e.bootstrap}" for e in more)]),
            "advertised.listeners": ",".join([broker, *advertised]),
            "listener.security.protocol.map": ",".join([SETTINGS["listener.security.protocol.map"], *protocols]),
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self._folder / "data"),
            **{f"listener.name.{e.name.lower()}.{name}": value for e in more for name, value in e.settings.items()},
            **self._more_settings,
        }

    def _run_tool(self, main: str, *arguments: str) -> None:
        quick = [*guarded(), self._java[0], "-XX:TieredStopAtLevel=1", *self._java[1:]]
        done = subprocess.run([*quick, main, *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ServerFailedError(f"{main} exited with status {done.returncode}:\n{done.stdout}{done.stderr}")


def answers(bootstrap: str) -> bool:
    """Whether a broker at this address answers a metadata request within a second."""
    quiet: dict[str, Any] = {"bootstrap.servers": bootstrap, "log_level": 0, "error_cb": lambda _: None}
    try:
        return bool(AdminClient(quiet).list_topics(timeout=1).brokers)
    except KafkaException:
        return False

"""How brokers are reached, and what is said when they are not.

What librdkafka says of itself, brought to the log and the metrics without its repetitions.

A thread of its own for a client that blocks.

It is a daemon, unlike the threads of `concurrent.futures`: closing a consumer while its broker hangs never returns, and
must not keep the process from ending.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Literal, TypeVar

from confluent_kafka import KafkaError, KafkaException

from adapters.kafka.errors import ConnectionTrouble, plain, remedy_for_connection
from application.errors import BusUnavailable, CannotOpen
from application.ports.system import Metrics

Security = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

_UNKNOWN_TOPIC = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNKNOWN_TOPIC_ID,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - the client's own codes begin with an underscore
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
)
_NOT_ALLOWED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "Allow the login bus.kafka.username Describe on the topic {topic}, and "
    "Write for a relay, Read for a projector, Create for `postlog init`",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "Allow the login bus.kafka.username Read on the groups whose names begin "
    "with bus.kafka.group_id",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "Allow the login bus.kafka.username on the cluster what it lacks "
    "(IdempotentWrite for a relay before Kafka 3.0), or Write on the topic {topic}",
}
_TOO_LATE = (
    KafkaError._TIMED_OUT,  # noqa: SLF001
    KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001
    KafkaError._MSG_TIMED_OUT,  # noqa: SLF001
    KafkaError.REQUEST_TIMED_OUT,
)
_TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConnection:
    """`bootstrap_servers` are `host:port` of brokers, separated by commas. `ca_file` None: the system's authorities."""

    bootstrap_servers: str
    security: Security = "plaintext"
    sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None

    def settings(self) -> dict[str, Any]:
        """For any client of librdkafka."""
        settings: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": "postlog",
            "security.protocol": self.security,
            "reconnect.backoff.max.ms": 1_000,
            "socket.timeout.ms": 15_000,
            "socket.connection.setup.timeout.ms": 5_000,
            "log.connection.close": False,
            # A broker with default settings makes each topic that a client names, with one partition.
            "allow.auto.create.topics": False,
        }
        if self.security.startswith("sasl"):
            settings |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.username or "",
                "sasl.password": self.password or "",
            }
        if self.ca_file is not None:
            settings["ssl.ca.location"] = self.ca_file
        return settings

    def unavailable(
        self, error: KafkaError | KafkaException, topic: str, trouble: ConnectionTrouble | None = None
    ) -> BusUnavailable:
        """The error as a sentence that says what to do. `trouble` is what the client has said beside it. Whatever the
        brokers answer is a reason to try again, never to end."""
        reason: KafkaError = error.args[0] if isinstance(error, KafkaException) else error
        if reason.code() in _UNKNOWN_TOPIC:
            return self.no_topic(topic)
        if reason.code() in _TOO_LARGE:
            return BusUnavailable(
                f"Kafka at {self.bootstrap_servers} refuses a message as too large. Run `postlog init`, which sets the "
                f"topic {topic} up for messages of any size that the log takes.",
                path="bus.kafka.topic",
            )
        if reason.code() in _NOT_ALLOWED:
            what = _NOT_ALLOWED[reason.code()].format(topic=topic)
            return self._said(f"refuses what this login asks for ({plain(reason)}). {what}", "bus.kafka.username")
        if trouble is not None and (behind := trouble.explains(reason)) is not None:
            remedy, setting = remedy_for_connection(behind)
            return self._said(f"does not answer: {behind}. {remedy}", setting)
        if reason.code() in _TOO_LATE:
            slow = f"did not answer in time ({plain(reason)}); it hangs, or it or its network is overloaded"
            return self._said(slow, "bus.kafka.bootstrap_servers")
        return self._said(f"reported an error: {plain(reason)}", "bus.kafka.bootstrap_servers")

    def _said(self, what: str, path: str) -> BusUnavailable:
        text = what if what.endswith("?") else f"{what}."
        if self.password:
            text = text.replace(self.password, "***")
        return BusUnavailable(f"Kafka at {self.bootstrap_servers} (bus.kafka.bootstrap_servers) {text}", path=path)

    def no_topic(self, topic: str) -> BusUnavailable:
        return BusUnavailable(
            f"Kafka at {self.bootstrap_servers} has no topic {topic}. Run `postlog init`, which makes it.",
            path="bus.kafka.topic",
        )

    def refused(self, error: KafkaException) -> CannotOpen:
        """The client can't even begin: a file is missing, say."""
        return CannotOpen(f"Kafka's client can't work with the settings: {error.args[0].str()}.", path="bus.kafka")


logger = logging.getLogger(__name__)

_NOISE = ("FAIL", "REQTMOUT", "GETPID")
"""Every attempt to connect, every request in vain: `error` tells of the outage, once."""

_SECONDS_BETWEEN_REPEATS = 60.0


class ClientLog:
    """Of one client. librdkafka calls it in the threads that poll."""

    def __init__(self, client: str, bootstrap_servers: str, metrics: Metrics) -> None:
        self._client = client
        self._bootstrap_servers = bootstrap_servers
        self._metrics = metrics
        self._said_at: dict[str, float] = {}
        self.trouble = ConnectionTrouble()

    def log(self, level: int, template: str, *values: object) -> None:
        """As a `logging.Logger`: the client's own lines, whose first value names their kind."""
        logger.log(logging.DEBUG if values[:1] and values[0] in _NOISE else level, template, *values)

    def error(self, error: KafkaError) -> None:
        """The client goes on trying by itself."""
        self.trouble.note(error)
        name = error.name()
        self._metrics.count("kafka_errors", client=self._client, code=name)
        now = time.monotonic()
        if now - self._said_at.get(name, -_SECONDS_BETWEEN_REPEATS) >= _SECONDS_BETWEEN_REPEATS:
            self._said_at[name] = now
            logger.warning(
                "Kafka's %s has trouble with bus.kafka.bootstrap_servers %s: %s",
                self._client,
                self._bootstrap_servers,
                error.str(),
            )


T = TypeVar("T")


class ClientThread:
    """Runs calls one after the other."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def start(self) -> None:
        threading.Thread(target=self._work, name=self._name, daemon=True).start()

    async def run(self, call: Callable[[], T]) -> T:
        """What the call answers or raises. If the caller is cancelled, the call is made all the same."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                result = call()
            except BaseException as error:
                call_in_loop(loop, _settle_with_error, answer, error)
            else:
                call_in_loop(loop, _settle, answer, result)

        self._calls.put(work)
        return await answer

    async def stop(self, last: Callable[[], object], seconds: float) -> None:
        """Make a last call. If it takes longer than `seconds`, leave it to itself."""
        try:
            async with asyncio.timeout(seconds):
                await self.run(last)
        except TimeoutError:
            pass
        finally:
            self.end()

    def end(self) -> None:
        """After the calls that wait."""
        self._calls.put(None)

    def _work(self) -> None:
        while (work := self._calls.get()) is not None:
            work()


async def on_thread(call: Callable[[], T]) -> T:
    """A single call."""
    thread = ClientThread("kafka-admin")
    thread.start()
    try:
        return await thread.run(call)
    finally:
        thread.end()


def call_in_loop(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> None:
    """Call it in the loop, from another thread; if the loop has been closed meanwhile, nobody waits any more."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(call, *arguments)


def _settle(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _settle_with_error(answer: asyncio.Future[T], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)

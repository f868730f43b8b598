"""How brokers are reached, what an error of the client means in one sentence, and what the client logs."""

import asyncio
import json
import logging
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from confluent_kafka import KafkaError, KafkaException

from adapters.kafka.errors import ConnectionTrouble, plain, remedy_for_connection
from adapters.threads import DaemonThreadPool
from application.errors import BusUnavailable, CannotOpen
from application.ports.system import Metrics

logger = logging.getLogger(__name__)

Security = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]

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
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "Allow the login bus.kafka.username what it lacks on the cluster "
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
class KafkaTokens:
    """For OAUTHBEARER: from `url` with client credentials, or from `file`, which something else keeps up to date."""

    url: str | None = None
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    scope: str | None = None
    ca_file: str | None = None
    file: str | None = None

    def settings(self) -> dict[str, Any]:
        """Raises `BusUnavailable` if there is no valid token in the file: the client would wait for one."""
        if self.file is not None:
            file = Path(self.file)
            try:
                token_in(file)
            except (OSError, ValueError) as error:
                path = "bus.kafka.oauth.token_file"
                raise BusUnavailable(f"There is no token for Kafka in {file} ({path}): {error}.", path=path) from error
            return {"oauth_cb": lambda _: token_in(file)}
        given = {
            "sasl.oauthbearer.token.endpoint.url": self.url,
            "sasl.oauthbearer.client.id": self.client_id,
            "sasl.oauthbearer.client.secret": self.client_secret,
            "sasl.oauthbearer.scope": self.scope,
            "https.ca.location": self.ca_file,
        }
        return {"sasl.oauthbearer.method": "oidc"} | {name: value for name, value in given.items() if value is not None}


def token_in(file: Path) -> tuple[str, float]:
    """A JWT, and when it expires, in seconds since 1970. Raises `OSError`, and `ValueError` for something else or an
    expired token; the client reports them and retries."""
    token = file.read_text(encoding="utf-8").strip()
    try:
        payload = token.split(".")[1]
        expires = float(json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])
    except (ValueError, LookupError, TypeError):
        raise ValueError("it is not a JWT with a time of expiry") from None
    if expires <= time.time():
        raise ValueError("it has expired")
    return token, expires


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConnection:
    """`bootstrap_servers` are `host:port` of brokers, separated by commas. `ca_file` None: the system's authorities.
    `certificate_file` and `key_file` are this client's."""

    bootstrap_servers: str
    security: Security = "plaintext"
    sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tokens: KafkaTokens = field(default_factory=KafkaTokens)
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    key_password: str | None = field(default=None, repr=False)

    def settings(self) -> dict[str, Any]:
        """For any client of librdkafka. Raises `BusUnavailable`."""
        settings: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": "postlog",
            "security.protocol": self.security,
            "reconnect.backoff.max.ms": 1_000,
            "socket.timeout.ms": 15_000,
            "socket.connection.setup.timeout.ms": 5_000,
            "log.connection.close": False,
            # A broker with default settings creates each topic that a client names, with one partition.
            "allow.auto.create.topics": False,
        }
        if self.security.startswith("sasl"):
            settings |= {"sasl.mechanism": self.sasl_mechanism} | self._login()
        files = {
            "ssl.ca.location": self.ca_file,
            "ssl.certificate.location": self.certificate_file,
            "ssl.key.location": self.key_file,
            "ssl.key.password": self.key_password,
        }
        return settings | {name: value for name, value in files.items() if value is not None}

    def _login(self) -> dict[str, Any]:
        if self.sasl_mechanism == "OAUTHBEARER":
            return self.tokens.settings()
        return {"sasl.username": self.username or "", "sasl.password": self.password or ""}

    def unavailable(
        self, error: KafkaError | KafkaException, topic: str, trouble: ConnectionTrouble | None = None
    ) -> BusUnavailable:
        """The error as a sentence that says what to do. `trouble` is what the client reported of its connections. Every
        error of a broker is a reason to retry, none ends the process."""
        reason: KafkaError = error.args[0] if isinstance(error, KafkaException) else error
        if reason.code() in _UNKNOWN_TOPIC:
            return self.no_topic(topic)
        if reason.code() in _TOO_LARGE:
            return BusUnavailable(
                f"Kafka at {self.bootstrap_servers} rejects a message as too large. Run `postlog init`, which "
                f"configures the topic {topic} for messages of any size that the log takes.",
                path="bus.kafka.topic",
            )
        if reason.code() in _NOT_ALLOWED:
            what = _NOT_ALLOWED[reason.code()].format(topic=topic)
            return self._sentence(f"does not authorize this login ({plain(reason)}). {what}", "bus.kafka.username")
        if trouble is not None and (behind := trouble.explains(reason)) is not None:
            remedy, setting = remedy_for_connection(behind)
            return self._sentence(f"does not answer: {behind}. {remedy}", setting)
        if reason.code() in _TOO_LATE:
            slow = f"did not answer in time ({plain(reason)}); it hangs, or it or its network is overloaded"
            return self._sentence(slow, "bus.kafka.bootstrap_servers")
        return self._sentence(f"reported an error: {plain(reason)}", "bus.kafka.bootstrap_servers")

    def _sentence(self, what: str, path: str) -> BusUnavailable:
        text = what if what.endswith("?") else f"{what}."
        for secret in (self.password, self.key_password, self.tokens.client_secret):
            if secret:
                text = text.replace(secret, "***")
        return BusUnavailable(f"Kafka at {self.bootstrap_servers} (bus.kafka.bootstrap_servers) {text}", path=path)

    def no_topic(self, topic: str) -> BusUnavailable:
        return BusUnavailable(
            f"Kafka at {self.bootstrap_servers} has no topic {topic}. Run `postlog init`, which creates it.",
            path="bus.kafka.topic",
        )

    def refused(self, error: KafkaException) -> CannotOpen:
        """The client rejects its settings: a file is missing, say."""
        return CannotOpen(f"Kafka's client can't work with the settings: {error.args[0].str()}.", path="bus.kafka")


_NOISE = ("FAIL", "REQTMOUT", "GETPID")
"""Every failed attempt to connect, every failed request: `error` reports the outage, once."""

_SECONDS_BETWEEN_REPEATS = 60.0


class ClientLog:
    """Of one client: its errors go to log and metrics without repetitions. Called in the threads that poll."""

    def __init__(self, client: str, bootstrap_servers: str, metrics: Metrics) -> None:
        self._client = client
        self._bootstrap_servers = bootstrap_servers
        self._metrics = metrics
        self._logged_at: dict[str, float] = {}
        self.trouble = ConnectionTrouble()

    def log(self, level: int, template: str, *values: object) -> None:
        """As a `logging.Logger`: the client's own lines, whose first value names their kind."""
        logger.log(logging.DEBUG if values[:1] and values[0] in _NOISE else level, template, *values)

    def error(self, error: KafkaError) -> None:
        """The client retries by itself."""
        self.trouble.record(error)
        name = error.name()
        self._metrics.count("kafka_errors", client=self._client, code=name)
        now = time.monotonic()
        if now - self._logged_at.get(name, -_SECONDS_BETWEEN_REPEATS) >= _SECONDS_BETWEEN_REPEATS:
            self._logged_at[name] = now
            logger.warning(
                "Kafka's %s can't work with bus.kafka.bootstrap_servers %s, retrying: %s",
                self._client,
                self._bootstrap_servers,
                error.str(),
            )


async def make_last_call(thread: DaemonThreadPool, call: Callable[[], object], seconds: float) -> None:
    """And close the pool. A call that takes longer than `seconds` is left to itself: closing a consumer while its
    broker hangs never returns."""
    done = thread.submit(call)
    await asyncio.wait([done], timeout=seconds)
    await thread.close(0)
    if done.done():
        done.result()

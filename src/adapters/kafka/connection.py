"""How brokers are reached, and what is said when they are not."""

from dataclasses import dataclass, field
from typing import Any, Literal

from confluent_kafka import KafkaError, KafkaException

from adapters.kafka.trouble import Trouble, plain, remedy_for_connection
from application.errors import BusUnavailable, CannotOpen

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
        self, error: KafkaError | KafkaException, topic: str, trouble: Trouble | None = None
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

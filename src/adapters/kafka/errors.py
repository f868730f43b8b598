"""What librdkafka reports of its connections. Its answers to a request leave that out ("Local: Timed out"), and it is
the reason that people need.
"""

import re
import time

from confluent_kafka import KafkaError

_FRESH_SECONDS = 60.0
_CLOSED = "the connection is closed as soon as it is open"
"""If brokers expect another kind of connection, the client reports only that all are down."""

_WITHOUT_REASON = (
    KafkaError._TRANSPORT,  # noqa: SLF001 - the client's own codes begin with an underscore
    KafkaError._TIMED_OUT,  # noqa: SLF001
    KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001
    KafkaError._MSG_TIMED_OUT,  # noqa: SLF001
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError._WAIT_COORD,  # noqa: SLF001
    KafkaError._NOENT,  # noqa: SLF001
    KafkaError._PURGE_QUEUE,  # noqa: SLF001
    KafkaError._PURGE_INFLIGHT,  # noqa: SLF001
)


class ConnectionTrouble:
    """Of one client: the last reason why a connection failed. Recorded in the threads that poll."""

    def __init__(self) -> None:
        self._last: tuple[float, str] | None = None

    def record(self, error: KafkaError) -> None:
        """To be called with each error of the client."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            self._last = time.monotonic(), plain(error)
        elif self.reason is None:
            self._last = time.monotonic(), _CLOSED

    @property
    def reason(self) -> str | None:
        """None when nothing was reported lately."""
        if self._last is None or time.monotonic() - self._last[0] > _FRESH_SECONDS:
            return None
        return self._last[1]

    def explains(self, error: KafkaError) -> str | None:
        """The reason behind an error that has none of its own."""
        return self.reason if error.code() in _WITHOUT_REASON else None


def is_fatal(error: KafkaError) -> bool:
    """Whether the client that reports it can't be used any more."""
    return bool(error.fatal()) or error.code() == KafkaError._FATAL  # noqa: SLF001


def plain(error: KafkaError) -> str:
    """In one line, without the client's own bookkeeping."""
    text = re.sub(r" \(after \d+ms in state [^)]*\)", "", (error.str() or error.name()).partition("\n")[0])
    return text.strip().rstrip(".: ") or error.name()


def remedy_for_connection(reason: str) -> tuple[str, str]:
    """What to do, and the setting to look at."""
    for words, remedy, setting in _REMEDIES:
        if re.search(words, reason, re.IGNORECASE):
            return remedy, setting
    if "bootstrap" in reason:
        return "Is it running? If so, check the address", "bus.kafka.bootstrap_servers"
    return _ADVERTISED, "bus.kafka.bootstrap_servers"


_ADVERTISED = (
    "The brokers refer clients to this address (advertised.listeners): make it reachable from here, or correct it in "
    "the brokers' settings"
)
_SECURITY = "Does bus.kafka.security match what this port of the brokers expects: TLS, a login, both, or neither?"

_REMEDIES = (
    (
        r"supported mechanisms: \S",
        "Set bus.kafka.sasl_mechanism to one that the brokers support",
        "bus.kafka.sasl_mechanism",
    ),
    ("current SASL state|mechanism handshake", _SECURITY, "bus.kafka.security"),
    (
        "oauthbearer|token",
        "Check bus.kafka.oauth: the brokers or the issuer refuse its token or its client",
        "bus.kafka.oauth",
    ),
    (
        "certificate required|bad certificate|certificate_required",
        "Name a certificate of an authority that the brokers know in bus.kafka.certificate_file",
        "bus.kafka.certificate_file",
    ),
    ("authentication", "Check bus.kafka.username and bus.kafka.password", "bus.kafka.username"),
    (
        "certificate verify failed|unable to get local issuer",
        "Name the authority that signed the brokers' certificates in bus.kafka.ca_file",
        "bus.kafka.ca_file",
    ),
    ("hostname mismatch|ip address mismatch", "Use a host name that the brokers' certificates are for", "bus.kafka"),
    (
        r"ssl|tls|ApiVersion|receive response|invalid response size|security\.protocol|Disconnected|closed",
        _SECURITY,
        "bus.kafka.security",
    ),
)
"""By what the client reports of a connection that failed."""

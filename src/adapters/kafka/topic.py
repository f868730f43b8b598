"""One topic: what the admin client is asked about it, `postlog init`, and the probe of a process.

The functions block for a bounded time and raise `KafkaException`.
"""

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewPartitions, NewTopic

from adapters.kafka.client import KafkaConnection
from adapters.kafka.errors import ConnectionTrouble
from adapters.threads import DaemonThreadPool
from application.errors import BusUnavailable, SchemaOutdated, TopicInUse
from application.ports.provisioning import ProbeResult

T = TypeVar("T")

_SECONDS = 5.0
_PAUSE_SECONDS = 0.02
_NOT_YET = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.FENCED_LEADER_EPOCH,
)
TIMED_OUT = (KafkaError._TIMED_OUT, KafkaError._TIMED_OUT_QUEUE, KafkaError.REQUEST_TIMED_OUT)  # noqa: SLF001
_COORDINATOR_NOT_YET = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)
"""It is being created, or is moving; members of the group wait for it."""


async def in_thread(work: Callable[[], T]) -> T:
    """One call of a client that blocks."""
    thread = DaemonThreadPool("kafka-admin", 1)
    try:
        return await thread.run(work)
    finally:
        await thread.close(0)


class FoundTopic(NamedTuple):
    id: str
    partitions: int


class TopicAdmin(AdminClient):
    """For a few requests. Their errors are raised, so the client itself logs nothing; why its connections failed is
    kept in `trouble`."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._trouble = ConnectionTrouble()
        settings: dict[str, Any] = {
            **connection.settings(),
            "log_level": 0,
            "log.connection.close": True,
            "error_cb": self._trouble.record,
        }
        super().__init__(settings)

    @property
    def trouble(self) -> ConnectionTrouble:
        self.poll(0)
        return self._trouble


def find_topic(admin: AdminClient, topic: str, seconds: float = _SECONDS) -> FoundTopic:
    """An unknown topic is a `KafkaException` too."""
    [described] = admin.describe_topics(TopicCollection([topic]), request_timeout=seconds).values()
    found = described.result()
    return FoundTopic(str(found.topic_id), len(found.partitions))


def find_topic_or_none(admin: AdminClient, topic: str) -> FoundTopic | None:
    try:
        return find_topic(admin, topic)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None
        raise


def end_offsets(
    admin: AdminClient, topic: str, partitions: Collection[int], seconds: float = _SECONDS
) -> dict[int, int]:
    """The offset behind the last message of each, as its leader says."""
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    wanted = {TopicPartition(topic, partition): latest for partition in partitions}
    listed: Mapping[TopicPartition, Future[Any]] = admin.list_offsets(wanted, request_timeout=seconds)
    return {where.partition: answer.result().offset for where, answer in listed.items()}


def may_take_part(admin: AdminClient, group_id: str, seconds: float = _SECONDS) -> None:
    """Whether the group's coordinator answers this login; the group need not be there yet."""
    [described] = admin.describe_consumer_groups([group_id], request_timeout=seconds).values()
    try:
        described.result()
    except KafkaException as error:
        if error.args[0].code() not in (KafkaError.GROUP_ID_NOT_FOUND, *_COORDINATOR_NOT_YET):
            raise


def create_topic(
    admin: AdminClient, topic: str, partitions: int, replication_factor: int, config: dict[str, str]
) -> None:
    """Returns when the topic can be used. An existing one is not changed."""
    new = NewTopic(topic, partitions, replication_factor, config=config)
    try:
        _all(admin.create_topics([new], request_timeout=_SECONDS, operation_timeout=_SECONDS))
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
    _wait_for(admin, topic)


def _wait_for(admin: AdminClient, topic: str) -> None:
    """Brokers learn of a new topic, and of the leaders of its partitions, one after the other."""
    deadline = time.monotonic() + _SECONDS
    while not _is_usable(admin, topic) and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)


def _is_usable(admin: AdminClient, topic: str) -> bool:
    found = find_topic_or_none(admin, topic)
    try:
        return found is not None and bool(end_offsets(admin, topic, range(found.partitions)))
    except KafkaException as error:
        if error.args[0].code() in _NOT_YET:
            return False
        raise


def add_partitions(admin: AdminClient, topic: str, partitions: int) -> None:
    new = NewPartitions(topic, partitions)
    _all(admin.create_partitions([new], request_timeout=_SECONDS, operation_timeout=_SECONDS))


def topic_setting(admin: AdminClient, topic: str, name: str) -> str:
    [described] = admin.describe_configs([_resource(topic)], request_timeout=_SECONDS).values()
    return str(described.result()[name].value)


def change_topic_setting(admin: AdminClient, topic: str, name: str, value: str) -> None:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    _all(admin.incremental_alter_configs([_resource(topic, [entry])], request_timeout=_SECONDS))


def _resource(topic: str, entries: list[ConfigEntry] | None = None) -> ConfigResource:
    return ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)


def _all(answers: Mapping[Any, Future[Any]]) -> None:
    for answer in answers.values():
        answer.result()


_MAY_NOT_ASK = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED)

MAX_MESSAGE_BYTES = 2_000_000
"""A commit has 1 MB at most, and there are headers beside it."""

_RETENTION_MS = 7 * 24 * 3600 * 1000
"""The log keeps every event, and projectors read from it what the topic lacks; a week is for other consumers
that are away. An operator may choose another: an existing setting is not changed."""


class KafkaProvisioning:
    """`partitions` and `replication_factor` are what a new topic gets."""

    def __init__(self, connection: KafkaConnection, topic: str, partitions: int, replication_factor: int) -> None:
        self._connection = connection
        self._topic = topic
        self._partitions = partitions
        self._replication_factor = replication_factor

    async def provision(self) -> list[str]:
        """Raises `TopicInUse` when the topic has another number of partitions and was written to; `BusUnavailable`."""
        return await in_thread(lambda: self._with_admin(self._provision))

    async def check(self) -> str | None:
        """Raises `BusUnavailable`, and `TopicInUse` if `init` would not help."""
        return await in_thread(lambda: self._with_admin(self._check))

    def _with_admin(self, work: Callable[[AdminClient], T]) -> T:
        try:
            admin = TopicAdmin(self._connection)
        except KafkaException as error:
            raise self._connection.refused(error) from error
        try:
            return work(admin)
        except KafkaException as error:
            raise self._connection.unavailable(error, self._topic, admin.trouble) from error

    def _provision(self, admin: AdminClient) -> list[str]:
        found = find_topic_or_none(admin, self._topic)
        if found is None:
            return [self._create(admin)]
        made: list[str] = []
        if found.partitions != self._partitions:
            self._require_unused(admin, found)
            add_partitions(admin, self._topic, self._partitions)
            made.append(
                f"Raised the partitions of the topic {self._topic} from {found.partitions} to {self._partitions}."
            )
        limit = self._max_message_bytes(admin)
        if limit is None:
            made.append(self._not_checked())
        elif limit < MAX_MESSAGE_BYTES:
            change_topic_setting(admin, self._topic, "max.message.bytes", str(MAX_MESSAGE_BYTES))
            made.append(f"Raised max.message.bytes of the topic {self._topic} to {MAX_MESSAGE_BYTES}.")
        return made

    def _create(self, admin: AdminClient) -> str:
        settings = {
            "cleanup.policy": "delete",
            "retention.ms": str(_RETENTION_MS),
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
            "min.insync.replicas": "2" if self._replication_factor > 2 else "1",
        }
        try:
            create_topic(admin, self._topic, self._partitions, self._replication_factor, settings)
        except KafkaException as error:
            if error.args[0].code() not in _MAY_NOT_ASK:
                raise
            configs = " ".join(f"--config {name}={value}" for name, value in settings.items())
            raise BusUnavailable(
                f"Kafka at {self._connection.bootstrap_servers} does not let the login bus.kafka.username create the "
                f"topic {self._topic}. Allow it Create on that topic, or create it as an administrator: "
                f"kafka-topics.sh --create --topic {self._topic} --partitions {self._partitions} "
                f"--replication-factor {self._replication_factor} {configs}",
                path="bus.kafka.topic",
            ) from error
        return (
            f"Created the topic {self._topic} with {self._partitions} partitions in Kafka at "
            f"{self._connection.bootstrap_servers}."
        )

    def _require_unused(self, admin: AdminClient, found: FoundTopic) -> None:
        """An unused topic may get more partitions; Kafka can't remove any."""
        used = any(end_offsets(admin, self._topic, range(found.partitions)).values())
        if used or found.partitions > self._partitions:
            reason = "It is in use" if used else "Kafka can't remove partitions"
            raise TopicInUse(
                f"The topic {self._topic} has {found.partitions} partitions and bus.kafka.partitions says "
                f"{self._partitions}. {reason}, so this can't be changed: "
                f"set bus.kafka.partitions to {found.partitions}, name another topic, or stop relay and projectors, "
                "delete the topic and run `postlog init` again (projectors read from the log what they lack).",
                path="bus.kafka.partitions",
            )

    def _check(self, admin: AdminClient) -> str | None:
        found = find_topic_or_none(admin, self._topic)
        if found is None:
            raise self._outdated(f"Kafka at {self._connection.bootstrap_servers} has no topic {self._topic}.")
        if found.partitions != self._partitions:
            self._require_unused(admin, found)
            raise self._outdated(
                f"The topic {self._topic} has {found.partitions} partitions and bus.kafka.partitions says "
                f"{self._partitions}."
            )
        limit = self._max_message_bytes(admin)
        if limit is None:
            return self._not_checked()
        if limit < MAX_MESSAGE_BYTES:
            raise self._outdated(
                f"The topic {self._topic} does not take messages of {MAX_MESSAGE_BYTES} bytes (max.message.bytes)."
            )
        return None

    def _outdated(self, problem: str) -> SchemaOutdated:
        return SchemaOutdated(f"{problem} Run `postlog init`.", path="bus.kafka.topic")

    def _max_message_bytes(self, admin: AdminClient) -> int | None:
        """None if this login is not allowed to ask: the service works without that right."""
        try:
            return int(topic_setting(admin, self._topic, "max.message.bytes"))
        except KafkaException as error:
            if error.args[0].code() not in _MAY_NOT_ASK:
                raise
            return None

    def _not_checked(self) -> str:
        return (
            f"Whether the topic {self._topic} takes messages of {MAX_MESSAGE_BYTES} bytes (max.message.bytes) could "
            "not be checked: the login bus.kafka.username lacks the right DescribeConfigs."
        )


_PROBE_SECONDS = 5.0
"""A first connection, with TLS and a login, takes seconds on a busy machine."""

_ATTEMPT_SECONDS = 2.0
"""After this a broker is unavailable if the client knows why its connections failed; otherwise it is slow, and the
probe waits for it."""


class KafkaProbe:
    """Does Kafka do what a process needs? The probe asks each partition's leader, by the address that the brokers
    advertise, since one reachable broker is not enough. With `group_id` ("": none was joined yet) it asks the
    coordinator of that group, too, which a projector needs."""

    def __init__(
        self, connection: KafkaConnection, topic: str, *, group_id: Callable[[], str] | None = None, name: str = "bus"
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._group_id = group_id
        self.name = name

    async def probe(self) -> ProbeResult:
        return await in_thread(self._ask)

    def _ask(self) -> ProbeResult:
        try:
            admin = TopicAdmin(self._connection)
        except KafkaException as error:
            return ProbeResult(self.name, ok=False, detail=self._connection.refused(error).message)
        except BusUnavailable as error:
            return ProbeResult(self.name, ok=False, detail=error.message)
        deadline = time.monotonic() + _PROBE_SECONDS
        while True:
            left = deadline - time.monotonic()
            try:
                return ProbeResult(self.name, ok=True, detail=self._answer(admin, min(_ATTEMPT_SECONDS, left)))
            except KafkaException as error:
                trouble = admin.trouble
                is_slow = error.args[0].code() in TIMED_OUT and trouble.reason is None
                if not is_slow or deadline - time.monotonic() < _ATTEMPT_SECONDS / 2:
                    detail = self._connection.unavailable(error, self._topic, trouble).message
                    return ProbeResult(self.name, ok=False, detail=detail)

    def _answer(self, admin: TopicAdmin, seconds: float) -> str:
        found = find_topic(admin, self._topic, seconds)
        end_offsets(admin, self._topic, range(found.partitions), seconds)
        if self._group_id is not None and (group_id := self._group_id()):
            may_take_part(admin, group_id, seconds)
        where = self._connection.bootstrap_servers
        return f"Kafka at {where} answers; the topic {self._topic} has {found.partitions} partitions."

"""One topic, through Kafka's admin client. Every function blocks for a bounded time and raises `KafkaException`."""

import time
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewPartitions, NewTopic

from adapters.kafka.connection import KafkaConnection
from adapters.kafka.trouble import Trouble

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
"""It is being made, or is moving; members of the group wait for it."""


class FoundTopic(NamedTuple):
    id: str
    partitions: int


class QuietAdmin(AdminClient):
    """For a few questions. What goes wrong comes out of the questions, so the client itself keeps quiet; why its
    connections failed is kept in `trouble`."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._trouble = Trouble()
        settings: dict[str, Any] = {
            **connection.settings(),
            "log_level": 0,
            "log.connection.close": True,
            "error_cb": self._trouble.note,
        }
        super().__init__(settings)

    @property
    def trouble(self) -> Trouble:
        self.poll(0)
        return self._trouble


def find(admin: AdminClient, topic: str, seconds: float = _SECONDS) -> FoundTopic:
    """An unknown topic is a `KafkaException` too."""
    [described] = admin.describe_topics(TopicCollection([topic]), request_timeout=seconds).values()
    found = described.result()
    return FoundTopic(str(found.topic_id), len(found.partitions))


def find_or_none(admin: AdminClient, topic: str) -> FoundTopic | None:
    try:
        return find(admin, topic)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None
        raise


def ends(admin: AdminClient, topic: str, partitions: Collection[int], seconds: float = _SECONDS) -> dict[int, int]:
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


def create(admin: AdminClient, topic: str, partitions: int, replication_factor: int, config: dict[str, str]) -> None:
    """Returns when the topic can be used. One that is there already is left as it is."""
    new = NewTopic(topic, partitions, replication_factor, config=config)
    try:
        _all(admin.create_topics([new], request_timeout=_SECONDS, operation_timeout=_SECONDS))
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
    _wait_for(admin, topic)


def _wait_for(admin: AdminClient, topic: str) -> None:
    """Brokers learn of a new topic, and who leads its partitions, one after the other."""
    deadline = time.monotonic() + _SECONDS
    while not _is_usable(admin, topic) and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)


def _is_usable(admin: AdminClient, topic: str) -> bool:
    found = find_or_none(admin, topic)
    try:
        return found is not None and bool(ends(admin, topic, range(found.partitions)))
    except KafkaException as error:
        if error.args[0].code() in _NOT_YET:
            return False
        raise


def add_partitions(admin: AdminClient, topic: str, partitions: int) -> None:
    new = NewPartitions(topic, partitions)
    _all(admin.create_partitions([new], request_timeout=_SECONDS, operation_timeout=_SECONDS))


def setting(admin: AdminClient, topic: str, name: str) -> str:
    [described] = admin.describe_configs([_resource(topic)], request_timeout=_SECONDS).values()
    return str(described.result()[name].value)


def change_setting(admin: AdminClient, topic: str, name: str, value: str) -> None:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    _all(admin.incremental_alter_configs([_resource(topic, [entry])], request_timeout=_SECONDS))


def _resource(topic: str, entries: list[ConfigEntry] | None = None) -> ConfigResource:
    return ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)


def _all(answers: Mapping[Any, Future[Any]]) -> None:
    for answer in answers.values():
        answer.result()

"""`postlog init` for the topic."""

from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from adapters.kafka import topic_admin
from adapters.kafka.client_thread import on_thread
from adapters.kafka.connection import KafkaConnection
from adapters.kafka.topic_admin import FoundTopic, QuietAdmin
from application.errors import BusUnavailable, SchemaOutdated, TopicInUse

T = TypeVar("T")

_MAY_NOT_ASK = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED)

MAX_MESSAGE_BYTES = 2_000_000
"""A commit has 1 MB at most; the headers must find room beside it."""

_RETENTION_MS = 7 * 24 * 3600 * 1000
"""The log keeps every event for ever, and projectors read from it what the topic lacks; a week lets other listeners be
away for so long. An operator may choose another: what is there is left alone."""


class KafkaProvisioning:
    """`partitions` and `replication_factor` are what a new topic gets."""

    def __init__(self, connection: KafkaConnection, topic: str, partitions: int, replication_factor: int) -> None:
        self._connection = connection
        self._topic = topic
        self._partitions = partitions
        self._replication_factor = replication_factor

    async def provision(self) -> list[str]:
        """Raises `TopicInUse` when the topic has another number of partitions and was written to; `BusUnavailable`."""
        return await on_thread(lambda: self._with_admin(self._provision))

    async def check(self) -> str | None:
        """Raises `BusUnavailable` too, and `TopicInUse` where `init` would not help."""
        return await on_thread(lambda: self._with_admin(self._check))

    def _with_admin(self, work: Callable[[AdminClient], T]) -> T:
        try:
            admin = QuietAdmin(self._connection)
        except KafkaException as error:
            raise self._connection.refused(error) from error
        try:
            return work(admin)
        except KafkaException as error:
            raise self._connection.unavailable(error, self._topic, admin.trouble) from error

    def _provision(self, admin: AdminClient) -> list[str]:
        found = topic_admin.find_or_none(admin, self._topic)
        if found is None:
            return [self._create(admin)]
        made: list[str] = []
        if found.partitions != self._partitions:
            self._require_unused(admin, found)
            topic_admin.add_partitions(admin, self._topic, self._partitions)
            made.append(f"Gave the topic {self._topic} {self._partitions} partitions instead of {found.partitions}.")
        limit = self._max_message_bytes(admin)
        if limit is None:
            made.append(self._not_looked_at())
        elif limit < MAX_MESSAGE_BYTES:
            topic_admin.change_setting(admin, self._topic, "max.message.bytes", str(MAX_MESSAGE_BYTES))
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
            topic_admin.create(admin, self._topic, self._partitions, self._replication_factor, settings)
        except KafkaException as error:
            if error.args[0].code() not in _MAY_NOT_ASK:
                raise
            configs = " ".join(f"--config {name}={value}" for name, value in settings.items())
            raise BusUnavailable(
                f"Kafka at {self._connection.bootstrap_servers} does not let the login bus.kafka.username make the "
                f"topic {self._topic}. Allow it Create on that topic, or make it as an administrator: "
                f"kafka-topics.sh --create --topic {self._topic} --partitions {self._partitions} "
                f"--replication-factor {self._replication_factor} {configs}",
                path="bus.kafka.topic",
            ) from error
        return (
            f"Made the topic {self._topic} with {self._partitions} partitions in Kafka at "
            f"{self._connection.bootstrap_servers}."
        )

    def _require_unused(self, admin: AdminClient, found: FoundTopic) -> None:
        """An unused topic may get more partitions; Kafka can't take any away."""
        used = any(topic_admin.ends(admin, self._topic, range(found.partitions)).values())
        if used or found.partitions > self._partitions:
            raise TopicInUse(
                f"The topic {self._topic} has {found.partitions} partitions and bus.kafka.partitions says "
                f"{self._partitions}. {'It is in use' if used else 'Kafka takes none away'}, so this can't be changed: "
                f"set bus.kafka.partitions to {found.partitions}, name another topic, or stop relay and projectors, "
                "delete the topic and run `postlog init` again (projectors read from the log what they lack).",
                path="bus.kafka.partitions",
            )

    def _check(self, admin: AdminClient) -> str | None:
        found = topic_admin.find_or_none(admin, self._topic)
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
            return self._not_looked_at()
        if limit < MAX_MESSAGE_BYTES:
            raise self._outdated(
                f"The topic {self._topic} does not take messages of {MAX_MESSAGE_BYTES} bytes (max.message.bytes)."
            )
        return None

    def _outdated(self, problem: str) -> SchemaOutdated:
        return SchemaOutdated(f"{problem} Run `postlog init`.", path="bus.kafka.topic")

    def _max_message_bytes(self, admin: AdminClient) -> int | None:
        """None where this login may not ask: the service works without that right."""
        try:
            return int(topic_admin.setting(admin, self._topic, "max.message.bytes"))
        except KafkaException as error:
            if error.args[0].code() not in _MAY_NOT_ASK:
                raise
            return None

    def _not_looked_at(self) -> str:
        return (
            f"Whether the topic {self._topic} takes messages of {MAX_MESSAGE_BYTES} bytes (max.message.bytes) could "
            "not be checked: the login bus.kafka.username may not ask (DescribeConfigs)."
        )

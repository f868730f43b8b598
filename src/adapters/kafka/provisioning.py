"""`postlog init` for the topic."""

from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from adapters.kafka import topic_admin
from adapters.kafka.client_thread import on_thread
from adapters.kafka.connection import KafkaConnection
from adapters.kafka.topic_admin import FoundTopic, quiet_admin
from application.errors import SchemaOutdated, TopicInUse

T = TypeVar("T")

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

    async def check(self) -> None:
        """Raises `BusUnavailable` too."""
        problem = await on_thread(lambda: self._with_admin(self._problem))
        if problem is not None:
            raise SchemaOutdated(f"{problem} Run `postlog init`.", path="bus.kafka.topic")

    def _with_admin(self, work: Callable[[AdminClient], T]) -> T:
        try:
            return work(quiet_admin(self._connection))
        except KafkaException as error:
            raise self._connection.unavailable(error, self._topic) from error

    def _provision(self, admin: AdminClient) -> list[str]:
        found = topic_admin.find_or_none(admin, self._topic)
        if found is None:
            return [self._create(admin)]
        made: list[str] = []
        if found.partitions != self._partitions:
            self._require_unused(admin, found)
            topic_admin.add_partitions(admin, self._topic, self._partitions)
            made.append(f"Gave the topic {self._topic} {self._partitions} partitions instead of {found.partitions}.")
        if self._max_message_bytes(admin) < MAX_MESSAGE_BYTES:
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
        topic_admin.create(admin, self._topic, self._partitions, self._replication_factor, settings)
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

    def _problem(self, admin: AdminClient) -> str | None:
        found = topic_admin.find_or_none(admin, self._topic)
        if found is None:
            return f"Kafka at {self._connection.bootstrap_servers} has no topic {self._topic}."
        if found.partitions != self._partitions:
            return (
                f"The topic {self._topic} has {found.partitions} partitions and bus.kafka.partitions says "
                f"{self._partitions}."
            )
        if self._max_message_bytes(admin) < MAX_MESSAGE_BYTES:
            return f"The topic {self._topic} does not take messages of {MAX_MESSAGE_BYTES} bytes (max.message.bytes)."
        return None

    def _max_message_bytes(self, admin: AdminClient) -> int:
        return int(topic_admin.setting(admin, self._topic, "max.message.bytes"))

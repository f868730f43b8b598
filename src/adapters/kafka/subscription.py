"""Listens to a Kafka topic as a member of a consumer group; the blocking client has a thread of its own."""

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Self, TypeVar

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient

from adapters.kafka import topic_admin
from adapters.kafka.client_log import ClientLog
from adapters.kafka.client_thread import ClientThread
from adapters.kafka.connection import KafkaConnection
from adapters.kafka.group_member import SETTINGS, GroupMember
from adapters.kafka.topic_admin import QuietAdmin
from adapters.kafka.trouble import is_fatal
from application.ports.bus import Delivery, Topic
from application.ports.system import Metrics

T = TypeVar("T")

logger = logging.getLogger(__name__)

_FAREWELL_SECONDS = 0.7


class KafkaSubscription:
    """Takes part in the group that it joined while it is open; neither opening nor joining needs a broker. After
    `session_seconds` without a sign of life its partitions go to others; 6 is the least that brokers allow by default.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        group_prefix: str,
        metrics: Metrics,
        session_seconds: float = 6.0,
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._group_prefix = group_prefix
        self._session_seconds = session_seconds
        self._log = ClientLog("consumer", connection.bootstrap_servers, metrics)
        self._thread = ClientThread("kafka-consumer")
        self._told: dict[int, int] = {}
        self._closing = False
        self._opened: AdminClient | None = None
        self._joined: GroupMember | None = None
        self.group_id = ""
        """That it has joined, once it has."""

    async def __aenter__(self) -> Self:
        try:
            self._opened = QuietAdmin(self._connection)
        except KafkaException as error:
            raise self._connection.refused(error) from error
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        await self._thread.stop(self._leave, _FAREWELL_SECONDS)

    async def join(self, database_id: str) -> None:
        group_id = f"{self._group_prefix}-{database_id}"
        if group_id == self.group_id:
            return
        left, self._joined, self.group_id = self._joined, None, ""
        if left is not None:
            _leave_aside(left)
        self._joined = await self._call(lambda: self._new_member(group_id))
        self.group_id = group_id
        logger.info("listening to the topic %s in the group %s", self._topic, group_id)

    async def topic(self) -> Topic:
        found = await self._call(lambda: topic_admin.find(self._admin, self._topic))
        return Topic(found.id, found.partitions)

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        return await self._call(lambda: topic_admin.ends(self._admin, self._topic, partitions))

    async def receive(self, limit: int, timeout: float) -> Delivery:
        def receive() -> Delivery:
            self._pass_on_told()
            return self._member.receive(limit, timeout)

        return await self._call(receive)

    async def start(self, offsets: Mapping[int, int]) -> None:
        await self._call(lambda: self._member.start(offsets))

    async def hold(self, partitions: Collection[int]) -> None:
        await self._call(lambda: self._member.hold(partitions))

    def tell(self, offsets: Mapping[int, int]) -> None:
        self._told = {**self._told, **offsets}

    @property
    def _member(self) -> GroupMember:
        if self._joined is None:
            raise RuntimeError("the subscription has joined no group")
        return self._joined

    @property
    def _admin(self) -> AdminClient:
        if self._opened is None:
            raise RuntimeError("the subscription is not open")
        return self._opened

    def _new_member(self, group_id: str) -> GroupMember:
        consumer = Consumer(self._settings(group_id), logger=self._log)
        member = GroupMember(consumer, self._topic, lambda: self._closing)
        member.join()
        return member

    def _pass_on_told(self) -> None:
        told, self._told = self._told, {}
        self._member.tell(told)

    def _leave(self) -> None:
        if self._joined is not None:
            self._pass_on_told()
            self._joined.leave()

    def _replace_member(self) -> None:
        """After a fatal error a consumer is of no use any more."""
        if self._joined is not None:
            _leave_aside(self._joined)
            self._joined = self._new_member(self.group_id)

    async def _call(self, call: Callable[[], T]) -> T:
        def guarded() -> T:
            try:
                return call()
            except KafkaException as error:
                if is_fatal(error.args[0]):
                    self._replace_member()
                raise

        try:
            return await self._thread.run(guarded)
        except KafkaException as error:
            raise self._connection.unavailable(error, self._topic, self._log.trouble) from error

    def _settings(self, group_id: str) -> dict[str, object]:
        return {
            **self._connection.settings(),
            **SETTINGS,
            "group.id": group_id,
            "session.timeout.ms": int(self._session_seconds * 1_000),
            "error_cb": self._log.error,
        }


def _leave_aside(member: GroupMember) -> None:
    """On a thread of its own: leaving may never return when the brokers hang."""
    threading.Thread(target=member.leave, name="kafka-consumer-that-left", daemon=True).start()

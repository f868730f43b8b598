"""Does Kafka do what a process needs: do the leaders of the topic's partitions answer, and the group's coordinator?"""

import time
from collections.abc import Callable

from confluent_kafka import KafkaException

from adapters.kafka import topic_admin
from adapters.kafka.client_thread import on_thread
from adapters.kafka.connection import KafkaConnection
from adapters.kafka.topic_admin import QuietAdmin
from application.ports.provisioning import ProbeResult

_SECONDS = 5.0
"""A first connection, with TLS and a login, takes seconds where the machine is busy."""

_ATTEMPT_SECONDS = 2.0
"""After this a broker is away if the client knows why its connections failed; otherwise it is slow, and waited for."""


class KafkaProbe:
    """Asks each partition's leader, by the address that the brokers advertise: a broker that can be reached while its
    leaders can't is of no use. With `group_id` it asks the coordinator of that group, too ("": none was
    joined yet), as a projector needs it."""

    def __init__(
        self, connection: KafkaConnection, topic: str, *, group_id: Callable[[], str] | None = None, name: str = "bus"
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._group_id = group_id
        self.name = name

    async def probe(self) -> ProbeResult:
        return await on_thread(self._ask)

    def _ask(self) -> ProbeResult:
        try:
            admin = QuietAdmin(self._connection)
        except KafkaException as error:
            return ProbeResult(self.name, ok=False, detail=self._connection.refused(error).message)
        deadline = time.monotonic() + _SECONDS
        while True:
            left = deadline - time.monotonic()
            try:
                return ProbeResult(self.name, ok=True, detail=self._answer(admin, min(_ATTEMPT_SECONDS, left)))
            except KafkaException as error:
                trouble = admin.trouble
                is_slow = error.args[0].code() in topic_admin.TIMED_OUT and trouble.reason is None
                if not is_slow or deadline - time.monotonic() < _ATTEMPT_SECONDS / 2:
                    detail = self._connection.unavailable(error, self._topic, trouble).message
                    return ProbeResult(self.name, ok=False, detail=detail)

    def _answer(self, admin: QuietAdmin, seconds: float) -> str:
        found = topic_admin.find(admin, self._topic, seconds)
        topic_admin.ends(admin, self._topic, range(found.partitions), seconds)
        if self._group_id is not None and (group_id := self._group_id()):
            topic_admin.may_take_part(admin, group_id, seconds)
        where = self._connection.bootstrap_servers
        return f"Kafka at {where} answers; the topic {self._topic} has {found.partitions} partitions."

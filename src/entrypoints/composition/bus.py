"""The bus that `bus.adapter` chooses. Each builder imports its own driver, and no other."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from application.ports.bus import Publisher, Subscription
from application.ports.metrics import Metrics
from application.ports.probes import Probe
from application.ports.provisioning import Provisioning
from entrypoints.settings.model import Kafka


@dataclass(frozen=True, slots=True, kw_only=True)
class BusParts:
    """The ports of one bus. `publishing` is what must be open while a relay publishes, `subscribing` while a projector
    listens: it takes part in its group from then on."""

    publisher: Publisher
    publishing: AbstractAsyncContextManager[Any] | None
    subscription: Subscription
    subscribing: AbstractAsyncContextManager[Any]
    probe: Probe | None = None
    provisioning: Provisioning | None = None


def kafka_bus(settings: Kafka, read_db_adapter: str, metrics: Metrics) -> BusParts:
    """The group is one for each read database, so that two are never fed half each."""
    from adapters.kafka.connection import KafkaConnection
    from adapters.kafka.probe import KafkaProbe
    from adapters.kafka.provisioning import KafkaProvisioning
    from adapters.kafka.publisher import KafkaPublisher
    from adapters.kafka.subscription import KafkaSubscription

    connection = KafkaConnection(
        bootstrap_servers=settings.bootstrap_servers,
        security=settings.security,
        sasl_mechanism=settings.sasl_mechanism,
        username=settings.username,
        password=settings.password.reveal() if settings.password else None,
        ca_file=settings.ca_file,
    )
    publisher = KafkaPublisher(connection, settings.topic, metrics)
    group_id = f"{settings.group_id}-{read_db_adapter}"
    subscription = KafkaSubscription(connection, settings.topic, group_id, metrics)
    return BusParts(
        publisher=publisher,
        publishing=publisher,
        subscription=subscription,
        subscribing=subscription,
        probe=KafkaProbe(connection, settings.topic),
        provisioning=KafkaProvisioning(connection, settings.topic, settings.partitions, settings.replication_factor),
    )


def memory_bus(settings: Kafka) -> BusParts:
    """With as many partitions as the topic would have in Kafka."""
    from adapters.memory.bus import MemoryBus

    bus = MemoryBus(settings.partitions)
    subscription = bus.subscription(settings.group_id)
    return BusParts(publisher=bus, publishing=None, subscription=subscription, subscribing=subscription)

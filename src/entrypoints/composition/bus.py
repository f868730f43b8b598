"""Builders of the bus, one for each value of `bus.adapter`. The Kafka driver is imported by its builder only."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from adapters.memory.bus import MemoryBus
from application.ports.bus import Publisher, Subscription
from application.ports.provisioning import Probe, Provisioning
from application.ports.system import Metrics
from entrypoints.settings.model import Kafka
from entrypoints.settings.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class BusParts:
    """The ports of one bus. `publishing` must be open while a relay publishes, `subscribing` while a projector reads.
    A relay is ready when `probe` is, a projector when `group_probe` is."""

    publisher: Publisher
    publishing: AbstractAsyncContextManager[Any] | None
    subscription: Subscription
    subscribing: AbstractAsyncContextManager[Any]
    probe: Probe | None = None
    group_probe: Probe | None = None
    provisioning: Provisioning | None = None


def kafka_bus(settings: Kafka, read_db_adapter: str, metrics: Metrics) -> BusParts:
    from adapters.kafka.client import KafkaConnection, KafkaTokens
    from adapters.kafka.consumer import KafkaSubscription
    from adapters.kafka.producer import KafkaPublisher
    from adapters.kafka.topic import KafkaProbe, KafkaProvisioning

    oauth = settings.oauth
    connection = KafkaConnection(
        bootstrap_servers=settings.bootstrap_servers,
        security=settings.security,
        sasl_mechanism=settings.sasl_mechanism,
        username=settings.username,
        password=_revealed(settings.password),
        tokens=KafkaTokens(
            url=oauth.token_url,
            client_id=oauth.client_id,
            client_secret=_revealed(oauth.client_secret),
            scope=oauth.scope,
            ca_file=oauth.ca_file,
            file=oauth.token_file,
        ),
        ca_file=settings.ca_file,
        certificate_file=settings.certificate_file,
        key_file=settings.key_file,
        key_password=_revealed(settings.key_password),
    )
    publisher = KafkaPublisher(connection, settings.topic, metrics)
    subscription = KafkaSubscription(connection, settings.topic, _group_prefix(settings, read_db_adapter), metrics)
    return BusParts(
        publisher=publisher,
        publishing=publisher,
        subscription=subscription,
        subscribing=subscription,
        probe=KafkaProbe(connection, settings.topic),
        group_probe=KafkaProbe(connection, settings.topic, group_id=lambda: subscription.group_id),
        provisioning=KafkaProvisioning(connection, settings.topic, settings.partitions, settings.replication_factor),
    )


def _revealed(secret: Secret | None) -> str | None:
    return secret.reveal() if secret else None


def memory_bus(settings: Kafka, read_db_adapter: str) -> BusParts:
    """Has as many partitions as the topic would have in Kafka."""
    bus = MemoryBus(settings.partitions)
    subscription = bus.subscription(_group_prefix(settings, read_db_adapter))
    return BusParts(publisher=bus, publishing=None, subscription=subscription, subscribing=subscription)


def _group_prefix(settings: Kafka, read_db_adapter: str) -> str:
    """Each read database has a consumer group of its own: two in one group would each receive half the messages. The
    subscription adds the database's id."""
    return f"{settings.group_id}-{read_db_adapter}"

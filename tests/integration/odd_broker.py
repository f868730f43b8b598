"""A broker whose listeners have habits, and that asks logins for their rights."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from adapters.kafka.client import KafkaConnection
from certificates import Authority
from local.kafka import Kafka, Listener
from local.ports import free_port
from local.programs import find_kafka
from missing import skip_or_fail

PASSWORD = "p4ss-word"
LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"


@dataclass(frozen=True, slots=True)
class Broker:
    """`plain` lets everybody in who may do everything; `lost` sends clients on to where nobody is."""

    kafka: Kafka
    login: Listener
    tls: Listener
    lost: Listener
    authority: Path

    @property
    def plain(self) -> KafkaConnection:
        return KafkaConnection(bootstrap_servers=self.kafka.bootstrap)

    @property
    def limited(self) -> KafkaConnection:
        """By a login that may do what `allow` allows it."""
        return KafkaConnection(
            bootstrap_servers=self.login.bootstrap,
            security="sasl_plaintext",
            sasl_mechanism="PLAIN",
            username="limited",
            password=PASSWORD,
        )

    def allow(self, kind: ResourceType, name: str, operations: Sequence[AclOperation]) -> None:
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap})
        bindings = [
            AclBinding(kind, name, ResourcePatternType.LITERAL, "User:limited", "*", each, AclPermissionType.ALLOW)
            for each in operations
        ]
        for made in admin.create_acls(bindings).values():
            made.result(20)


@contextmanager
def odd_broker(folder: Path) -> Iterator[Broker]:
    """Skips where there is no such program."""
    jars = find_kafka()
    if jars is None:
        skip_or_fail("no Kafka on this machine")
    authority = Authority(folder)
    users = f'{LOGIN} user_limited="{PASSWORD}";'
    login = Listener(
        "LOGIN", "SASL_PLAINTEXT", settings={"sasl.enabled.mechanisms": "PLAIN", "plain.sasl.jaas.config": users}
    )
    keystore = str(authority.sign("broker").both)
    tls = Listener("TLS", "SSL", settings={"ssl.keystore.type": "PEM", "ssl.keystore.location": keystore})
    lost = Listener("LOST", "PLAINTEXT", advertised_port=free_port())
    authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
    kafka = Kafka(
        jars, folder, [login, tls, lost], {"authorizer.class.name": authorizer, "super.users": "User:ANONYMOUS"}
    )
    try:
        kafka.start()
        yield Broker(kafka, login, tls, lost, authority.certificate)
    finally:
        kafka.stop()

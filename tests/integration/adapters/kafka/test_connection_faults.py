"""Why Kafka can't be used is said with the client's reason and what to do, and following it mends it: a broker whose
listeners have habits, and logins with few rights."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from adapters.kafka.client import KafkaConnection
from adapters.kafka.consumer import KafkaSubscription
from adapters.kafka.producer import KafkaPublisher
from adapters.kafka.topic import KafkaProbe, KafkaProvisioning
from application.errors import BusUnavailable
from application.ports.bus import Publication, Watermark
from contracts.bus_handle import CountedMetrics
from contracts.waiting import eventually
from integration.odd_broker import PASSWORD, Broker, odd_broker

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def broker(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """`kafka_bootstrap` skips where there is no such program."""
    with odd_broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
async def topic(broker: Broker) -> str:
    name = f"faults-{uuid4().hex[:12]}"
    await KafkaProvisioning(broker.plain, name, 3, 1).provision()
    return name


async def said_of(connection: KafkaConnection, topic: str) -> str:
    """By the probe, whatever the setting."""
    found = await KafkaProbe(connection, topic).probe()
    assert not found.ok
    begin = f"Kafka at {connection.bootstrap_servers} (bus.kafka.bootstrap_servers) "
    assert found.detail.startswith(begin)
    assert PASSWORD not in found.detail
    return found.detail.removeprefix(begin)


async def works(connection: KafkaConnection, topic: str) -> bool:
    return (await KafkaProbe(connection, topic).probe()).ok


async def test_brokers_that_advertise_an_unreachable_address(broker: Broker, topic: str) -> None:
    """They answer by the address that is given, and so did the probe."""
    lost = KafkaConnection(bootstrap_servers=broker.lost.bootstrap)
    advertised = broker.lost.advertised_port
    said = await said_of(lost, topic)
    assert said.startswith(
        f"does not answer: 127.0.0.1:{advertised}/1: Connect to ipv4#127.0.0.1:{advertised} failed: "
    )
    assert said.endswith(
        "The brokers refer clients to this address (advertised.listeners): make it reachable from here, or correct "
        "it in the brokers' settings."
    )
    assert (await KafkaProbe(lost, topic, group_id=lambda: "any").probe()).ok is False
    with pytest.raises(BusUnavailable, match="advertised"):
        await KafkaProvisioning(lost, topic, 3, 1).check()


async def test_a_wrong_password_and_a_mechanism_that_is_not_taken(broker: Broker, topic: str) -> None:
    broker.allow(ResourceType.TOPIC, topic, [AclOperation.DESCRIBE])
    wrong = replace(broker.limited, password="wr0ng-password")
    said = await said_of(wrong, topic)
    assert "Invalid username or password" in said
    assert said.endswith("Check bus.kafka.username and bus.kafka.password.")
    assert "wr0ng-password" not in said
    said = await said_of(replace(broker.limited, sasl_mechanism="SCRAM-SHA-512"), topic)
    assert "supported mechanisms: PLAIN" in said
    assert said.endswith("Set bus.kafka.sasl_mechanism to one that the brokers support.")
    assert await works(broker.limited, topic)


async def test_security_on_one_side_only(broker: Broker, topic: str) -> None:
    """TLS, and a login, that the client has and this port does not take, and the other way round."""
    tls = KafkaConnection(bootstrap_servers=broker.tls.bootstrap)
    login = KafkaConnection(bootstrap_servers=broker.login.bootstrap)
    for connection in (
        replace(broker.plain, security="ssl"),
        replace(broker.limited, bootstrap_servers=broker.kafka.bootstrap),
        tls,
        login,
    ):
        said = await said_of(connection, topic)
        assert said.endswith(
            "Does bus.kafka.security match what this port of the brokers expects: TLS, a login, both, or neither?"
        ), said


async def test_an_authority_that_is_not_known(broker: Broker, topic: str) -> None:
    tls = KafkaConnection(bootstrap_servers=broker.tls.bootstrap, security="ssl")
    said = await said_of(tls, topic)
    assert "certificate verify failed" in said
    assert said.endswith("Name the authority that signed the brokers' certificates in bus.kafka.ca_file.")
    assert await works(replace(tls, ca_file=str(broker.authority)), topic)


async def test_a_host_that_is_not_known(topic: str) -> None:
    said = await said_of(KafkaConnection(bootstrap_servers="no-such-host.invalid:9092"), topic)
    assert "Failed to resolve" in said
    assert said.endswith("Is it running? If so, check the address.")


async def test_a_login_without_any_right_gets_an_error_that_names_what_it_needs(broker: Broker, topic: str) -> None:
    said = await said_of(broker.limited, topic)
    assert said == (
        "does not authorize this login (Broker: Topic authorization failed). Allow the login bus.kafka.username "
        f"Describe on the topic {topic}, and Write for a relay, Read for a projector, Create for `postlog init`."
    )
    async with KafkaPublisher(broker.limited, topic, CountedMetrics()) as publisher:
        with pytest.raises(BusUnavailable, match="Allow the login") as refused:
            await publisher.partitions()
    assert refused.value.path == "bus.kafka.username"


async def test_a_relay_that_may_not_publish_does_so_when_it_may(broker: Broker, topic: str) -> None:
    """The refusal is fatal to the client, which is replaced."""
    publication = Publication("log", 3, [Watermark(0, 0, 1)])
    async with KafkaPublisher(broker.limited, topic, CountedMetrics()) as publisher:

        async def publishes() -> bool:
            try:
                return await publisher.publish(publication) == 1
            except BusUnavailable:
                return False

        for _ in range(3):
            async with asyncio.timeout(30):
                assert not await publishes()
        broker.allow(ResourceType.TOPIC, topic, [AclOperation.WRITE])
        await eventually(publishes)


async def test_a_login_that_may_not_read_settings_is_good_enough(broker: Broker, topic: str) -> None:
    """`init` and `doctor` report what they could not check, and continue."""
    broker.allow(ResourceType.TOPIC, topic, [AclOperation.READ, AclOperation.WRITE])
    provisioning = KafkaProvisioning(broker.limited, topic, 3, 1)
    remark = (
        f"Whether the topic {topic} takes messages of 2000000 bytes (max.message.bytes) could not be checked: the "
        "login bus.kafka.username lacks the right DescribeConfigs."
    )
    assert await provisioning.provision() == [remark]
    assert await provisioning.check() == remark
    broker.allow(ResourceType.TOPIC, topic, [AclOperation.DESCRIBE_CONFIGS])

    async def may_ask() -> bool:
        return await provisioning.provision() == []

    await eventually(may_ask)


async def test_a_login_without_the_right_gets_the_command_that_creates_the_topic(broker: Broker) -> None:
    name = f"faults-{uuid4().hex[:12]}"
    provisioning = KafkaProvisioning(broker.limited, name, 3, 1)
    with pytest.raises(BusUnavailable) as refused:
        await provisioning.provision()
    assert f"Describe on the topic {name}" in refused.value.message
    broker.allow(ResourceType.TOPIC, name, [AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS])

    async def is_told() -> bool:
        with pytest.raises(BusUnavailable) as refused:
            await provisioning.provision()
        return f"kafka-topics.sh --create --topic {name} --partitions 3" in refused.value.message

    await eventually(is_told)
    broker.allow(ResourceType.TOPIC, name, [AclOperation.CREATE])

    async def made() -> bool:
        try:
            return await provisioning.provision() != []
        except BusUnavailable:
            return False

    await eventually(made)
    await provisioning.check()


async def test_a_projector_s_group_is_asked_for_and_works_when_it_is_allowed(broker: Broker, topic: str) -> None:
    """The consumer that was refused is of use again when it is not."""
    broker.allow(ResourceType.TOPIC, topic, [AclOperation.READ])
    group = f"{topic}-group"
    probe = KafkaProbe(broker.limited, topic, group_id=lambda: group)

    async def is_refused() -> bool:
        found = await probe.probe()
        return not found.ok and "Read on the groups whose names begin with bus.kafka.group_id" in found.detail

    await eventually(is_refused)
    async with KafkaSubscription(broker.limited, topic, topic, CountedMetrics()) as subscription:
        await subscription.join("group")
        with pytest.raises(BusUnavailable, match=r"Group authorization failed\)\. Allow the login"):
            await received_until_refused(subscription)
        broker.allow(ResourceType.GROUP, group, [AclOperation.READ])

        async def takes_part() -> bool:
            try:
                return len((await subscription.receive(10, 0.5)).assigned) == 3
            except BusUnavailable:
                return False

        await eventually(takes_part)
    assert (await probe.probe()).ok


async def received_until_refused(subscription: KafkaSubscription) -> None:
    async with asyncio.timeout(30):
        while True:
            await subscription.receive(10, 1.0)

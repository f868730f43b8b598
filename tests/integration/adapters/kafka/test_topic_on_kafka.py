"""The topic: created by `init`, never changed while it is in use, and checked by `doctor`."""

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from adapters.kafka.client import KafkaConnection
from adapters.kafka.producer import KafkaPublisher
from adapters.kafka.topic import (
    KafkaProbe,
    KafkaProvisioning,
    TopicAdmin,
    change_topic_setting,
    create_topic,
    topic_setting,
)
from application.errors import BusUnavailable, CannotOpen, SchemaOutdated, TopicInUse
from application.partitioning import partition_of
from application.ports.provisioning import ProbeResult
from contracts.bus_handle import CountedMetrics
from domain.ids import PostId

NOWHERE = KafkaConnection(bootstrap_servers="127.0.0.1:1")


def write_to(connection: KafkaConnection, topic: str, **settings: str) -> Producer:
    producer = Producer({**connection.settings(), **settings})
    producer.produce(topic, b"x", b"key")
    assert producer.flush(20) == 0
    return producer


async def test_init_makes_the_topic_once(connection: KafkaConnection, topic: str) -> None:
    provisioning = KafkaProvisioning(connection, topic, 3, 1)
    assert await provisioning.provision() == [
        f"Created the topic {topic} with 3 partitions in Kafka at {connection.bootstrap_servers}."
    ]
    assert await provisioning.provision() == []
    await provisioning.check()


async def test_the_topic_keeps_messages_for_a_week_and_takes_any_commit(
    connection: KafkaConnection, topic: str
) -> None:
    await KafkaProvisioning(connection, topic, 3, 1).provision()
    admin = TopicAdmin(connection)
    names = ["cleanup.policy", "retention.ms", "max.message.bytes", "min.insync.replicas"]
    assert [topic_setting(admin, topic, name) for name in names] == ["delete", "604800000", "2000000", "1"]


async def test_what_an_operator_has_set_is_left_alone(connection: KafkaConnection, topic: str) -> None:
    provisioning = KafkaProvisioning(connection, topic, 3, 1)
    await provisioning.provision()
    admin = TopicAdmin(connection)
    change_topic_setting(admin, topic, "retention.ms", "-1")
    assert await provisioning.provision() == []
    assert topic_setting(admin, topic, "retention.ms") == "-1"


async def test_a_topic_that_rejects_large_messages_is_reconfigured(connection: KafkaConnection, topic: str) -> None:
    admin = TopicAdmin(connection)
    create_topic(admin, topic, 3, 1, {"max.message.bytes": "1000000"})
    provisioning = KafkaProvisioning(connection, topic, 3, 1)
    with pytest.raises(SchemaOutdated, match=r"does not take messages of 2000000 bytes .* Run `postlog init`\."):
        await provisioning.check()
    assert await provisioning.provision() == [f"Raised max.message.bytes of the topic {topic} to 2000000."]
    await provisioning.check()


async def test_check_reports_a_missing_topic(connection: KafkaConnection, topic: str) -> None:
    with pytest.raises(SchemaOutdated, match=rf"has no topic {topic}\. Run `postlog init`\."):
        await KafkaProvisioning(connection, topic, 3, 1).check()


async def test_an_unused_topic_gets_more_partitions(connection: KafkaConnection, topic: str) -> None:
    await KafkaProvisioning(connection, topic, 2, 1).provision()
    with pytest.raises(SchemaOutdated, match=r"has 2 partitions and .* says 5\. Run `postlog init`\."):
        await KafkaProvisioning(connection, topic, 5, 1).check()
    assert await KafkaProvisioning(connection, topic, 5, 1).provision() == [
        f"Raised the partitions of the topic {topic} from 2 to 5."
    ]
    await KafkaProvisioning(connection, topic, 5, 1).check()


async def test_a_used_topic_keeps_its_partitions(connection: KafkaConnection, topic: str) -> None:
    await KafkaProvisioning(connection, topic, 2, 1).provision()
    write_to(connection, topic)
    for wanted in (5, 1):
        with pytest.raises(TopicInUse) as refused:
            await KafkaProvisioning(connection, topic, wanted, 1).provision()
        assert refused.value.path == "bus.kafka.partitions"
        assert refused.value.message.startswith(
            f"The topic {topic} has 2 partitions and bus.kafka.partitions says {wanted}. It is in use, so this can't "
            "be changed: set bus.kafka.partitions to 2, "
        )
        with pytest.raises(TopicInUse) as told:
            await KafkaProvisioning(connection, topic, wanted, 1).check()
        assert told.value.message == refused.value.message


async def test_partitions_can_not_be_taken_away(connection: KafkaConnection, topic: str) -> None:
    await KafkaProvisioning(connection, topic, 3, 1).provision()
    with pytest.raises(TopicInUse, match="Kafka can't remove partitions"):
        await KafkaProvisioning(connection, topic, 2, 1).provision()


async def test_a_broker_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.kafka.topic._SECONDS", 0.3)
    with pytest.raises(BusUnavailable, match=r"^Kafka at 127\.0\.0\.1:1 \(bus\.kafka\.bootstrap_servers\) ") as away:
        await KafkaProvisioning(NOWHERE, "any", 3, 1).provision()
    assert away.value.path == "bus.kafka.bootstrap_servers"


async def test_the_probe_reports_what_answers(connection: KafkaConnection, topic: str) -> None:
    where = connection.bootstrap_servers
    assert await KafkaProbe(connection, topic).probe() == ProbeResult(
        "bus", ok=False, detail=f"Kafka at {where} has no topic {topic}. Run `postlog init`, which creates it."
    )
    await KafkaProvisioning(connection, topic, 3, 1).provision()
    assert await KafkaProbe(connection, topic).probe() == ProbeResult(
        "bus", ok=True, detail=f"Kafka at {where} answers; the topic {topic} has 3 partitions."
    )


async def test_the_probe_reports_that_no_broker_answers() -> None:
    found = await KafkaProbe(NOWHERE, "any").probe()
    assert not found.ok
    assert found.detail.startswith("Kafka at 127.0.0.1:1 (bus.kafka.bootstrap_servers) does not answer: ")


async def test_a_file_that_is_not_there_is_an_error_at_once() -> None:
    connection = KafkaConnection(bootstrap_servers="127.0.0.1:1", security="ssl", ca_file="/not/there.pem")
    with pytest.raises(CannotOpen, match=r"ssl\.ca\.location"):
        async with KafkaPublisher(connection, "any", CountedMetrics()):
            pass


async def test_producers_with_kafka_s_default_partitioner_agree_on_the_partition(
    connection: KafkaConnection, topic: str
) -> None:
    """librdkafka's `murmur2_random` is compatible with the Java client's default partitioner."""
    await KafkaProvisioning(connection, topic, 7, 1).provision()
    producer = Producer({**connection.settings(), "partitioner": "murmur2_random"})
    keys = [PostId(f"019b0000-0000-7000-8000-{number:012x}") for number in range(50)]
    for key in keys:
        producer.produce(topic, b"", key.encode())
    assert producer.flush(20) == 0
    consumer = Consumer({**connection.settings(), "group.id": topic})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(7)])
    found: dict[str, int | None] = {}
    while len(found) < len(keys):
        message = consumer.poll(20)
        assert message is not None
        found[(message.key() or b"").decode()] = message.partition()
    consumer.close()
    assert found == {key: partition_of(key, 7) for key in keys}

import time
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from local.kafka import Kafka

HEADERS: list[tuple[str, str | bytes | None]] = [("ce_type", b"PostCreated"), ("ce_subject", "пост".encode())]


@pytest.fixture
def topic() -> str:
    return f"servers-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def reader(kafka_bootstrap: str) -> Iterator[Consumer]:
    consumer = consumer_of(kafka_bootstrap)
    yield consumer
    consumer.close()


def test_a_message_comes_back_with_its_key_and_headers(kafka_bootstrap: str, topic: str, reader: Consumer) -> None:
    create(kafka_bootstrap, topic)
    produce(kafka_bootstrap, topic, b"hello")

    message = first_message(reader, topic)

    assert (message.key(), message.value()) == (b"key", b"hello")
    assert message.headers() == [("ce_type", b"PostCreated"), ("ce_subject", "пост".encode())]


def test_topics_are_made_by_use_as_with_the_defaults_of_a_broker(
    kafka_bootstrap: str, topic: str, reader: Consumer
) -> None:
    """So that a test sees it when anybody but `postlog init` makes one."""
    produce(kafka_bootstrap, topic, b"nobody made the topic")

    assert first_message(reader, topic).value() == b"nobody made the topic"


def test_a_topic_can_be_deleted_and_made_anew(kafka_bootstrap: str, topic: str, reader: Consumer) -> None:
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    create(kafka_bootstrap, topic)
    produce(kafka_bootstrap, topic, b"old")
    admin.delete_topics([topic])[topic].result(10)
    create(kafka_bootstrap, topic)
    produce(kafka_bootstrap, topic, b"new")

    assert first_message(reader, topic).value() == b"new"


def test_messages_expire_within_seconds(kafka_bootstrap: str, topic: str, reader: Consumer) -> None:
    create(kafka_bootstrap, topic, {"retention.ms": "100", "segment.ms": "100"})
    produce(kafka_bootstrap, topic, b"soon gone")
    deadline = time.monotonic() + 30

    while reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=5) != (1, 1):
        assert time.monotonic() < deadline, "the message is still there after 30 s"
        time.sleep(0.1)


def test_what_was_acknowledged_is_there_after_kill_9(killable_kafka: Kafka, topic: str) -> None:
    create(killable_kafka.bootstrap, topic)
    produce(killable_kafka.bootstrap, topic, b"before")

    killable_kafka.kill()
    killable_kafka.restart()

    reader = consumer_of(killable_kafka.bootstrap)
    try:
        assert first_message(reader, topic).value() == b"before"
    finally:
        reader.close()


def consumer_of(bootstrap: str) -> Consumer:
    return Consumer({"bootstrap.servers": bootstrap, "group.id": "servers", "enable.auto.commit": False})


def create(bootstrap: str, topic: str, config: dict[str, str] | None = None) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 1, 1, config=config or {})])[topic].result(20)


def produce(bootstrap: str, topic: str, value: bytes) -> None:
    """Idempotent, acks=all; raises what the broker refused."""
    errors: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            errors.append(error)

    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "acks": "all",
            "topic.metadata.propagation.max.ms": 2000,
        }
    )
    producer.produce(topic, value, b"key", headers=HEADERS, on_delivery=delivered)
    producer.flush(30)
    for error in errors:
        raise KafkaException(error)


def first_message(reader: Consumer, topic: str) -> Message:
    reader.assign([TopicPartition(topic, 0, 0)])
    message = reader.poll(20)
    assert message is not None, "nothing came within 20 s"
    assert message.error() is None
    return message

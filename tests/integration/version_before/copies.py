"""A log on MongoDB, a topic of Kafka and a read database on PostgreSQL as text files: written from servers, and loaded
into others."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pymongo
from bson import json_util
from confluent_kafka import Consumer, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from integration.version_before.recording import read_lines, write_lines
from local.programs import find_postgres

_EXACT = json_util.CANONICAL_JSON_OPTIONS
_to_json = partial(json_util.dumps, json_options=_EXACT)


def write_log(url: str, database: str, path: Path) -> None:
    """Every collection with its options and indexes, then every document, as lines of extended JSON."""
    with pymongo.MongoClient[dict[str, Any]](url, timeoutMS=20_000) as client:
        source = client[database]
        collections = sorted(source.list_collections(), key=lambda each: str(each["name"]))
        lines: list[dict[str, Any]] = [
            {
                "collection": each["name"],
                "options": each.get("options", {}),
                "indexes": [dict(index) for index in source[each["name"]].list_indexes()],
            }
            for each in collections
        ]
        for name in [each["name"] for each in collections]:
            lines += [{"collection": name, "document": document} for document in source[name].find().sort("_id")]
    write_lines(path, lines, _to_json)


def load_log(path: Path, url: str, database: str) -> None:
    """The receipts become those of today and the writer's claim is still on, since both expire."""
    now = datetime.now(UTC)
    with pymongo.MongoClient[dict[str, Any]](url, timeoutMS=20_000) as client:
        target = client.get_database(database, write_concern=pymongo.WriteConcern("majority"))
        for line in read_lines(path, partial(json_util.loads, json_options=_EXACT)):
            name, document = line["collection"], line.get("document")
            if document is None:
                target.create_collection(name, **line["options"])
                for index in line["indexes"]:
                    options = {key: value for key, value in index.items() if key not in ("v", "key")}
                    if index["name"] != "_id_":
                        target[name].create_index(list(index["key"].items()), **options)
                continue
            for field, moment in (("keptAt", now), ("until", now + timedelta(seconds=5))):
                if field in document and name != "relay":
                    document[field] = moment
            target[name].insert_one(document)


def write_topic(bootstrap: str, topic: str, path: Path) -> None:
    """Every message, partition by partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "copy", "enable.auto.commit": False})
    try:
        partitions = sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        messages = [message for partition in partitions for message in _messages(consumer, topic, partition)]
    finally:
        consumer.close()
    write_lines(path, messages)


def _messages(consumer: Consumer, topic: str, partition: int) -> Sequence[Mapping[str, Any]]:
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
    consumer.assign([TopicPartition(topic, partition, 0)])
    found: list[Mapping[str, Any]] = []
    while len(found) < end:
        message = consumer.poll(10)
        assert message is not None, "Kafka sends nothing"
        assert message.error() is None, message.error()
        assert message.offset() == len(found), "the topic has a gap"
        headers = [(name, value.decode()) for name, value in message.headers() or []]
        found.append(
            {"partition": partition, "key": _text(message.key()), "value": _text(message.value()), "headers": headers}
        )
    return found


def _text(stored: bytes | None) -> str | None:
    return None if stored is None else stored.decode()


def topic_id(bootstrap: str, topic: str) -> str:
    """Chosen by the broker when the topic is made."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    return str(admin.describe_topics(TopicCollection([topic]))[topic].result(20).topic_id)


def load_topic(path: Path, bootstrap: str, topic: str) -> None:
    """Into an empty topic: each message gets the offset that it had."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True})
    failed: list[object] = []
    for message in read_lines(path):
        producer.produce(
            topic,
            partition=message["partition"],
            key=message["key"],
            value=message["value"],
            headers=[(name, value.encode()) for name, value in message["headers"]],
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )
    assert producer.flush(20) == 0
    assert not failed


def write_rows(psycopg_url: str, path: Path) -> None:
    """Tables and rows, as SQL."""
    folder = find_postgres()
    assert folder is not None
    arguments = ["--inserts", "--no-owner", "--no-privileges", "--no-comments", psycopg_url]
    dumped = subprocess.run([folder / "pg_dump", *arguments], capture_output=True, text=True, check=True).stdout
    # What begins with a backslash is for psql, and the settings at the top are for the version that wrote them.
    lines = [line for line in dumped.splitlines() if not re.match(r"\\|--|SET |$", line)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def load_rows(path: Path, psycopg_url: str, topic_id: str) -> None:
    """The checkpoints get the id of the topic that the messages were loaded into."""
    with psycopg.connect(psycopg_url) as connection:
        connection.execute(path.read_text(encoding="utf-8").encode())
        connection.execute("UPDATE public.checkpoints SET topic_id = %s WHERE topic_id IS NOT NULL", (topic_id,))

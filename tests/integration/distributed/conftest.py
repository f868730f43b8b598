"""Places for whole systems: on the servers that all tests share, and on those that may be killed."""

from collections.abc import Iterator

import pytest

from integration.distributed.system import Place, new_place
from local.kafka import Kafka
from local.mongod import ReplicaSet
from local.postgres import Postgres

pytest.register_assert_rewrite("integration.distributed.evidence")


@pytest.fixture
def place(mongo_url: str, kafka_bootstrap: str, postgres_url: str) -> Iterator[Place]:
    with new_place(mongo_url, kafka_bootstrap, postgres_url) as place:
        yield place


@pytest.fixture
def killable_place(killable_mongod: ReplicaSet, killable_kafka: Kafka, killable_postgres: Postgres) -> Iterator[Place]:
    with new_place(killable_mongod.url, killable_kafka.bootstrap, killable_postgres.url) as place:
        yield place
        for server in (killable_mongod, killable_kafka, killable_postgres):
            server.heal()

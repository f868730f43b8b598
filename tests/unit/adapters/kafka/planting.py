"""The broker that librdkafka brings along for tests: it answers what it is told to. Python's client has no way to tell
it, so this calls the client's own library."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from importlib.metadata import distribution

from adapters.kafka.client import KafkaConnection

PARTITIONS = 3


class Request(IntEnum):
    """By the numbers of Kafka's protocol."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    SYNC_GROUP = 14
    INIT_PRODUCER_ID = 22


class PlantedBroker:
    """Has the topic `posts`. What is planted for a request is the answer to the next one of its kind."""

    def __init__(self, library: ctypes.CDLL, cluster: int) -> None:
        self._library = library
        self._cluster = ctypes.c_void_p(cluster)
        library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        bootstrap: bytes = library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        self.connection = KafkaConnection(bootstrap_servers=bootstrap.decode())
        library.rd_kafka_mock_topic_create(self._cluster, b"posts", PARTITIONS, 1)

    def plant(self, request: Request, code: int, times: int = 1) -> None:
        errors = (ctypes.c_int * times)(*[code] * times)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(request), ctypes.c_size_t(times), errors
        )

    def clear(self, request: Request) -> None:
        self._library.rd_kafka_mock_clear_request_errors(self._cluster, ctypes.c_int16(request))


@contextmanager
def planted_broker() -> Iterator[PlantedBroker]:
    library = ctypes.CDLL(_library())
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(library, name).restype = ctypes.c_void_p
    conf = ctypes.c_void_p(library.rd_kafka_conf_new())
    library.rd_kafka_conf_set(conf, b"log_level", b"0", None, ctypes.c_size_t(0))
    client = ctypes.c_void_p(library.rd_kafka_new(0, conf, None, ctypes.c_size_t(0)))
    cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(client, 1))
    assert cluster.value is not None
    try:
        yield PlantedBroker(library, cluster.value)
    finally:
        library.rd_kafka_mock_cluster_destroy(cluster)
        library.rd_kafka_destroy(client)


def _library() -> str:
    files = distribution("confluent-kafka").files or []
    [found] = [file for file in files if file.name.startswith("librdkafka") and ".so" in file.name]
    return str(found.locate())

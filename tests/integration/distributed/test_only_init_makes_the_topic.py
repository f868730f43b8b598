"""On a broker with default settings, which makes each topic that a client names, with one partition."""

from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from integration.distributed.system import PARTITIONS, Place, System
from running import ticks


def topics(bootstrap: str) -> dict[str, int]:
    """Each topic with the number of its partitions. It names none."""
    listed = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=10).topics
    return {name: len(topic.partitions) for name, topic in listed.items()}


@pytest.mark.long
def test_doctor_relay_and_projector_leave_the_topic_to_init(tmp_path: Path, place: Place):
    with System(tmp_path, place.settings) as system:
        system.init(POSTLOG__BUS__ADAPTER="log")  # everything but the topic
        system.start("relay", "relay")
        system.start("projector", "project")
        told = system.run("doctor")
        missing = f"Kafka at {place.kafka_bootstrap} has no topic {place.topic}. Run `postlog init`, which creates it."
        assert (told.returncode, missing in told.stdout) == (2, True)
        for name in ("relay", "projector"):
            for _ in ticks(40, f"the {name} does not say that the topic is missing"):
                if f"has no topic {place.topic}" in system[name].printed:
                    break
        assert place.topic not in topics(place.kafka_bootstrap)

        system.init()

        assert topics(place.kafka_bootstrap)[place.topic] == PARTITIONS
        system.wait_until_ready("relay", "projector")
        assert "is a consumer property" not in system.printed()
        assert topics(place.kafka_bootstrap)[place.topic] == PARTITIONS

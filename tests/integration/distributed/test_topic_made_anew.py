"""The topic is deleted and recreated under running processes: the projector says so, and reads from the log what the
old one had."""

from pathlib import Path

import pytest

from integration.distributed.evidence import assert_rows_tell, commits_of, rows_of
from integration.distributed.system import Place, System, delete_topic
from integration.distributed.writers import writing
from running import ticks

SERVICES = {
    "commands": ("serve", "command"),
    "queries": ("serve", "query"),
    "relay": ("relay",),
    "projector": ("project",),
}


@pytest.mark.long
def test_a_topic_that_is_deleted_with_messages_unread_and_made_anew_loses_nothing(tmp_path: Path, place: Place):
    with System(tmp_path, place.settings) as system:
        system.start_all(SERVICES)
        with writing(2, system.url("commands")) as writers:
            writers.wait_for_more(50)
            system.kill("projector")
            writers.wait_for_more(50)
            delete_topic(place.kafka_bootstrap, place.topic)
            writers.wait_for_more(50)
            for _ in ticks(30, "the topic is not recreated"):
                if system.run("init").returncode == 0:
                    break
            system.again("projector")
            writers.wait_for_more(50)
            acknowledged = writers.stop()

        system.wait_for_lag_0("queries", len(commits_of(place)))
        assert_rows_tell(rows_of(place), acknowledged)
        assert "the topic was recreated" in system["projector"].printed
        assert system.run("audit").returncode == 0

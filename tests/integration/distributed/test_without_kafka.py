"""The log in MongoDB and no Kafka: projectors follow the log itself, and of two each change is made once."""

from pathlib import Path

import pytest

from integration.distributed.evidence import (
    assert_acknowledged_once,
    assert_dense,
    assert_rows_tell,
    commits_of,
    rows_of,
)
from integration.distributed.system import Place, System
from integration.distributed.writers import writing
from local.ports import free_port

SERVICES = {
    "commands": ("serve", "command"),
    "queries": ("serve", "query"),
    "projector": ("project",),
    "second projector": ("project",),
}


@pytest.mark.long
def test_two_projectors_follow_the_log_itself_and_one_goes_on_when_the_other_is_killed(tmp_path: Path, place: Place):
    settings = place.settings | {
        "POSTLOG__BUS__ADAPTER": "log",
        "POSTLOG__BUS__KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
    }
    with System(tmp_path, settings) as system:
        system.start_all(SERVICES)
        with writing(4, system.url("commands")) as writers:
            writers.wait_for_more(100)
            system.kill("projector")
            writers.wait_for_more(100)
            system.again("projector")
            writers.wait_for_more(100)
            acknowledged = writers.stop()
        commits = commits_of(place)
        assert_dense(commits)
        assert_acknowledged_once(commits, acknowledged)
        system.wait_for_lag_0("queries", len(commits))
        assert_rows_tell(rows_of(place), acknowledged)
        audited = system.run("audit")
        assert audited.returncode == 0, audited.stdout

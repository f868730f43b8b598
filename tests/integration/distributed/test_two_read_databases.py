"""Two read databases in PostgreSQL behind one bus, with the same settings but the address: each gets everything. And a
rebuild whose live rows are far behind, because no projector runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from integration.distributed.evidence import assert_rows_tell, commits_of, rows_of
from integration.distributed.system import PARTITIONS, Place, System
from integration.distributed.writers import writing
from local.databases import fresh_postgres_database
from running import ticks

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


def test_two_read_databases_each_get_everything_and_swap_to_where_their_rebuild_stands(
    tmp_path: Path, place: Place, postgres_url: str
):
    with fresh_postgres_database(postgres_url) as second_url, System(tmp_path, place.settings) as system:
        elsewhere = {"POSTLOG__READ_DB__POSTGRES__URL": second_url}
        system.init()
        system.init(**elsewhere)
        system.start("commands", "serve", "command")
        system.start("relay", "relay")
        for name, env in (("first", {}), ("second", elsewhere)):
            system.start(f"{name} queries", "serve", "query", **env)
            system.start(f"{name} projector", "project", **env)
        system.wait_until_ready("commands", "relay", "first projector", "second projector")

        with writing(2, system.url("commands")) as writers:
            writers.wait_for_more(60)
            for _ in ticks(60, "one of the read databases gets nothing"):
                if all(has_begun(system, name) for name in ("first", "second")):
                    break
            for name in ("first", "second"):
                system.kill(f"{name} projector")
            writers.wait_for_more(60)
            acknowledged = writers.stop()
        tip = len(commits_of(place))
        rebuilt = system.run("rebuild")
        assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
        swapped = system.get("first queries", "/api/v1/read-db").json()
        assert (swapped["generation"], swapped["position"], swapped["lag"]) == (2, tip, 0)
        assert 0 < system.get("second queries", "/api/v1/read-db").json()["position"] < tip

        for name in ("first", "second"):
            system.again(f"{name} projector")
        for _ in ticks(60, "the second read database does not come to the end of the log"):
            assert system.get("first queries", "/api/v1/read-db").json()["position"] == tip
            if system.get("second queries", "/api/v1/read-db").json()["lag"] == 0:
                break
        for each in (place, replace(place, postgres_url=second_url)):
            assert_rows_tell(rows_of(each), acknowledged)
        assert system.run("audit").returncode == 0
        assert system.run("audit", **elsewhere).returncode == 0


def has_begun(system: System, name: str) -> bool:
    """Whether every partition has begun."""
    status = system.get(f"{name} queries", "/api/v1/read-db").json()
    return len(status["partitions"]) == PARTITIONS and all(each["position"] for each in status["partitions"])

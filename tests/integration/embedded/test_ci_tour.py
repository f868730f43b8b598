"""`.ci/tour`, which CI runs against compose.yaml, against the same processes without Kafka and on SQLite."""

import subprocess
from pathlib import Path

import pytest

from integration.distributed.system import System
from running import POSTLOG, environment

TOUR = Path(__file__).parents[3] / ".ci" / "tour"


def tour(commands: str, queries: str, data: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TOUR, commands, queries, "env", f"POSTLOG_DATA={data}", POSTLOG],
        env=environment({"TMPDIR": str(data)}),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.long
def test_it_runs_the_readme_s_tour_on_a_command_side_and_a_query_side(tmp_path: Path):
    data = tmp_path / "data"
    with System(tmp_path, {"POSTLOG_DATA": str(data)}) as system:
        system.start_all({"command": ("serve", "command"), "project": ("project",), "query": ("serve", "query")})
        done = tour(system.url("command"), system.url("query"), data)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("The tour works.\n")
    assert not [file.name for file in data.iterdir() if "sqlite" not in file.name]


def test_it_fails_where_a_part_of_the_tour_fails(tmp_path: Path):
    nobody = "http://127.0.0.1:1"
    done = tour(nobody, nobody, tmp_path)
    assert done.returncode != 0
    assert "The tour works." not in done.stdout

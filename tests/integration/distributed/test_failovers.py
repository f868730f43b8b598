"""One failover after the other, of three MongoDB nodes, under relays, projectors, followers of the log and command
processes: no process ends by itself, none is deaf when the nodes are well again, and nothing is lost."""

import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from integration.distributed.evidence import (
    assert_acknowledged_once,
    assert_dense,
    assert_rows_tell,
    commits_of,
    rows_of,
)
from integration.distributed.system import Place, System, new_place
from integration.distributed.writers import writing
from local.mongod import ReplicaSet
from running import POSTLOG, ticks

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[3]
RELAYS = ("relay", "second relay", "third relay")
SERVICES = {
    "commands": ("serve", "command"),
    "second commands": ("serve", "command"),
    "queries": ("serve", "query"),
    **dict.fromkeys(RELAYS, ("relay",)),
    "projector": ("project",),
    "second projector": ("project",),
}
FOLLOWERS = ("follower", "second follower")
EVERYBODY = (*SERVICES, *FOLLOWERS)
SOON = 30.0
"""Seconds; on a busy machine an election takes a while as well."""

NEVER_SAID = ("bug in Postlog", "Traceback", "RawBSONDocument", "Sessions are not supported", "never retrieved")


def newest_other_python() -> Path | None:
    """The newest interpreter on this machine, on the PATH or of pyenv, if it is newer than the one of the tests."""
    for minor in range(20, sys.version_info.minor, -1):
        name = f"python3.{minor}"
        on_path = [Path(found)] if (found := shutil.which(name)) else []
        for python in (*on_path, *sorted(Path.home().glob(f".pyenv/versions/*/bin/{name}"))):
            if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
                return python
    return None


@pytest.fixture(params=["this Python", "the newest Python"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Postlog, installed for that interpreter."""
    if request.param == "this Python":
        return POSTLOG
    python = newest_other_python()
    if python is None:
        pytest.skip("there is no newer Python on this machine")
    home = tmp_path_factory.mktemp("newest")
    uv = Path(sys.executable).with_name("uv")
    try:
        for step in (
            ["venv", "--quiet", "--python", python, home / "venv"],
            ["pip", "install", "--quiet", "--python", home / "venv", "--require-hashes", "-r", "requirements-dev.txt"],
            ["pip", "install", "--quiet", "--python", home / "venv", "--no-deps", "--editable", "."],
        ):
            subprocess.run([uv, *step], cwd=ROOT, check=True, timeout=300)
    except subprocess.SubprocessError as error:
        pytest.skip(f"Postlog can't be installed for {python}: {error}")
    return home / "venv" / "bin" / "postlog"


@pytest.fixture
def cluster_place(three_nodes: ReplicaSet, kafka_bootstrap: str, postgres_url: str) -> Iterator[Place]:
    with new_place(three_nodes.url, kafka_bootstrap, postgres_url) as place:
        yield place
        three_nodes.heal()


class Faults:
    """Of the nodes and of the processes, by a seed."""

    def __init__(self, nodes: ReplicaSet, system: System, chance: random.Random) -> None:
        self._nodes = nodes
        self._system = system
        self._chance = chance
        self.killed: set[str] = set()

    def happen(self) -> None:
        fault: Callable[[], None] = self._chance.choice(
            [self._step_down, self._step_down, self._kill_primary, self._freeze_primary, self._kill_process]
        )
        fault()

    def _step_down(self) -> None:
        self._nodes.step_down(self._nodes.wait_for_primary())

    def _kill_primary(self) -> None:
        primary = self._nodes.wait_for_primary()
        self._nodes.kill(primary)
        self._nodes.wait_for_primary(other_than=primary)
        self._nodes.restart(primary)

    def _freeze_primary(self) -> None:
        primary = self._nodes.wait_for_primary()
        self._nodes.freeze(primary)
        self._nodes.wait_for_primary(other_than=primary)
        self._nodes.thaw(primary)

    def _kill_process(self) -> None:
        name = self._chance.choice(EVERYBODY)
        self._system.kill(name)
        self._system.again(name)
        self.killed.add(name)


def metric(system: System, name: str, of: str) -> float | None:
    for line in system.get(name, "/metrics").text.splitlines():
        if line.startswith(f"{of} "):
            return float(line.split()[1])
    return None


def assert_alive(system: System) -> None:
    for name in EVERYBODY:
        status = system[name].process.poll()
        assert status is None, f"{name} ended by itself with status {status}:\n{system[name].printed[-4000:]}"


def wait_until_nobody_is_deaf(system: System) -> None:
    for name in EVERYBODY:
        for _ in ticks(SOON, f"{name} is deaf:\n{system[name].printed[-4000:]}"):
            with suppress(httpx.TransportError):
                if system.get(name, "/health/ready").status_code == httpx.codes.OK:
                    break
    for name in (*RELAYS, "projector", "second projector", *FOLLOWERS):
        gauge = "postlog_relay_lag" if name in RELAYS else "postlog_projector_lag"
        for _ in ticks(SOON, f"{name} does not come back to a lag of 0:\n{system[name].printed[-4000:]}"):
            if metric(system, name, gauge) == 0:
                break
    for _ in ticks(SOON, "not exactly one relay is active"):
        if sum(metric(system, name, "postlog_relay_active") or 0 for name in RELAYS) == 1:
            return


@pytest.mark.parametrize("seed", [1, 2])
def test_failovers_end_no_process_deafen_none_and_lose_nothing(
    tmp_path: Path, three_nodes: ReplicaSet, cluster_place: Place, program: Path, seed: int
) -> None:
    three_nodes.wait_for_primary()
    with System(tmp_path, cluster_place.settings, program) as system:
        system.start_all(SERVICES)
        for name in FOLLOWERS:
            own = {"POSTLOG_DATA": str(tmp_path / name), "POSTLOG__READ_DB__ADAPTER": "sqlite"}
            system.start(name, "project", POSTLOG__BUS__ADAPTER="log", **own)
        system.wait_until_ready(*FOLLOWERS)
        faults = Faults(three_nodes, system, random.Random(seed))
        with writing(6, system.url("commands"), system.url("second commands"), pause=0.05) as writers:
            for _ in range(10):
                writers.wait_for_more(40, deadline=90)
                faults.happen()
                assert_alive(system)
            writers.wait_for_more(40, deadline=90)
            acknowledged = writers.stop()
        three_nodes.heal()
        wait_until_nobody_is_deaf(system)
        assert_alive(system)
        commits = commits_of(cluster_place)
        assert_dense(commits)
        assert_acknowledged_once(commits, acknowledged)
        system.wait_for_lag_0("queries", len(commits))
        assert_rows_tell(rows_of(cluster_place), acknowledged)
        audited = system.run("audit", "--json")
        assert audited.returncode == 0, audited.stdout + audited.stderr
        printed = system.printed()
        assert [words for words in NEVER_SAID if words in printed] == []

"""`postlog run` and a continuous audit, watched by a real Prometheus: the alerts that need no other server are walked.
What each is for is provoked, it fires, the commands of its runbook are run, and the system is healthy again."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from integration.distributed.system import System
from integration.embedded.test_continuous_audit import change_by_hand
from integration.embedded.test_log_with_a_gap import SENTENCE, holed, put_back
from integration.embedded.test_newer_events import append_newer
from integration.observability.watched import Watched, watched
from local.find import Servers
from newer_code import newer_code

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]  # building Prometheus takes minutes

SERVICES = {"run": ("run",), "audit": ("audit", "--continuous")}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of its own, if this user may mount one."""
    folder = tmp_path_factory.mktemp("data")
    mounted = resized(folder, "4g")
    yield folder
    if mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="module")
def embedded(servers: Servers, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    with System(folder, {"POSTLOG_DATA": str(data)}) as system:
        system.start_all(SERVICES)
        for number in range(1, 7):
            assert create(system, f"post {number}")
        with watched(servers, system, folder, {"postlog": "run", "postlog-audit": "audit"}) as system_and_alerts:
            yield system_and_alerts


def create(system: System, message: str) -> str:
    """Its id, once its row is there."""
    body = {"author": "Ann", "message": message}
    created = httpx.post(f"{system.url('run')}/api/v1/posts", json=body, timeout=20)
    assert created.is_success, created.text
    position = {"Postlog-Min-Position": str(created.json()["position"])}
    assert system.get("run", f"/api/v1/posts/{created.json()['id']}", **position).is_success
    return str(created.json()["id"])


def resized(folder: Path, size: str) -> bool:
    """The disk mounted there; mounted, if there is none. False if that is not possible."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    again = "remount," if folder.is_mount() else ""
    command = ["mount", "-t", "tmpfs", "-o", f"{again}size={size}", "postlog-tests", str(folder)]
    return subprocess.run(command, check=False).returncode == 0


def test_rows_are_changed_by_hand(embedded: Watched, data: Path) -> None:
    embedded.wait_until_quiet()
    change_by_hand(data, create(embedded.system, "Hello"))
    embedded.wait_until_firing("PostlogRowsDiffer", job="postlog-audit")
    statuses, printed = embedded.run_the_runbook("PostlogRowsDiffer")
    assert statuses == [1, 1]
    assert "Forged" in printed
    embedded.is_healthy()
    assert embedded.system.run("audit").returncode == 0


def test_the_disk_is_almost_full(embedded: Watched, data: Path) -> None:
    if not data.is_mount():
        pytest.skip("only root may mount a small disk")
    embedded.wait_until_quiet()
    assert resized(data, "300m")
    embedded.wait_until_firing("PostlogDiskAlmostFull", setting="event_store.sqlite.path")
    statuses, printed = embedded.run_the_runbook("PostlogDiskAlmostFull")
    assert statuses == [2]
    assert "make room, or no command can be stored soon" in printed
    assert resized(data, "4g")
    embedded.is_healthy()


def test_commits_are_removed_from_the_log(embedded: Watched, data: Path) -> None:
    embedded.wait_until_quiet()
    for name in SERVICES:
        embedded.system[name].signal(signal.SIGTERM)
    rows = holed(data)
    for name in SERVICES:
        embedded.system.again(name)
    embedded.wait_until_firing("PostlogNotReady", check="positions", job="postlog")
    statuses, printed = embedded.run_the_runbook("PostlogNotReady")
    assert statuses == [1]
    assert SENTENCE in printed
    put_back(data, rows)
    embedded.is_healthy()
    assert embedded.system.run("events", "check").returncode == 0


def test_a_newer_version_wrote_an_event(embedded: Watched, data: Path, tmp_path: Path) -> None:
    """Deploying the newer version is the remedy, so this test is the last."""
    embedded.wait_until_quiet()
    append_newer(data, create(embedded.system, "Hello"))
    embedded.wait_until_firing("PostlogPostsParked", job="postlog")
    statuses, printed = embedded.run_the_runbook("PostlogPostsParked")
    assert statuses == [1, 1]
    assert "run a newer one" in printed
    newer = newer_code(tmp_path)
    for name in SERVICES:
        embedded.system[name].signal(signal.SIGTERM)
        embedded.system.again(name, **newer)
    embedded.is_healthy(**newer)
    statuses, _ = embedded.run_the_runbook("PostlogPostsParked", **newer)
    assert statuses == [0, 0]

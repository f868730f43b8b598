"""The commands of the tutorials do what the tutorials say, in a copy of this repository."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import POSTLOG, Running, environment

ROOT = Path(__file__).parents[3]
NOT_COPIED = shutil.ignore_patterns(".venv", ".git", "var", "__pycache__", ".*_cache", ".hypothesis", "bench-results")
CHANGE_AN_EVENT = (ROOT / "docs/tutorials/change-an-event.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", CHANGE_AN_EVENT, re.MULTILINE | re.DOTALL)

FOLDERS = " ".join(f"tests/unit/{folder}" for folder in ("domain", "adapters/wire", "application"))
QUICK_TESTS = f"{sys.executable} -m pytest -q -p no:cacheprovider -m 'not long' {FOLDERS}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Copy:
    """Its own sources, with the environment that is installed here; `variables` live from block to block."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "repository"
        shutil.copytree(ROOT, self.root, ignore=NOT_COPIED, symlinks=True)
        (self.root / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
        self.port = str(free_port())
        self.variables = {
            "PYTHONPATH": str(self.root / "src"),
            "POSTLOG_DATA": str(folder / "data"),
            "PORT": self.port,
            "MAKEFLAGS": "-o .venv/.installed",
        }

    def serve(self, folder: Path) -> Running:
        return Running(folder, "run", env=self.variables, program=POSTLOG)

    def run(self, block: str) -> tuple[int, str]:
        """Status and output; the shell's own variables are kept."""
        script = block.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}").replace("make test-unit", QUICK_TESTS)
        kept = "trap 'for name in POST POSTS JSON; do echo; echo \"kept $name=${!name-}\"; done' EXIT"
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", f"{kept}\n{script}"],
            cwd=self.root,
            env=environment(self.variables) | {"PATH": os.environ["PATH"]},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )
        self.variables |= dict(re.findall(r"^kept (\w+)=(.+)$", done.stdout, re.MULTILINE))
        return done.returncode, done.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    yield Copy(tmp_path)
    shutil.rmtree(tmp_path / "repository")


@pytest.mark.long
def test_an_event_is_changed_with_old_data_in_place(copy: Copy, tmp_path: Path) -> None:
    old_data, failing_test, new_field, new_version, expected, deploy = BLOCKS

    with copy.serve(tmp_path / "before") as service:
        service.address(60)
        status, printed = copy.run(old_data)
        assert (status, printed.count('"version":')) == (0, 2), printed

        status, printed = copy.run(failing_test)
        assert status == 1
        assert "PostUnliked" in printed

        assert copy.run(new_field)[0] == 0
        status, printed = copy.run("make check")
        assert status == 2
        assert "PostUnliked, schema version 1: field reason was added" in printed

        status, printed = copy.run(new_version)
        assert status == 0, printed
        assert "wrote docs/schemas/PostUnliked.v2.json" in printed

        status, printed = copy.run(expected)
        assert status == 0, printed

        check, history = deploy.splitlines(keepends=True)
        status, printed = copy.run(check)
        assert (status, "this version can read all of them" in printed) == (0, True), printed
        assert service.signal(signal.SIGINT) == 0

    with copy.serve(tmp_path / "after") as service:
        service.address(60)
        status, printed = copy.run(history)
        assert status == 0
        assert '"schemaVersion":2,"storedType":"PostUnliked","storedSchemaVersion":1' in printed
        assert '"data":{"username":"Bob","reason":null}' in printed


def test_the_tutorial_is_short() -> None:
    assert len(CHANGE_AN_EVENT.splitlines()) < 40

"""The commands of the tutorials do what the tutorials say, in a copy of this repository."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from running import POSTLOG, Running, environment

ROOT = Path(__file__).parents[3]
NOT_COPIED = shutil.ignore_patterns(".venv", ".git", "var", "__pycache__", ".*_cache", ".hypothesis", "bench-results")
CHANGE_AN_EVENT = (ROOT / "docs/tutorials/change-an-event.md").read_text(encoding="utf-8")
ADD_AN_EVENT = (ROOT / "docs/tutorials/add-an-event-and-a-view.md").read_text(encoding="utf-8")

OF_AN_EVENT = ("domain", "adapters/wire", "application", "tools")
OF_A_VIEW = (*OF_AN_EVENT, "adapters/sqlite/test_read_db_on_sqlite.py", "adapters/memory", "entrypoints/http")


def blocks_of(tutorial: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", tutorial, re.MULTILINE | re.DOTALL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Copy:
    """Its own sources, with the environment that is installed here; `variables` live from block to block."""

    def __init__(self, folder: Path, unit_tests: Sequence[str]) -> None:
        self.root = folder / "repository"
        shutil.copytree(ROOT, self.root, ignore=NOT_COPIED, symlinks=True)
        (self.root / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
        self.port = str(free_port())
        folders = " ".join(f"tests/unit/{each}" for each in unit_tests)
        self._unit_tests = f"{sys.executable} -m pytest -q -p no:cacheprovider -m 'not long' {folders}"
        self.variables = {
            "PYTHONPATH": str(self.root / "src"),
            "POSTLOG_DATA": str(folder / "data"),
            "PORT": self.port,
        }

    def serve(self, folder: Path) -> Running:
        return Running(folder, "run", env=self.variables, program=POSTLOG)

    def run(self, block: str) -> tuple[int, str]:
        """Status and output; the shell's own variables are kept."""
        script = block.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")
        script = re.sub("make (.*)test-unit", rf"make \1\n{self._unit_tests}", script).replace("make \n", "")
        # The environment belongs to the original: never install the copy into it.
        script = re.sub("^make ", "make -o .venv/.installed ", script, flags=re.MULTILINE)
        kept = "trap 'for name in POST POSTS JSON ID; do echo; echo \"kept $name=${!name-}\"; done' EXIT"
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


@contextmanager
def copied(folder: Path, unit_tests: Sequence[str]) -> Iterator[Copy]:
    yield Copy(folder, unit_tests)
    shutil.rmtree(folder / "repository")


@pytest.mark.long
def test_an_event_is_changed_with_old_data_in_place(tmp_path: Path) -> None:
    with copied(tmp_path, OF_AN_EVENT) as copy:
        change_an_event(copy, tmp_path)


def change_an_event(copy: Copy, tmp_path: Path) -> None:
    old_data, failing_test, new_field, new_version, expected, deploy = blocks_of(CHANGE_AN_EVENT)

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


@pytest.mark.long
def test_an_event_and_a_column_are_added_with_old_data_in_place(tmp_path: Path) -> None:
    with copied(tmp_path, OF_A_VIEW) as copy:
        add_an_event_and_a_view(copy, tmp_path)


def add_an_event_and_a_view(copy: Copy, tmp_path: Path) -> None:
    old_data, failing_test, domain, stored, unhandled, row, column, pages, checks, deploy = blocks_of(ADD_AN_EVENT)

    with copy.serve(tmp_path / "before") as service:
        service.address(60)
        status, printed = copy.run(old_data)
        assert (status, len(copy.variables["ID"])) == (0, 36), printed
        status, printed = copy.run(failing_test)
        assert (status, "cannot import name 'PinPost'" in printed) == (2, True), printed
        status, printed = copy.run(domain)
        assert (status, "3 passed" in printed) == (0, True), printed
        status, printed = copy.run(stored)
        assert status == 0, printed
        status, printed = copy.run(unhandled)
        assert (status, "src/application/projections/post.py" in printed) == (1, True), printed
        for block in (row, column, pages):
            status, printed = copy.run(block)
            assert status == 0, printed
        status, printed = copy.run(checks)
        assert (status, "wrote docs/schemas/PostPinned.v1.json" in printed) == (0, True), printed
        assert service.signal(signal.SIGINT) == 0

    with copy.serve(tmp_path / "after") as service:
        service.address(60)
        status, printed = copy.run(deploy)
        assert status == 0, printed
        post, events, page = [line for line in printed.splitlines() if line and not line.startswith("kept")]
        assert '"message":"Hi"' in post
        assert '"pinned":true' in post
        assert '"type":"PostPinned"' in events
        assert page == '<p class="badge">Pinned</p>'
        audit = f"{sys.executable} -m entrypoints.cli.main audit"
        status, printed = copy.run(audit)
        assert status == 0, printed


def test_every_file_that_the_tutorial_touches_is_named_in_its_text() -> None:
    """By its path in a command, so that a reader sees what changes where."""
    for path in re.findall(r"^\+\+\+ b/(.*)$", ADD_AN_EVENT, re.MULTILINE):
        prose = re.sub(r"^```sh\n.*?^```$", "", ADD_AN_EVENT, flags=re.MULTILINE | re.DOTALL)
        assert Path(path).name in prose, path


def test_the_tutorial_is_short() -> None:
    assert len(CHANGE_AN_EVENT.splitlines()) < 40

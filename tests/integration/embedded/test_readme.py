"""The first screen and the tour of the README do what the README says. The wheel has a test of its own."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from running import POSTLOG, Running, environment

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOUR = README.partition("## A short tour\n")[2].partition("\n## ")[0]
CONSOLE = re.findall(r"^\$ (.*)$", README, re.MULTILINE)


def blocks_of(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory):
    """`make run`, with its data and port out of the way."""
    data = tmp_path_factory.mktemp("readme")
    env = {"POSTLOG_DATA": str(data), "PORT": "0"}
    with Running(data, "--no-print-directory", "-C", str(ROOT), "run", program="make", env=env) as running:
        yield running.address(60), data, running
        running.signal_group(signal.SIGINT)


def run(script: str, address: str, data: Path) -> str:
    script = script.replace("http://localhost:8000", address).replace("localhost:8000", address)
    env = environment({"POSTLOG_DATA": str(data)})
    if not (data / ".venv").exists():
        (data / ".venv").symlink_to(POSTLOG.parents[1])
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=data,
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, f"{script}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def test_the_two_commands_are_make_run_and_make_test():
    assert [line.split("#")[0].strip() for line in blocks_of(README)[0].splitlines()] == ["make run", "make test"]


def test_the_first_screen_shows_what_happens(service):
    address, data, _ = service
    created, listed = (run(command, address, data) for command in CONSOLE)

    assert '"version":1,"position":' in created
    assert '"author":"Ann","datePosted":' in listed
    assert '"message":"Hello"' in listed


def test_the_tour_works(service):
    address, data, _ = service
    printed = run("\n".join(blocks_of(TOUR)), address, data)

    assert '"likes":1' in printed
    assert '"type":"PostLiked"' in printed
    assert '"likes":0' in printed
    assert "is live" in printed
    assert "no differences" in printed

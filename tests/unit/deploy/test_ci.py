"""The workflow and its scripts, as far as they go without Docker and without GitHub."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from missing import skip_or_fail

ROOT = Path(__file__).parents[3]
CI = ROOT / ".ci"
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
SCRIPTS = [*sorted(CI.iterdir()), ROOT / "deploy" / "make-secrets.sh"]
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"


def docker_script(*words: str, env: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "ACCEPT_EULA"}
    return subprocess.run(
        [CI / "docker", *words], env=kept | env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def commands() -> list[list[str]]:
    """What .ci/docker would execute."""
    done = docker_script("--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    return [shlex.split(line.removeprefix("+ ")) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([shellcheck, script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.long
def test_actionlint_finds_nothing(tmp_path: Path) -> None:
    """It is built from its Go module, and reads the scripts in the workflow with shellcheck."""
    if shutil.which("go") is None:
        skip_or_fail("actionlint is built with go, which is not on the PATH")
    go = {**os.environ, "GOBIN": str(tmp_path), "GOFLAGS": "-mod=mod"}
    subprocess.run(["go", "install", ACTIONLINT], env=go, check=True, timeout=600)
    shellcheck = Path(sys.executable).with_name("shellcheck")
    command = [tmp_path / "actionlint", "-shellcheck", shellcheck, WORKFLOW]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_each_job_checks_out_and_runs_one_script_with_actions_pinned_by_hash() -> None:
    jobs: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    for job in jobs.values():
        used = [step["uses"] for step in job["steps"] if "uses" in step]
        assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action) for action in used)
    scripts = [re.findall(r"^bash (\S+)$", step.get("run", "")) for job in jobs.values() for step in job["steps"]]
    assert sorted(script for found in scripts for script in found) == [".ci/docker", ".ci/run"]
    assert jobs["docker"]["steps"][-1]["env"] == {"ACCEPT_EULA": "Y"}


def test_the_script_says_what_it_needs(tmp_path: Path) -> None:
    """A `docker` without a daemon, and one without a licence."""
    docker = tmp_path / "docker"
    path = f"{tmp_path}:{os.environ['PATH']}"
    for body, env, message in (
        ("exit 1", {}, "Docker Compose is missing: install Docker's plugin 'compose'."),
        ('[[ "$1" == compose ]]', {}, "No Docker daemon answers: start one, or set DOCKER_HOST."),
        ("exit 0", {}, "Accept the licences of SQL Server and its driver with ACCEPT_EULA=Y."),
    ):
        docker.write_text(f"#!/bin/bash\n{body}\n")
        docker.chmod(0o755)
        done = docker_script(env={"PATH": path, **env})
        assert (done.returncode, done.stderr.strip()) == (2, message)


def test_it_tests_the_adapters_then_runs_the_tour_and_leaves_nothing(commands: list[list[str]]) -> None:
    [tests] = [command for command in commands if command[0] == ".venv/bin/pytest"]
    paths = [word for word in tests[1:] if word.startswith("tests/")]
    assert paths
    assert all((ROOT / path).is_dir() for path in paths)
    compose = ["docker", "compose", "--project-directory", str(ROOT / "deploy"), "--project-name", "postlog-ci"]
    assert commands[-3:] == [
        [*compose, "up", "--build", "--wait"],
        [".ci/tour", "http://127.0.0.1:8000", "http://127.0.0.1:8001", *compose, "exec", "-T", "project", "postlog"],
        [*compose, "down", "--volumes"],
    ]


def test_the_tour_is_run_where_compose_publishes_the_processes(
    commands: list[list[str]], services: dict[str, dict[str, Any]]
) -> None:
    published = [service["ports"][0].rpartition(":")[0] for service in (services["command"], services["query"])]
    assert [word.removeprefix("http://") for word in commands[-2][1:3]] == published
    assert commands[-2][-2] in services

"""deploy/Dockerfile passes its linter and has what compose.yaml expects of it."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
LOCKS = ("requirements.txt", "requirements-otel.txt")
DOCKERFILE = ROOT / "deploy" / "Dockerfile"


def stages() -> dict[str, str]:
    """By name, in order: everything from its FROM on."""
    parts = re.split(r"^(?=FROM )", DOCKERFILE.read_text(), flags=re.MULTILINE)[1:]
    return {re.match(r"FROM \S+ AS (\S+)", part)[1]: part for part in parts}  # type: ignore[index]


def copied() -> set[str]:
    """Paths in the repository."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE.read_text(), re.MULTILINE)
    return {source.removeprefix("./") for line in lines for source in line.split()[:-1]}


def test_it_passes_hadolint() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_image_and_tool_is_pinned_to_a_version() -> None:
    text = DOCKERFILE.read_text()
    bases = set(re.findall(r"^FROM (\S+) AS", text, re.MULTILINE)) - set(stages())
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-bookworm", bases.pop())
    assert re.search(r"^ARG MSODBCSQL_VERSION=18\.\d+\.\d+\.\d+-\d+$", text, re.MULTILINE)


def test_what_postlog_needs_is_installed_by_hash() -> None:
    assert "--require-hashes --requirements requirements-otel.txt" in stages()["build"]
    assert "--require-hashes --requirement requirements-build.txt" in stages()["build"]
    for lock in ("requirements-otel.txt", "requirements-build.txt"):
        assert "--hash=sha256:" in (ROOT / lock).read_text()


def test_the_image_has_what_make_run_installs_in_the_same_versions_and_the_extra_otel() -> None:
    service, image = ({*re.findall(r"^(\S+==\S+)", (ROOT / lock).read_text(), re.MULTILINE)} for lock in LOCKS)
    assert len(service) > 20
    assert service <= image
    assert {pin.partition("==")[0] for pin in image - service} >= {
        "opentelemetry-sdk",
        "opentelemetry-exporter-otlp-proto-http",
    }
    assert not [pin for pin in service if pin.startswith("opentelemetry")]


def test_without_a_target_it_is_the_image_without_microsoft_s_driver() -> None:
    assert list(stages()) == ["build", "runtime", "with-sqlserver", "postlog"]
    assert stages()["postlog"].strip() == "FROM runtime AS postlog"
    assert stages()["with-sqlserver"].startswith("FROM runtime AS with-sqlserver")


def test_compose_builds_a_stage_that_exists(compose: dict[str, Any], variables: dict[str, str | None]) -> None:
    assert variables["IMAGE_TARGET"] in stages()
    example = (ROOT / "deploy" / ".env.example").read_text()
    assert set(re.findall(r"IMAGE_TARGET=(\S+)", example)) <= set(stages())
    arguments = set(re.findall(r"^ARG (\w+)$", DOCKERFILE.read_text(), re.MULTILINE))
    assert set(compose["services"]["command"]["build"]["args"]) == arguments


def test_it_never_runs_as_root() -> None:
    for name in ("runtime", "with-sqlserver"):
        assert re.findall(r"^USER (.+)$", stages()[name], re.MULTILINE)[-1] == "10001:10001"
    assert "--uid 10001" in stages()["runtime"]


def test_its_ports_are_the_defaults_of_the_commands() -> None:
    assert re.findall(r"^EXPOSE (.+)$", DOCKERFILE.read_text(), re.MULTILINE) == ["8000 8001 8002 8003 8004"]


def test_its_build_gets_what_it_copies_and_nothing_secret() -> None:
    ignored, *allowed = [
        line
        for line in (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert ignored == "*"
    assert {line.removeprefix("!") for line in allowed if line.startswith("!")} == copied()
    assert all((ROOT / path).exists() for path in copied())
    assert not any(fnmatch("deploy/secrets", path) for path in copied())


def test_no_host_but_the_container_s_own_is_named() -> None:
    """Where packages and images come from is for who builds: mirrors, Microsoft's repository."""
    for file in ("Dockerfile", "compose.yaml", "Dockerfile.dockerignore", ".env.example"):
        hosts = re.findall(r"https?://([\w.-]+)", (ROOT / "deploy" / file).read_text())
        assert set(hosts) <= {"127.0.0.1"}, file

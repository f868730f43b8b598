"""The units of deploy/systemd are valid, hardened, and say what the code does."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrypoints.cli.main import load_verb
from missing import skip_or_fail
from running import POSTLOG
from units import SYSTEMD, arguments, credentials, environment, units

README = (SYSTEMD.parent / "README.md").read_text()
NAMES = ["audit", "command", "init", "project", "query", "relay"]
PROCESSES = [name for name in NAMES if name != "init"]


@pytest.fixture
def analyze(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`systemd-analyze`, on copies of the units whose program exists."""
    program = shutil.which("systemd-analyze")
    if program is None:
        skip_or_fail("no systemd-analyze on this machine (Debian: 'systemd')")
    folder = shutil.copytree(SYSTEMD, tmp_path / "units")
    for unit in folder.glob("*.service"):
        unit.write_text(unit.read_text().replace("/opt/postlog/bin/postlog", str(POSTLOG)))

    def run(*words: str, units: list[str]) -> subprocess.CompletedProcess[str]:
        command = [program, "--no-pager", *words, *(str(folder / unit) for unit in units)]
        env = os.environ | {"SYSTEMD_UNIT_PATH": f"{folder}:"}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture
def secrets(tmp_path: Path) -> str:
    """The folder of the credentials of a unit."""
    contents = {
        "mongo_url": "mongodb://postlog@mongo/?replicaSet=rs0",
        "read_db_url": "postgresql+psycopg://SMUser@db/SocialMedia",
        "gateway_secret": "0123456789abcdef",
    }
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    return str(tmp_path)


def test_systemd_finds_nothing_wrong_in_them(analyze):
    done = analyze("verify", units=[*(f"postlog-{name}.service" for name in NAMES), "postlog.target"])
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_finds_mistakes(analyze, tmp_path: Path):
    unit = tmp_path / "units" / "postlog-relay.service"
    unit.write_text(unit.read_text().replace("ExecStart=", "ExecStrat="))
    assert analyze("verify", units=["postlog-relay.service"]).returncode != 0


@pytest.mark.parametrize("name", NAMES)
def test_they_are_hardened(analyze, name: str):
    """The exposure is 1.2 of 10 by systemd 252, as deploy/README.md says; other versions weigh a little differently."""
    done = analyze("security", "--offline=true", "--threshold=15", units=[f"postlog-{name}.service"])
    assert done.returncode == 0, done.stdout
    assert "1.2 of 10" in README


def test_there_is_a_unit_for_each_process():
    found = units()
    assert {name: arguments(unit, "/credentials") for name, unit in found.items()} == {
        "command": ["serve", "command"],
        "query": ["serve", "query"],
        "relay": ["relay"],
        "project": ["project"],
        "audit": ["audit", "--continuous"],
        "init": [
            *("init", "--admin-url-file", "/credentials/mongo_admin_url"),
            *("--admin-url-file", "/credentials/read_db_admin_url"),
        ],
    }
    assert {name for name, unit in found.items() if unit.get("WantedBy") == ["postlog.target"]} == set(PROCESSES)
    assert found["init"]["Type"] == ["oneshot"]


def test_every_command_line_starts_its_process_with_its_settings(start, secrets: str):
    for name in PROCESSES:
        unit = units()[name]
        started: Any = start(arguments(unit, secrets), environment(unit, secrets))
        settings = started.settings
        assert started.verb in {name, f"serve {name}"}
        assert settings.auth.mode == "gateway"
        assert (settings.http.host, settings.worker.host) == ("127.0.0.1", "127.0.0.1")
        assert (settings.event_store.adapter, settings.bus.adapter, settings.read_db.adapter) == (
            *("mongo", "kafka", "postgres"),
        )
        port = settings.http.port if name in ("command", "query") else settings.worker.port
        assert f"port {port}" in unit["Description"][0]
    verb, *words = arguments(units()["init"])
    load_verb(verb).make_context(verb, words)


def test_each_secret_is_a_credential_and_only_init_has_those_of_administrators():
    for name, unit in units().items():
        text = " ".join([*unit["Environment"], *unit["ExecStart"]])
        read = set(re.findall(r"(?:%d|\$\{CREDENTIALS_DIRECTORY\})/(\w+)", text))
        assert credentials(unit) == {each: f"/etc/postlog/secrets/{each}" for each in read}
        admins = {each for each in read if "admin" in each}
        assert admins == ({"mongo_admin_url", "read_db_admin_url"} if name == "init" else set())
    variables = re.findall(r"^(\w+)=", (SYSTEMD / "postlog.env").read_text(), re.MULTILINE)
    assert not [name for name in variables if re.search("URL|SECRET|PASSWORD|KEY", name)]


def test_the_readme_installs_and_enables_what_is_there():
    [commands] = re.findall(r"^cp -r deploy/systemd/postlog\* .*?^```", README, re.MULTILINE | re.DOTALL)
    enabled = re.findall(r"systemctl enable --now (.+)", commands)[0].split()
    assert set(enabled) == {"postlog.target", *(f"postlog-{name}" for name in PROCESSES)}
    assert all(file.name.startswith("postlog") for file in SYSTEMD.iterdir())
    secrets = {source for unit in units().values() for source in credentials(unit).values()}
    listed = re.findall(r"install -d -m 0700 (\S+) +# (.+)", README)
    assert secrets == {f"{folder}/{name}" for folder, names in listed for name in names.split(", ")}

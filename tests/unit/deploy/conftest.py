"""The files of deploy/, read as those read them who use them."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")

Service = dict[str, Any]


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """compose.yaml where nobody set a variable."""
    text = _VARIABLE.sub(lambda found: found["default"] or "", (DEPLOY / "compose.yaml").read_text())
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@pytest.fixture(scope="session")
def services(compose: dict[str, Any]) -> dict[str, Service]:
    return dict(compose["services"])


@pytest.fixture(scope="session")
def processes(services: dict[str, Service]) -> dict[str, Service]:
    """Those that run Postlog, the job `init` among them."""
    return {name: service for name, service in services.items() if service["image"].startswith("postlog:")}


@pytest.fixture(scope="session")
def variables() -> dict[str, str | None]:
    """What compose.yaml takes from .env, each with its default."""
    return {found["name"]: found["default"] for found in _VARIABLE.finditer((DEPLOY / "compose.yaml").read_text())}


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that make-secrets.sh makes."""
    folder = tmp_path_factory.mktemp("deploy") / "secrets"
    subprocess.run([DEPLOY / "make-secrets.sh", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def environments(processes: dict[str, Service], secrets: Path) -> dict[str, Mapping[str, str]]:
    """What each process of Postlog finds in its environment, with its files where they lie here."""
    image = _image_environment()
    places = {"/run/secrets/": f"{secrets}/", "/etc/postlog/": f"{ROOT}/config/"}
    return {
        name: {variable: _moved(value, places) for variable, value in (image | service["environment"]).items()}
        for name, service in processes.items()
    }


def _image_environment() -> dict[str, str]:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    return dict(re.findall(r"^(?:ENV)? +(POSTLOG\w+)=(\S+)", dockerfile, re.MULTILINE))


def _moved(value: str, places: Mapping[str, str]) -> str:
    for there, here in places.items():
        value = value.replace(there, here)
    return value

"""The files of deploy/, read as those read them who use them."""

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import entrypoints.cli.audit
import entrypoints.cli.services
from entrypoints.cli.main import load_verb
from entrypoints.settings.loading import LoadedSettings, require_authentication
from entrypoints.settings.model import Settings
from entrypoints.worker import ProcessRoles
from manifests import image_environment

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
    image = image_environment()
    places = {"/run/secrets/": f"{secrets}/", "/etc/postlog/": f"{ROOT}/config/"}
    return {
        name: {variable: _moved(value, places) for variable, value in (image | service["environment"]).items()}
        for name, service in processes.items()
    }


def _moved(value: str, places: Mapping[str, str]) -> str:
    for there, here in places.items():
        value = value.replace(there, here)
    return value


@dataclass(frozen=True, slots=True)
class Started:
    """What a command line would have started."""

    loaded: LoadedSettings
    verb: str
    roles: ProcessRoles

    @property
    def settings(self) -> Settings:
        return self.loaded.settings


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[str], Mapping[str, str]], Started]:
    """Executes a command line of a service, in this environment, up to where it would open and serve something."""
    kept: list[Started] = []

    def keep(loaded: LoadedSettings, verb: str, roles: ProcessRoles) -> int:
        kept.append(Started(loaded, verb, roles))
        return 0

    for module in (entrypoints.cli.services, entrypoints.cli.audit):
        monkeypatch.setattr(module, "run_service_until_stopped", keep)
    for name in [name for name in os.environ if name.startswith("POSTLOG") or name == "PORT"]:
        monkeypatch.delenv(name)

    def started(arguments: Sequence[str], environ: Mapping[str, str]) -> Started:
        with monkeypatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            load_verb(arguments[0]).main(list(arguments[1:]), standalone_mode=False)
        found = kept.pop()
        if found.roles.commands or found.roles.queries:
            require_authentication(found.loaded)
        return found

    return started


@pytest.fixture(scope="session")
def image_user() -> str:
    return re.findall(r"^USER (\S+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)[-1]

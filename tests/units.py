"""The units of deploy/systemd, with the drop-in that they share: their settings as systemd reads them."""

import shlex
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
SYSTEMD = ROOT / "deploy" / "systemd"
CREDENTIALS, SHARE = "/run/credentials", "/opt/postlog/share/postlog/"

Unit = Mapping[str, list[str]]
"""The values of each key, in order."""


def units() -> dict[str, Unit]:
    """Of each service `postlog-NAME`, by name."""
    common = SYSTEMD / "postlog-.service.d" / "common.conf"
    return {file.stem.removeprefix("postlog-"): _read(file, common) for file in SYSTEMD.glob("postlog-*.service")}


def arguments(unit: Unit, credentials: str = CREDENTIALS) -> list[str]:
    """Of `postlog`."""
    program, *words = shlex.split(unit["ExecStart"][-1].replace("${CREDENTIALS_DIRECTORY}", credentials))
    assert program == "/opt/postlog/bin/postlog"
    return words


def environment(unit: Unit, credentials: str = CREDENTIALS) -> dict[str, str]:
    """From the unit, then from its environment file; the settings file of the wheel is the one of this repository."""
    assert unit["EnvironmentFile"] == ["/etc/postlog/postlog.env"]
    lines = (SYSTEMD / "postlog.env").read_text().splitlines()
    pairs = [*unit["Environment"], *(line for line in lines if line and not line.startswith("#"))]
    found = dict(pair.split("=", 1) for pair in pairs)
    return {name: text.replace("%d", credentials).replace(SHARE, f"{ROOT}/") for name, text in found.items()}


def credentials(unit: Unit) -> dict[str, str]:
    """Where each credential comes from."""
    return dict(value.split(":", 1) for value in unit["LoadCredential"])


def _read(*files: Path) -> Unit:
    found: dict[str, list[str]] = {}
    for file in files:
        for line in file.read_text().splitlines():
            key, is_pair, value = line.partition("=")
            if is_pair and not line.startswith("#"):
                found.setdefault(key, []).append(value)
    return found

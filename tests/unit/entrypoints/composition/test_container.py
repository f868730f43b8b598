"""The container: everything can be built for every settings file, and nothing is imported that was not selected."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from dependency_injector import providers

from application.mediator import AlreadyRegistered
from entrypoints.composition.container import container_for
from entrypoints.composition.log import LogParts
from entrypoints.settings.leaves import leaves
from entrypoints.settings.loading import load_settings

ROOT = Path(__file__).parents[4]
FILES = sorted((ROOT / "config").glob("*.yaml"))
MEMORY = {f"POSTLOG__{part}__ADAPTER": "memory" for part in ("EVENT_STORE", "BUS", "READ_DB")}
DRIVERS = [
    "confluent_kafka",
    "cryptography",
    "jwt",
    "litestar",
    "opentelemetry",
    "psycopg",
    "pymongo",
    "pyodbc",
    "sqlalchemy",
]

ARGUMENTS: dict[str, tuple[object, ...]] = {
    "other_read_dbs": ("postgres",),
    "sharded_batches": ([],),
    "events_check": ([], 20),
}
KEYWORDS: dict[str, dict[str, object]] = {
    "history_import": {"source": None, "take_first": False},
    "rebuilds": {"adapters": set(), "generations_of": None, "process": None},
    "operations": {"rebuilds": None},
    "http_services": {"commands": None, "queries": None, "probes": [], "stopping": None, "rebuilds": None},
    "web_services": {"commands": None, "stopping": None, "operations": None},
}
"""What factories are called with, beside what the container gives them."""


def test_both_files_are_tried() -> None:
    assert [file.name for file in FILES] == ["distributed.yaml", "embedded.yaml"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_provider_can_be_resolved_for_every_file(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No type checker looks into providers' arguments. Building does no input or output, so no server is needed."""
    monkeypatch.chdir(tmp_path)
    settings = load_settings(environ={}, config_file=str(file)).settings
    container = container_for(settings)
    without_bus = settings.bus.adapter == "log"
    skipped = {"bus_follower", "bus_relay"} if without_bus else set()
    absent = {
        name
        for name, provider in container.providers.items()
        if name not in skipped and provider(*ARGUMENTS.get(name, ()), **KEYWORDS.get(name, {})) is None
    }
    without_modes = {"access_control", "tracing", "tracer"}  # auth.mode is none, and nobody asks for traces
    assert absent == without_modes | ({"bus", "bus_state", "relay"} if without_bus else set())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "adapter"),
    [(path, choice) for path in ("event_store", "bus", "read_db") for choice in leaves()[f"{path}.adapter"].choices],
)
def test_every_adapter_that_the_settings_offer_can_be_built(path: str, adapter: str) -> None:
    environ = MEMORY if adapter == "memory" else {f"POSTLOG__{path.upper()}__ADAPTER": adapter}
    container = container_for(load_settings(environ=environ).settings)
    built = {"event_store": container.log, "bus": container.bus, "read_db": container.read_db}[path]()
    assert (built is None) == (adapter == "log")


async def test_what_is_built_once_is_shared() -> None:
    container = container_for(load_settings(environ={}).settings)
    assert container.log() is container.log()
    assert container.command_dispatcher() is container.command_dispatcher()
    assert container.metrics() is container.metrics()


def test_limits_are_those_of_the_settings() -> None:
    limits = container_for(load_settings(environ={"POSTLOG__LIMITS__NAME": "7"}).settings).limits()
    assert (limits.name, limits.message, limits.comment) == (7, 40_000, 2_000)


async def test_a_second_handler_for_one_command_is_an_error() -> None:
    container = container_for(load_settings(environ={}).settings)
    with pytest.raises(AlreadyRegistered, match="CreatePost has a handler already"):
        container.commands().register_with(container.command_dispatcher())


async def test_a_part_can_be_replaced() -> None:
    container = container_for(load_settings(environ={}).settings)
    other = container_for(load_settings(environ=MEMORY).settings).log()
    container.log.override(providers.Object(other))
    assert isinstance(container.log(), LogParts)
    assert container.log() is other


_LOADED = """
import asyncio, json, sys
from entrypoints.composition.container import container_for
from entrypoints.composition.resources import Resources
from entrypoints.settings.loading import load_settings

async def main():
    container = container_for(load_settings(environ=json.loads(sys.argv[1])).settings)
    async with Resources(container) as resources:
        await resources.open_log()
        await resources.open_commands()
        await resources.open_read_db()
        container.access_control()
        if (bus := container.bus()) is not None:
            await resources.open_publisher(bus)

asyncio.run(main())
loaded = {name.partition(".")[0] for name in sys.modules}
print(json.dumps(sorted(loaded & set(sys.argv[2:]))))
"""


def loaded_with(environ: dict[str, str], folder: Path) -> list[str]:
    result = subprocess.run(
        [sys.executable, "-c", _LOADED, json.dumps(environ), *DRIVERS],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        cwd=folder,
    )
    found: list[str] = json.loads(result.stdout)
    return found


def test_the_embedded_profile_loads_no_driver_of_a_server(tmp_path: Path) -> None:
    """Nor SQLAlchemy before rows are needed: its import takes longer than everything else."""
    assert loaded_with({}, tmp_path) == []
    assert sorted(path.name for path in (tmp_path / "var").glob("*.sqlite")) == ["log.sqlite", "read.sqlite"]


def test_a_process_imports_nothing_for_features_that_are_not_used() -> None:
    """Here these packages are installed: the tests use them. They can be imported afterwards."""
    script = """
import sys
import entrypoints.composition.container, entrypoints.observability
print([name for name in ("pydantic", "werkzeug", "rich", "pygments") if name in sys.modules])
import pydantic, werkzeug, rich.traceback
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_each_choice_loads_its_own_driver_only(tmp_path: Path) -> None:
    """And opening contacts no server."""
    assert loaded_with({"POSTLOG__EVENT_STORE__ADAPTER": "mongo"}, tmp_path) == ["pymongo"]
    assert loaded_with({"POSTLOG__BUS__ADAPTER": "kafka"}, tmp_path) == ["confluent_kafka"]
    assert loaded_with({"POSTLOG__READ_DB__ADAPTER": "postgres"}, tmp_path) == ["psycopg", "sqlalchemy"]
    issuer = {"POSTLOG__AUTH__JWT__ISSUER": "a", "POSTLOG__AUTH__JWT__AUDIENCE": "b"}
    keys = {"POSTLOG__AUTH__MODE": "jwt", "POSTLOG__AUTH__JWT__JWKS_URL": "https://id.test/jwks"}
    assert loaded_with(issuer | keys, tmp_path) == ["cryptography", "jwt"]
    gateway = {"POSTLOG__AUTH__MODE": "gateway", "POSTLOG__AUTH__GATEWAY__ADDRESSES": "10.0.0.5"}
    assert loaded_with(gateway, tmp_path) == []


def test_each_read_database_has_a_consumer_group_of_its_own() -> None:
    """Two in one group would each receive half the messages."""
    for adapter in ("sqlite", "postgres"):
        environ = {"POSTLOG__BUS__ADAPTER": "kafka", "POSTLOG__READ_DB__ADAPTER": adapter}
        bus = container_for(load_settings(environ=environ).settings).bus()
        assert bus is not None
        assert bus.subscription._group_prefix == f"postlog-{adapter}"

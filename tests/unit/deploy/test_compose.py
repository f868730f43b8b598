"""deploy/compose.yaml is valid, pinned, and says what the code does."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pymongo.uri_parser import parse_uri
from sqlalchemy import make_url

from entrypoints.cli.main import VERBS, load_verb
from entrypoints.settings.administrators import PREFIX, administrators
from entrypoints.settings.loading import load_settings
from entrypoints.settings.model import Kafka, Mongo, Postgres, Settings, SqlServer
from local import kafka_jars

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "deploy" / "compose.yaml"

Service = dict[str, Any]
Environment = Mapping[str, str]


@pytest.fixture
def settings(environments: dict[str, Environment]) -> dict[str, Settings]:
    """As each process loads them; a setting that does not exist is an error."""
    return {name: load_settings(environ=environ).settings for name, environ in environments.items()}


# The file


def test_it_is_valid_by_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_image_is_pinned_to_a_version(services: dict[str, Service]) -> None:
    tags = {name: service["image"].rpartition(":")[2] for name, service in services.items()}
    unpinned = {name: tag for name, tag in tags.items() if not re.fullmatch(r"\d+\.\d+(\.\d+)?|\d{4}-CU\d+-.+", tag)}
    assert unpinned == {}


def test_the_image_of_postlog_has_its_version(processes: dict[str, Service]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {process["image"] for process in processes.values()} == {f"postlog:{version}"}


def test_kafka_is_the_version_that_the_tests_run_on(services: dict[str, Service]) -> None:
    assert services["kafka"]["image"] == f"apache/kafka:{kafka_jars.VERSION}"


def test_it_takes_from_dot_env_what_the_example_names(variables: dict[str, str | None]) -> None:
    example = (ROOT / "deploy" / ".env.example").read_text()
    named = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
    assert named == {*variables, "COMPOSE_PROFILES"}


# Processes


def test_there_is_a_service_for_each_process(processes: dict[str, Service]) -> None:
    assert {name: service["command"] for name, service in processes.items()} == {
        "command": ["serve", "command"],
        "query": ["serve", "query"],
        "relay": ["relay"],
        "project": ["project"],
        "init": ["init"],
    }


def test_every_command_is_one_of_postlog(processes: dict[str, Service]) -> None:
    for service in processes.values():
        verb, *arguments = service["command"]
        assert verb in VERBS
        load_verb(verb).make_context(verb, list(arguments))  # raises what a wrong command line raises


def test_nobody_starts_before_init_has_ended(processes: dict[str, Service]) -> None:
    done = {"init": {"condition": "service_completed_successfully"}}
    assert all(service["depends_on"] == done for name, service in processes.items() if name != "init")


def test_init_waits_for_the_servers_that_are_started(services: dict[str, Service]) -> None:
    assert services["init"]["depends_on"] == {
        "replica-set": {"condition": "service_completed_successfully"},
        "kafka": {"condition": "service_healthy"},
        "postgres": {"condition": "service_healthy", "required": False},
        "sqlserver": {"condition": "service_healthy", "required": False},
    }


def test_every_server_that_is_waited_for_tells_whether_it_is_healthy(services: dict[str, Service]) -> None:
    waited = {
        name
        for service in services.values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_healthy"
    }
    assert waited == {"mongo", "kafka", "postgres", "sqlserver"}
    assert all("healthcheck" in services[name] for name in waited)


def test_a_read_database_s_server_is_started_by_the_profile_of_its_adapter(services: dict[str, Service]) -> None:
    profiles = {name: service["profiles"] for name, service in services.items() if "profiles" in service}
    assert profiles == {"postgres": ["postgres"], "sqlserver": ["sqlserver"]}


# Settings


def test_every_setting_exists_and_loads(settings: dict[str, Settings]) -> None:
    assert set(settings) == {"command", "query", "relay", "project", "init"}


def test_all_processes_have_the_same_settings(settings: dict[str, Settings]) -> None:
    first, *others = settings.values()
    assert all(other == first for other in others)


def test_the_log_is_in_mongodb_the_bus_is_kafka_and_rows_are_in_postgresql(settings: dict[str, Settings]) -> None:
    chosen = settings["command"]
    assert (chosen.event_store.adapter, chosen.bus.adapter, chosen.read_db.adapter) == ("mongo", "kafka", "postgres")


def test_the_other_read_database_is_one_word_away(environments: dict[str, Environment]) -> None:
    environ = {**environments["query"], "POSTLOG__READ_DB__ADAPTER": "sqlserver"}
    assert load_settings(environ=environ).settings.read_db.adapter == "sqlserver"


def test_the_topic_is_the_default_one(settings: dict[str, Settings]) -> None:
    kafka = settings["init"].bus.kafka
    assert (kafka.topic, kafka.partitions) == ("SocialMediaPostEvents", Kafka().partitions)


def test_only_init_is_given_administrators(environments: dict[str, Environment], secrets: Path) -> None:
    given = {name for name, environ in environments.items() if any(key.startswith(PREFIX) for key in environ)}
    assert given == {"init"}
    found = administrators(environments["init"])
    addresses = {url.reveal() for url in (found.mongo, found.postgres, found.sqlserver) if url}
    files = ("mongo_admin_url", "postgres_admin_url", "sqlserver_admin_url")
    assert addresses == {(secrets / file).read_text().strip() for file in files}


# Ports and hosts


def test_what_is_published_is_reached_from_this_machine_only(services: dict[str, Service]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"command": ["127.0.0.1:8000:8000"], "query": ["127.0.0.1:8001:8001"]}


def test_health_is_asked_where_it_is_answered(services: dict[str, Service]) -> None:
    """At the default ports of the commands."""
    for name, port in {"command": 8000, "query": 8001, "relay": 8002, "project": 8003}.items():
        assert f"http://127.0.0.1:{port}/health/ready" in services[name]["healthcheck"]["test"][-1]


def test_processes_listen_where_others_reach_them(settings: dict[str, Settings]) -> None:
    assert {(each.http.host, each.worker.host) for each in settings.values()} == {("0.0.0.0", "0.0.0.0")}


def test_kafka_advertises_the_address_that_the_settings_name(
    services: dict[str, Service], settings: dict[str, Settings]
) -> None:
    address = settings["relay"].bus.kafka.bootstrap_servers
    assert services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://{address}"
    assert address.partition(":") == ("kafka", ":", Kafka().bootstrap_servers.rpartition(":")[2])


def test_addresses_name_services_on_their_usual_ports(settings: dict[str, Settings], secrets: Path) -> None:
    service = settings["command"]
    for url, admin, default in (
        (service.event_store.mongo.url, "mongo_admin_url", Mongo().url),
        (service.read_db.postgres.url, "postgres_admin_url", Postgres().url),
        (service.read_db.sqlserver.url, "sqlserver_admin_url", SqlServer().url),
    ):
        name = admin.partition("_")[0]
        [usual] = {port for _, port in _nodes(default.reveal())}
        assert _nodes(url.reveal()) == _nodes((secrets / admin).read_text().strip()) == [(name, usual)]


def test_the_replica_set_is_that_of_the_addresses(services: dict[str, Service], settings: dict[str, Settings]) -> None:
    name = parse_uri(settings["command"].event_store.mongo.url.reveal())["options"]["replicaSet"]
    assert services["mongo"]["command"][:3] == ["mongod", "--replSet", name]
    script = (ROOT / "deploy" / "initiate-replica-set.js").read_text()
    assert f'replSetInitiate: {{ _id: "{name}", members: [{{ _id: 0, host: HOST }}] }}' in script
    assert 'process.env.MONGO_HOST ?? "mongo:27017"' in script


def test_login_and_database_of_the_rows_have_the_known_names(settings: dict[str, Settings]) -> None:
    read_db = settings["command"].read_db
    for url in map(make_url, (read_db.postgres.url.reveal(), read_db.sqlserver.url.reveal())):
        assert (url.username, url.database) == ("SMUser", "SocialMedia")


# Secrets and rights


def test_every_secret_is_made_by_the_script(compose: dict[str, Any], secrets: Path) -> None:
    assert {file.name for file in secrets.iterdir()} == {*compose["secrets"], ".gitignore"}
    assert compose["secrets"] == {name: {"file": f"secrets/{name}"} for name in compose["secrets"]}


def test_each_service_gets_the_secrets_that_it_reads_and_no_other(services: dict[str, Service]) -> None:
    scripts = {"replica-set": (ROOT / "deploy" / "initiate-replica-set.js").read_text()}
    for name, service in services.items():
        read = set(re.findall(r"/run/secrets/(\w+)", f"{service}{scripts.get(name, '')}"))
        assert set(service.get("secrets", ())) == read, name


def test_nothing_in_the_file_is_a_password() -> None:
    assert re.findall(r"(?i)^.*password[a-z_]*: .*$", COMPOSE.read_text().replace("_FILE", ""), re.MULTILINE) == [
        "      MONGO_INITDB_ROOT_PASSWORD: /run/secrets/mongo_root_password",
        "      POSTGRES_PASSWORD: /run/secrets/postgres_password",
        "  mongo_root_password: { file: secrets/mongo_root_password }",
        "  postgres_password: { file: secrets/postgres_password }",
        "  sqlserver_password: { file: secrets/sqlserver_password }",
    ]


def test_processes_have_no_rights_that_they_do_not_need(processes: dict[str, Service]) -> None:
    for service in processes.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def _nodes(url: str) -> list[tuple[str, int]]:
    if url.startswith("mongodb"):
        return [(host, port or 0) for host, port in parse_uri(url)["nodelist"]]
    parsed = make_url(url)
    return [(str(parsed.host), parsed.port or 0)]

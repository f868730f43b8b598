"""The processes of deploy/kubernetes and deploy/systemd, with their command lines, settings and files, on real servers:
without the cluster, and without systemd."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from integration.distributed.system import System, delete_topic
from integration.logins.places import MongoPlace, mongo_place, postgres_place
from local.ports import free_port
from manifests import container, environment_of, kustomized, of_kind, pods_of
from observability_files import used_in
from running import POSTLOG, ticks
from units import arguments, environment, units

GATEWAY = {"X-Gateway-Secret": "0123456789abcdef", "X-Forwarded-User": "Ann"}
PROCESSES = {"command", "query", "relay", "project", "audit"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """`commands` are the words after `postlog`, of each process and of the job `init`; `host` is the name under which
    the gateway reaches a process."""

    commands: Mapping[str, list[str]]
    settings: Mapping[str, str]
    host: str
    program: Path = POSTLOG


@pytest.fixture
def topic(kafka_bootstrap: str) -> Iterator[str]:
    name = f"deployed-{uuid4().hex[:12]}"
    yield name
    delete_topic(kafka_bootstrap, name)


@pytest.fixture
def mongo(mongo_with_logins_url: str) -> Iterator[MongoPlace]:
    with mongo_place(mongo_with_logins_url) as place:
        yield place


@pytest.fixture
def secrets(mongo: MongoPlace, postgres_url: str, tmp_path: Path) -> Iterator[Path]:
    """The folder of the secret files, by their names in both deployments."""
    with postgres_place(postgres_url) as postgres:
        contents = {
            "mongo_url": mongo.service_url,
            "read_db_url": postgres.service_url,
            "gateway_secret": GATEWAY["X-Gateway-Secret"],
            "mongo_admin_url": mongo.admin_url,
            "read_db_admin_url": postgres.admin_url,
        }
        for name, text in contents.items():
            (tmp_path / name).write_text(text + "\n")
        yield tmp_path


def kubernetes(secrets: Path) -> Deployment:
    manifests = kustomized("postgres")
    commands = {
        name: [word.replace("/run/secrets/postlog-admin", str(secrets)) for word in container(pod)["args"]]
        for name, pod in pods_of(manifests).items()
    }
    files = {f"/run/secrets/postlog/{file.name}": str(file) for file in secrets.iterdir()}
    return Deployment(commands=commands, settings=environment_of(manifests, files), host="postlog-{}.postlog.svc:80")


def systemd(secrets: Path) -> Deployment:
    found = units()
    settings = [environment(unit, str(secrets)) for unit in found.values()]
    assert all(each == settings[0] for each in settings)
    commands = {name: arguments(unit, str(secrets)) for name, unit in found.items()}
    return Deployment(
        commands=commands, settings=settings[0], host="posts.example.com", program=without_code_in_memory(secrets)
    )


def without_code_in_memory(folder: Path) -> Path:
    """`postlog` in a process in which no memory is, or becomes, both written and executed, as with the units'
    MemoryDenyWriteExecute; before Linux 6.3 nothing is refused."""
    program = folder / "postlog"
    program.write_text(
        f"#!{sys.executable}\n"
        "import ctypes, os, sys\n"
        "PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1\n"
        "ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0)\n"
        f"os.execv({str(POSTLOG)!r}, [{str(POSTLOG)!r}, *sys.argv[1:]])\n"
    )
    program.chmod(0o755)
    return program


@pytest.mark.long
@pytest.mark.parametrize("deployed", [kubernetes, systemd])
def test_they_wait_for_init_and_then_take_commands_and_answer_queries(
    deployed, tmp_path: Path, secrets: Path, mongo: MongoPlace, kafka_bootstrap: str, topic: str
):
    deployment = deployed(secrets)
    assert deployment.commands.keys() == PROCESSES | {"init"}
    settings = deployment.settings | {
        "POSTLOG__HTTP__HOST": "127.0.0.1",
        "POSTLOG__WORKER__HOST": "127.0.0.1",
        "POSTLOG__EVENT_STORE__MONGO__DATABASE": mongo.database,
        "POSTLOG__BUS__KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
        "POSTLOG__BUS__KAFKA__TOPIC": topic,
        "POSTLOG__BUS__KAFKA__GROUP_ID": topic,
        "POSTLOG__BUS__KAFKA__REPLICATION_FACTOR": "1",
    }
    with System(tmp_path / "processes", settings, deployment.program) as system:
        for name in PROCESSES:
            words = deployment.commands[name]
            system.start(name, *words, **({"POSTLOG__WORKER__PORT": str(free_port())} if words[0] == "serve" else {}))
        for name in PROCESSES:
            wait(system, name, "/health/live", 200)
            wait(system, name, "/health/ready", 503)
        made = system.run(*deployment.commands["init"], timeout=240)
        assert made.returncode == 0, made.stdout + made.stderr
        for name in PROCESSES:
            wait(system, name, "/health/ready", 200)

        created = sent(system, "POST", "command", "/api/v1/posts", deployment.host, json={"message": "Hello"})
        newest = {"Postlog-Min-Position": str(created["position"])}
        read = sent(system, "GET", "query", f"/api/v1/posts/{created['id']}", deployment.host, headers=newest)
        assert (read["author"], read["message"]) == ("Ann", "Hello")

        [scaler] = of_kind(kustomized("postgres"), "ScaledObject")
        [metric] = used_in(scaler["spec"]["triggers"][0]["metadata"]["query"])
        assert f"\n{metric.name} 0.0\n" in system.get("project", "/metrics").text


def wait(system: System, name: str, path: str, status: int) -> None:
    for _ in ticks(90, f"{name} does not answer {path} with {status}"):
        try:
            if system.get(name, path).status_code == status:
                return
        except httpx.TransportError:
            continue


def sent(
    system: System, method: str, name: str, path: str, host: str, *, headers: Mapping[str, str] = {}, **more: object
) -> dict:
    """As the gateway sends it."""
    headers = GATEWAY | {"Host": host.format(name)} | headers
    for _ in ticks(30, f"{path} is not answered"):
        response = httpx.request(method, system.url(name) + path, headers=headers, timeout=20, **more)
        if response.is_success:
            return dict(response.json())
    raise AssertionError(response.text)

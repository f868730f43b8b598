"""The processes of deploy/kubernetes, with their command lines and settings, on real servers; without the cluster."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from integration.distributed.system import System, delete_topic
from integration.logins.places import MongoPlace, mongo_place, postgres_place
from local.ports import free_port
from manifests import Manifest, container, environment_of, kustomized, of_kind, pods_of
from running import ticks

GATEWAY = {"X-Gateway-Secret": "0123456789abcdef", "X-Forwarded-User": "Ann"}
SECRETS, ADMIN_SECRETS = "/run/secrets/postlog", "/run/secrets/postlog-admin"


@pytest.fixture
def topic(kafka_bootstrap: str) -> Iterator[str]:
    name = f"kubernetes-{uuid4().hex[:12]}"
    yield name
    delete_topic(kafka_bootstrap, name)


@pytest.fixture
def mongo(mongo_with_logins_url: str) -> Iterator[MongoPlace]:
    with mongo_place(mongo_with_logins_url) as place:
        yield place


@pytest.fixture
def files(mongo: MongoPlace, postgres_url: str, tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """The files of both Secrets, with the servers' addresses, where they lie here by where they lie in a pod."""
    with postgres_place(postgres_url) as postgres:
        contents = {
            f"{SECRETS}/mongo_url": mongo.service_url,
            f"{SECRETS}/read_db_url": postgres.service_url,
            f"{SECRETS}/gateway_secret": GATEWAY["X-Gateway-Secret"],
            f"{ADMIN_SECRETS}/mongo_admin_url": mongo.admin_url,
            f"{ADMIN_SECRETS}/read_db_admin_url": postgres.admin_url,
        }
        for path, text in contents.items():
            (tmp_path / Path(path).name).write_text(text + "\n")
        yield {path: str(tmp_path / Path(path).name) for path in contents}


@pytest.mark.long
def test_they_wait_for_init_and_then_take_commands_and_answer_queries(
    tmp_path: Path, files: Mapping[str, str], mongo: MongoPlace, kafka_bootstrap: str, topic: str
):
    manifests = kustomized("postgres")
    pods = pods_of(manifests)
    init = arguments(pods.pop("init"), files)
    settings = environment_of(manifests, files) | {
        "POSTLOG__HTTP__HOST": "127.0.0.1",
        "POSTLOG__WORKER__HOST": "127.0.0.1",
        "POSTLOG__EVENT_STORE__MONGO__DATABASE": mongo.database,
        "POSTLOG__BUS__KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
        "POSTLOG__BUS__KAFKA__TOPIC": topic,
        "POSTLOG__BUS__KAFKA__GROUP_ID": topic,
        "POSTLOG__BUS__KAFKA__REPLICATION_FACTOR": "1",
    }
    metrics = {name: free_port() for name in pods}
    with System(tmp_path, settings) as system:
        for name, pod in pods.items():
            own = {"POSTLOG__WORKER__PORT": str(metrics[name])}
            own |= {} if serves(pod) else {"POSTLOG__HTTP__PORT": str(metrics[name])}
            system.start(name, *arguments(pod, files), **own)
        for name, pod in pods.items():
            wait(system, name, probe(pod, "startup"), 200)
            wait(system, name, probe(pod, "readiness"), 503)
        assert system.run(*init).returncode == 0
        for name, pod in pods.items():
            wait(system, name, probe(pod, "readiness"), 200)

        created = sent(system, "POST", "command", "/api/v1/posts", json={"message": "Hello"})
        newest = {"Postlog-Min-Position": str(created["position"])}
        read = sent(system, "GET", "query", f"/api/v1/posts/{created['id']}", headers=newest)
        assert (read["author"], read["message"]) == ("Ann", "Hello")

        [monitor] = of_kind(manifests, "ServiceMonitor")
        [scaler] = of_kind(manifests, "ScaledObject")
        [endpoint] = monitor["spec"]["endpoints"]
        for name, port in metrics.items():
            text = httpx.get(f"http://127.0.0.1:{port}{endpoint['path']}", timeout=20).text
            assert "postlog_event_loop_stall_seconds" in text
            if name == "project":
                [trigger] = scaler["spec"]["triggers"]
                assert trigger["metadata"]["query"].removeprefix("max(").partition("{")[0] + " " in text
        assert system.run("audit").returncode == 0


def arguments(pod: Manifest, files: Mapping[str, str]) -> list[str]:
    words = [word.partition("=") for word in container(pod)["args"]]
    return [f"{option}={files[value]}" if value else option for option, _, value in words]


def serves(pod: Manifest) -> bool:
    return container(pod)["args"][0] == "serve"


def probe(pod: Manifest, name: str) -> str:
    return str(container(pod)[f"{name}Probe"]["httpGet"]["path"])


def wait(system: System, name: str, path: str, status: int) -> None:
    for _ in ticks(60, f"{name} does not answer {path} with {status}"):
        try:
            if system.get(name, path).status_code == status:
                return
        except httpx.TransportError:
            continue


def sent(system: System, method: str, name: str, path: str, *, headers: Mapping[str, str] = {}, **more: object) -> dict:
    """As the gateway sends it, which reaches the Service by its name."""
    host = {"Host": f"postlog-{name}.postlog.svc:80"}
    for _ in ticks(30, f"{path} is not answered"):
        response = httpx.request(method, system.url(name) + path, headers=GATEWAY | host | headers, timeout=20, **more)
        if response.is_success:
            return dict(response.json())
    raise AssertionError(response.text)

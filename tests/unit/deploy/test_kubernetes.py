"""What Kustomize makes of deploy/kubernetes is valid for Kubernetes, and says what the code does."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from sqlalchemy import make_url

from entrypoints.cli.main import load_verb
from entrypoints.serving.cross_origin import CrossOriginPolicy
from entrypoints.settings.leaves import listed
from entrypoints.settings.model import Mongo, Postgres, Settings, SqlServer
from manifests import COMPONENT, KUBERNETES, ROOT, Manifest, container, environment_of, kustomized, of_kind, pods_of
from observability_files import FILES, unknown, used_in

README = (ROOT / "deploy" / "README.md").read_text()
SCHEMAS = json.loads(Path(__file__).with_name("manifest_schemas.json").read_text())["$defs"]
SECRETS, ADMIN_SECRETS = "/run/secrets/postlog", "/run/secrets/postlog-admin"


@pytest.fixture(params=["postgres", "sqlserver"])
def adapter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def manifests(adapter: str) -> list[Manifest]:
    return kustomized(adapter)


@pytest.fixture
def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    return pods_of(manifests)


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, str]:
    """The files of both Secrets, where they lie here by where they lie in a pod."""
    contents = {
        f"{SECRETS}/mongo_url": "mongodb://postlog@mongo/?replicaSet=rs0",
        f"{SECRETS}/gateway_secret": "0123456789abcdef",
        f"{ADMIN_SECRETS}/mongo_admin_url": "mongodb://root@mongo/?replicaSet=rs0",
    }
    for path, text in contents.items():
        (tmp_path / Path(path).name).write_text(text)
    return {path: str(tmp_path / Path(path).name) for path in contents} | {
        f"{SECRETS}/read_db_url": str(tmp_path / "read_db_url"),
        f"{ADMIN_SECRETS}/read_db_admin_url": str(tmp_path / "read_db_url"),
    }


@pytest.fixture
def environment(manifests: list[Manifest], adapter: str, secrets: Mapping[str, str]) -> dict[str, str]:
    """Of every process of Postlog, with its files where they lie here."""
    scheme = {"postgres": "postgresql+psycopg", "sqlserver": "mssql+pyodbc"}[adapter]
    Path(secrets[f"{SECRETS}/read_db_url"]).write_text(f"{scheme}://SMUser@db/SocialMedia")
    return environment_of(manifests, secrets)


@pytest.fixture
def settings(
    pods: dict[str, Manifest], environment: Mapping[str, str], start: Callable[..., Any]
) -> dict[str, Settings]:
    """As each process loads them from its command line and environment."""
    return {name: start(container(pod)["args"], environment).settings for name, pod in pods.items() if name != "init"}


def ports(pod: Manifest) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container(pod).get("ports", ())}


def selected(selector: Manifest, pods: Mapping[str, Manifest]) -> set[str]:
    """The components that a label selector selects."""

    def matches(labels: Mapping[str, str]) -> bool:
        wanted = selector.get("matchLabels", {}).items()
        among = selector.get("matchExpressions", ())
        assert all(each["operator"] == "In" for each in among)
        return wanted <= labels.items() and all(labels.get(each["key"]) in each["values"] for each in among)

    return {name for name, pod in pods.items() if matches(pod["metadata"]["labels"])}


def problems(manifest: Manifest) -> list[str]:
    schema = SCHEMAS[f"{manifest['apiVersion']} {manifest['kind']}"] | {"$defs": SCHEMAS}
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(manifest)]


# The files


def test_every_manifest_is_valid_by_the_schemas_of_kubernetes_keda_and_the_prometheus_operator(manifests):
    assert {manifest["metadata"]["name"]: found for manifest in manifests if (found := problems(manifest))} == {}


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", "spec.template.spec.containers.0.readinesProbe", {}),
        ("Deployment", "spec.template.spec.containers.0.args", None),
        ("Deployment", "spec.template.spec.containers.0.ports.0.containerPort", "8000"),
        ("NetworkPolicy", "spec.policyTypes", "Egress"),
        ("ScaledObject", "spec.maxReplicas", 3),
        ("ServiceMonitor", "spec.endpoints.0.interval", "often"),
    ],
)
def test_the_schemas_find_mistakes(manifests, kind: str, path: str, value: object):
    manifest = of_kind(manifests, kind)[0]
    *way, last = (int(step) if step.isdecimal() else step for step in path.split("."))
    place: Any = manifest
    for step in way:
        place = place[step]
    place[last] = value
    assert len(problems(manifest)) == 1


def test_every_file_belongs_to_something():
    named: set[Path] = set()
    for file in KUBERNETES.rglob("kustomization.yaml"):
        lists = yaml.safe_load(file.read_text())
        files = [*lists["resources"], *(patch["path"] for patch in lists.get("patches", ()) if "path" in patch)]
        files += [env for generator in lists.get("configMapGenerator", ()) for env in generator.get("envs", ())]
        named |= {file, *((file.parent / name).resolve() for name in files)}
    assert {file for file in KUBERNETES.rglob("*") if file.is_file()} == {path for path in named if path.is_file()}


def test_everything_is_in_one_namespace_that_admits_restricted_pods_only(manifests):
    [namespace] = of_kind(manifests, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    inside = {each["metadata"]["namespace"] for each in manifests if each is not namespace}
    assert inside == {namespace["metadata"]["name"]} == {"postlog"}


def test_the_image_has_the_version_of_postlog(pods):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {container(pod)["image"].rpartition(":")[2] for pod in pods.values()} == {version}


# Processes and settings


def test_there_are_pods_for_each_process(pods):
    assert {name: container(pod)["args"] for name, pod in pods.items()} == {
        "command": ["serve", "command"],
        "query": ["serve", "query"],
        "relay": ["relay"],
        "project": ["project"],
        "audit": ["audit", "--continuous"],
        "init": [
            "init",
            f"--admin-url-file={ADMIN_SECRETS}/mongo_admin_url",
            f"--admin-url-file={ADMIN_SECRETS}/read_db_admin_url",
        ],
    }


def test_every_command_line_starts_its_process(pods, environment, start):
    verbs = {name: start(container(pod)["args"], environment).verb for name, pod in pods.items() if name != "init"}
    assert verbs == {
        "command": "serve command",
        "query": "serve query",
        "relay": "relay",
        "project": "project",
        "audit": "audit",
    }
    verb, *arguments = container(pods["init"])["args"]
    load_verb(verb).make_context(verb, arguments)  # raises what a wrong command line raises


def test_the_settings_select_real_servers_and_the_overlay_s_read_database(settings, adapter: str):
    for each in settings.values():
        assert (each.event_store.adapter, each.bus.adapter, each.read_db.adapter) == ("mongo", "kafka", adapter)


def test_a_process_that_serves_knows_who_is_calling(settings):
    assert {each.auth.mode for each in settings.values()} == {"gateway"}
    assert not any(each.auth.trust_usernames for each in settings.values())


def test_processes_listen_where_others_reach_them(settings):
    assert {(each.http.host, each.worker.host) for each in settings.values()} == {("0.0.0.0", "0.0.0.0")}


def test_the_ports_are_those_on_which_the_processes_listen(pods, settings):
    for name in ("command", "query"):
        assert not settings[name].http.metrics  # so that they are not on the port that the gateway reaches
        assert ports(pods[name]) == {"http": settings[name].http.port, "metrics": settings[name].worker.port}
    for name in ("relay", "project", "audit"):
        assert ports(pods[name]) == {"metrics": settings[name].worker.port}


def test_probes_ask_the_port_that_does_the_work(pods):
    workers = dict.fromkeys(("relay", "project", "audit"), "metrics")
    for name, port in {"command": "http", "query": "http", **workers}.items():
        found = container(pods[name])
        for probe, path in {"startup": "live", "liveness": "live", "readiness": "ready"}.items():
            assert found[f"{probe}Probe"]["httpGet"] == {"path": f"/health/{path}", "port": port}
        assert found["readinessProbe"]["timeoutSeconds"] == 6  # docs/operations.md: a slow server takes five
    assert not any("Probe" in key for key in container(pods["init"]))


def test_every_setting_that_the_gateway_and_clients_need_names_the_services(manifests, settings):
    policy = CrossOriginPolicy(listed(settings["command"].http.allowed_hosts))
    for service in ("postlog-command", "postlog-query"):
        for name in (service, f"{service}.postlog", f"{service}.postlog.svc", f"{service}.postlog.svc.cluster.local"):
            assert policy._is_known_host(f"{name}:8000".encode())
    assert not policy._is_known_host(b"postlog-command.elsewhere.svc")


# Secrets and rights


def test_files_are_read_from_where_secrets_are_mounted(pods, manifests):
    [config_map] = of_kind(manifests, "ConfigMap")
    for name, pod in pods.items():
        text = json.dumps([config_map["data"], container(pod)["args"]])
        mounts = {mount["mountPath"]: mount["name"] for mount in container(pod)["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        read = {str(Path(file).parent) for file in re.findall(r"/run/secrets/[\w./-]+", text)}
        mounted = {path: volumes[volume]["secret"]["secretName"] for path, volume in mounts.items() if path != "/tmp"}
        assert mounted == {path: Path(path).name for path in read}, name
        assert mounted.keys() - {SECRETS} == ({ADMIN_SECRETS} if name == "init" else set())


def test_the_readme_creates_the_secrets_that_are_read(manifests, pods):
    [config_map] = of_kind(manifests, "ConfigMap")
    text = json.dumps([config_map["data"], container(pods["init"])["args"]])
    read = {(Path(file).parent.name, Path(file).name) for file in re.findall(r"/run/secrets/[\w./-]+", text)}
    created = {
        (secret, key)
        for secret, files in re.findall(r"create secret generic (\S+)((?:[ \\\n]+--from-file=\S+)+)", README)
        for key in re.findall(r"--from-file=(?:\S*/)?(\w+)", files)
    }
    assert created == read


def test_nothing_secret_is_in_a_manifest(manifests):
    assert of_kind(manifests, "Secret") == []
    [config_map] = of_kind(manifests, "ConfigMap")
    suspicious = {name for name in config_map["data"] if re.search("URL|SECRET|PASSWORD|KEY", name)}
    assert all(name.endswith("_FILE") for name in suspicious)


def test_pods_have_no_rights_that_they_do_not_need(pods, image_user: str):
    for pod in pods.values():
        spec, found = pod["spec"], container(pod)
        user, group = (int(number) for number in image_user.split(":"))
        assert spec["automountServiceAccountToken"] is spec["enableServiceLinks"] is False
        assert spec["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": group,
            "fsGroup": group,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert found["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert all(volume["secret"]["defaultMode"] == 0o440 for volume in spec["volumes"] if "secret" in volume)


def test_each_process_may_reach_the_servers_that_it_needs_and_be_reached_where_it_listens(
    manifests, pods, settings, adapter: str
):
    bus = int(settings["relay"].bus.kafka.bootstrap_servers.rpartition(":")[2])
    log = _port(Mongo().url.reveal())
    rows = _port({"postgres": Postgres(), "sqlserver": SqlServer()}[adapter].url.reveal())
    out: dict[str, set[object]] = {name: set() for name in pods}
    into: dict[str, set[object]] = {name: set() for name in pods}
    closed: dict[str, set[str]] = {name: set() for name in pods}
    for policy in of_kind(manifests, "NetworkPolicy"):
        spec = policy["spec"]
        assert {kind.lower() for kind in spec["policyTypes"]} >= spec.keys() & {"ingress", "egress"}
        for name in selected(spec["podSelector"], pods):
            closed[name] |= set(spec["policyTypes"])
            out[name] |= {port["port"] for rule in spec.get("egress", ()) for port in rule["ports"]}
            asked = [port["port"] for rule in spec.get("ingress", ()) for port in rule["ports"]]
            into[name] |= {ports(pods[name]).get(port) for port in asked}
    assert closed == {name: {"Ingress", "Egress"} for name in pods}
    assert {name: found - {53} for name, found in out.items()} == {
        "command": {log},
        "query": {log, rows},
        "relay": {log, bus},
        "project": {log, bus, rows},
        "audit": {log, rows},
        "init": {log, bus, rows},
    }
    assert {name: found - {None} for name, found in into.items()} == {
        name: set(ports(pod).values()) for name, pod in pods.items()
    }


def _port(url: str) -> int:
    return make_url(url).port or 0


# Scaling and monitoring


def test_every_selector_selects_the_pods_that_it_names(manifests, pods):
    for deployment in of_kind(manifests, "Deployment"):
        [name] = selected(deployment["spec"]["selector"], pods)
        assert deployment["metadata"]["name"] == f"postlog-{name}"
        assert deployment["spec"]["template"] == pods[name]
    for service in of_kind(manifests, "Service"):
        named = selected({"matchLabels": service["spec"]["selector"]}, pods)
        name = service["metadata"]["name"].removeprefix("postlog-")
        assert named == (set(pods) if name == "metrics" else {name})
        for port in service["spec"]["ports"]:
            numbers = {ports(pods[each]).get(port["targetPort"]) for each in named - {"init"}}
            assert None not in numbers
            assert name == "metrics" or numbers == {port["port"]}
    for budget in of_kind(manifests, "PodDisruptionBudget"):
        [name] = selected(budget["spec"]["selector"], pods)
        assert budget["metadata"]["name"] == f"postlog-{name}"
    budgeted = {budget["metadata"]["name"] for budget in of_kind(manifests, "PodDisruptionBudget")}
    assert budgeted == {f"postlog-{name}" for name in ("command", "query", "relay", "project")}


def test_the_number_of_pods_has_one_owner(manifests):
    scaled = [each["spec"]["scaleTargetRef"]["name"] for each in of_kind(manifests, *_SCALERS)]
    assert sorted(scaled) == ["postlog-command", "postlog-project", "postlog-query"]
    fixed = {
        deployment["metadata"]["name"]: deployment["spec"]["replicas"]
        for deployment in of_kind(manifests, "Deployment")
        if "replicas" in deployment["spec"]
    }
    assert fixed == {"postlog-relay": 2, "postlog-audit": 1}


_SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")


def test_there_are_no_more_projectors_than_partitions(manifests, settings):
    [scaler] = of_kind(manifests, "ScaledObject")
    partitions = settings["project"].bus.kafka.partitions
    assert scaler["spec"]["maxReplicaCount"] == scaler["spec"]["fallback"]["replicas"] == partitions


def test_the_metrics_of_every_process_are_found_under_the_jobs_of_the_alerts(manifests, pods):
    [monitor] = of_kind(manifests, "ServiceMonitor")
    selector = monitor["spec"]["selector"]["matchLabels"].items()
    [service] = [each for each in of_kind(manifests, "Service") if selector <= each["metadata"]["labels"].items()]
    [endpoint] = monitor["spec"]["endpoints"]
    assert [port["name"] for port in service["spec"]["ports"]] == [endpoint["port"]]
    [relabeling] = endpoint["relabelings"]
    [label] = relabeling["sourceLabels"]
    assert label == f"__meta_kubernetes_pod_label_{re.sub('[./]', '_', COMPONENT)}"
    jobs = {relabeling["replacement"].replace("$1", name) for name in pods if name != "init"}
    prometheus = yaml.safe_load((FILES / "prometheus.yml").read_text())
    assert jobs == {each["job_name"] for each in prometheus["scrape_configs"]}


def test_keda_asks_for_a_metric_that_is_exported(manifests):
    [scaler] = of_kind(manifests, "ScaledObject")
    [trigger] = scaler["spec"]["triggers"]
    query = trigger["metadata"]["query"]
    assert [metric.name for metric in used_in(query)] == ["postlog_projector_lag"]
    assert unknown(query) == set()
    assert 'namespace="postlog", job="postlog-project"' in query

"""Writes manifest_schemas.json: the schemas of the kinds that deploy/kubernetes uses, from where their projects publish
them. Run it to check the manifests against newer versions:

    uv pip install --target /tmp/schemas kubernetes-validate==1.37.0
    go mod download github.com/kedacore/keda/v2@v2.21.0
    go mod download github.com/prometheus-operator/prometheus-operator@v0.85.0
    PYTHONPATH=/tmp/schemas python tests/unit/deploy/take_manifest_schemas.py $(go env GOMODCACHE)

Descriptions are left out; unknown fields and nulls are refused. All three projects have the Apache License 2.0.
"""

import json
import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = "1.37.0"
KINDS = {
    "apps/v1 Deployment": "io.k8s.api.apps.v1.Deployment",
    "autoscaling/v2 HorizontalPodAutoscaler": "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    "batch/v1 Job": "io.k8s.api.batch.v1.Job",
    "networking.k8s.io/v1 NetworkPolicy": "io.k8s.api.networking.v1.NetworkPolicy",
    "policy/v1 PodDisruptionBudget": "io.k8s.api.policy.v1.PodDisruptionBudget",
    "v1 ConfigMap": "io.k8s.api.core.v1.ConfigMap",
    "v1 Namespace": "io.k8s.api.core.v1.Namespace",
    "v1 Service": "io.k8s.api.core.v1.Service",
}
CUSTOM_RESOURCES = {
    "github.com/kedacore/keda/v2@v2.21.0": "config/crd/bases/keda.sh_scaledobjects.yaml",
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": "example/prometheus-operator-crd/"
    "monitoring.coreos.com_servicemonitors.yaml",
}
TAKEN = Path(__file__).with_name("manifest_schemas.json")


def main(modules: Path) -> None:
    sources = f"Kubernetes {KUBERNETES}, {', '.join(CUSTOM_RESOURCES)}; by {Path(__file__).name}"
    schemas = {
        **of_kubernetes(),
        **dict(of_custom_resource(modules / at / file) for at, file in CUSTOM_RESOURCES.items()),
    }
    lines = ",\n".join(f'  "{name}": {json.dumps(schemas[name])}' for name in sorted(schemas))
    TAKEN.write_text(f'{{"$comment": "{sources}", "$defs": {{\n{lines}\n}}}}\n')


def of_kubernetes() -> dict[str, Any]:
    """The kinds, and whatever they refer to."""
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{KUBERNETES}-local-strict"
    published = json.loads((folder / "_definitions.json").read_text())["$defs"]
    found = {kind: strict(published[name]) for kind, name in KINDS.items()}
    wanted = references(list(found.values()))
    while wanted:
        if (name := wanted.pop()) not in found:
            found[name] = strict(published[name])
            wanted |= references(found[name])
    return found


def of_custom_resource(file: Path) -> tuple[str, Any]:
    definition = yaml.safe_load(file.read_text())["spec"]
    [version] = definition["versions"]
    kind = f"{definition['group']}/{version['name']} {definition['names']['kind']}"
    return kind, strict(version["schema"]["openAPIV3Schema"])


def references(schema: Any) -> set[str]:
    return set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(schema)))


def strict(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    kept = {word: schema[word] for word in _KEPT if word in schema}
    if isinstance(types := kept.get("type"), list):
        [kept["type"]] = set(types) - {"null"}
    for word in {"properties"} & kept.keys():
        kept[word] = {name: strict(each) for name, each in kept[word].items()}
    for word in {"items", "additionalProperties"} & kept.keys():
        kept[word] = strict(kept[word])
    for word in {"anyOf", "oneOf", "allOf"} & kept.keys():
        kept[word] = [strict(each) for each in kept[word]]
    if "properties" in kept and not schema.get("x-kubernetes-preserve-unknown-fields"):
        kept.setdefault("additionalProperties", False)
    return kept


_KEPT = (
    *("$ref", "type", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"),
    *("properties", "required", "additionalProperties", "items", "anyOf", "oneOf", "allOf"),
)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

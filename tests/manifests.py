"""The manifests of deploy/kubernetes, as Kustomize prints them, and the environment that they give to a process."""

import copy
import functools
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from local.go_programs import KUSTOMIZE
from missing import skip_or_fail

ROOT = Path(__file__).parents[1]
KUBERNETES = ROOT / "deploy" / "kubernetes"
COMPONENT = "app.kubernetes.io/component"

Manifest = dict[str, Any]


def kustomized(overlay: str) -> list[Manifest]:
    """Skips the test on a machine without Kustomize and without Go to build it; in CI the test fails."""
    return copy.deepcopy(_parsed(overlay))


@functools.cache
def _parsed(overlay: str) -> list[Manifest]:
    programs = KUSTOMIZE.find()
    if programs is None:
        skip_or_fail("no kustomize on the PATH, and no Go to build it")
    folder = KUBERNETES / "overlays" / overlay
    done = subprocess.run(
        [programs / "kustomize", "build", folder], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.safe_load_all(done.stdout))


def of_kind(manifests: Iterable[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def pods_of(manifests: Iterable[Manifest]) -> dict[str, Manifest]:
    """The templates of all pods, by component."""
    templates = [manifest["spec"]["template"] for manifest in of_kind(manifests, "Deployment", "Job")]
    return {template["metadata"]["labels"][COMPONENT]: template for template in templates}


def container(pod: Manifest) -> Manifest:
    [found] = pod["spec"]["containers"]
    return dict(found)


def image_environment() -> dict[str, str]:
    """What the image sets of Postlog's settings."""
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    return dict(re.findall(r"^(?:ENV)? +(POSTLOG\w+)=(\S+)", dockerfile, re.MULTILINE))


def environment_of(manifests: Iterable[Manifest], files: Mapping[str, str]) -> dict[str, str]:
    """Of every process; `files` says where the files of a pod are here."""
    [config_map] = of_kind(manifests, "ConfigMap")
    places = {**files, "/etc/postlog/distributed.yaml": str(ROOT / "config" / "distributed.yaml")}
    return {name: places.get(value, value) for name, value in (image_environment() | config_map["data"]).items()}

"""The files of deploy/observability and their runbook; the metrics that they use, and those that the code exports."""

import ast
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
FILES = ROOT / "deploy" / "observability"

_SUFFIXES = {"count": ("_total",), "gauge": ("",), "observe": ("_bucket", "_sum", "_count")}
_PROCESS = ("cpu_seconds_total", "resident_memory_bytes", "virtual_memory_bytes", "open_fds", "max_fds")
_BY_PROMETHEUS = {"up": frozenset[str](), "ALERTS": frozenset({"alertname", "alertstate"})}
_EVERYWHERE = frozenset({"job", "instance", "namespace"})

_WORD = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_KEYWORDS = frozenset({"and", "or", "unless", "by", "on", "without", "ignoring", "bool"})


@dataclass(frozen=True, slots=True)
class Used:
    """A metric in an expression, with the labels that are compared there."""

    name: str
    labels: frozenset[str]


@cache
def calls() -> Mapping[str, tuple[str, frozenset[str]]]:
    """By its name in the code: `count`, `gauge` or `observe`, and its labels."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="count" | "gauge" | "observe" as kind, value=owner),
                    args=[ast.Constant(str() as name), *_],
                    keywords=keywords,
                ) if ast.unparse(owner).endswith("metrics"):
                    labels = frozenset(str(keyword.arg) for keyword in keywords) - {"good_for"}
                    found[name] = (kind, labels)
    return found


@cache
def exported() -> Mapping[str, frozenset[str]]:
    """By their names in /metrics, with their labels."""
    found = {f"postlog_process_{name}": frozenset[str]() for name in _PROCESS}
    for name, (kind, labels) in calls().items():
        found |= {f"postlog_{name}{suffix}": labels for suffix in _SUFFIXES[kind]}
    return found


def used_in(expression: str) -> list[Used]:
    """The metrics of a PromQL expression."""
    plain = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    plain = re.sub(r"\b(by|on|without|ignoring) *\([^)]*\)", " ", plain)
    plain = re.sub(r"\[[^\]]*\]", " ", plain)
    found = []
    for match in re.finditer(rf"({_WORD.pattern})\s*(\(|\{{([^}}]*)\}})?", plain):
        name, follows, labels = match.groups()
        if name not in _KEYWORDS and follows != "(" and not plain[: match.start()].endswith("{"):
            found.append(Used(name, frozenset(_WORD.findall(labels or ""))))
    return found


def unknown(expression: str) -> set[str]:
    """What this expression uses and Postlog does not export: metrics, and labels as `metric{label}`."""
    known = exported() | _BY_PROMETHEUS
    problems = set()
    for used in used_in(expression):
        if used.name not in known:
            problems.add(used.name)
        else:
            extra = {"le"} if used.name.endswith("_bucket") else set()
            strange = used.labels - known[used.name] - _EVERYWHERE - extra
            problems |= {f"{used.name}{{{label}}}" for label in strange}
    grouped = {word for labels in re.findall(r"\b(?:by|on) *\(([^)]*)\)", expression) for word in _WORD.findall(labels)}
    return problems | (grouped - _EVERYWHERE - {"le"} - frozenset().union(*known.values()))


def rules() -> list[dict[str, Any]]:
    loaded = yaml.safe_load((FILES / "rules.yml").read_text(encoding="utf-8"))
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FILES / "grafana-dashboard.json").read_text(encoding="utf-8"))
    return loaded


def panels() -> list[dict[str, Any]]:
    """Without the headings of rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> list[tuple[str, str]]:
    """The title of each panel with an expression of it, its variables replaced as Grafana does it with all jobs."""
    return [
        (panel["title"], target["expr"].replace("$__rate_interval", "1m").replace("$job", "postlog.*"))
        for panel in panels()
        for target in panel["targets"]
    ]


def runbook() -> dict[str, str]:
    """The sections of the chapter on alerts, by their headings."""
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    chapter = operations.partition("\n## Alerts\n")[2].partition("\n## ")[0]
    sections = [section.partition("\n") for section in chapter.split("\n### ")[1:]]
    return {heading: text for heading, _, text in sections}


def runbook_commands(alert: str) -> list[list[str]]:
    """Those at the end of its section, without the first word, `postlog`."""
    lines = runbook()[alert].rpartition("```sh\n")[2].rstrip().removesuffix("```").splitlines()
    commands = [shlex.split(line, comments=True) for line in lines]
    assert all(words[0] == "postlog" for words in commands)
    return [words[1:] for words in commands]

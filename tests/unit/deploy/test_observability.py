"""The dashboard, the rules and the runbook use what Postlog exports, and each other."""

import itertools
import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from entrypoints.cli.main import VERBS, load_verb
from entrypoints.settings.model import Settings
from observability_files import (
    FILES,
    calls,
    dashboard,
    panels,
    queries,
    rules,
    runbook,
    runbook_commands,
    unknown,
    used_in,
)

ALERTS = {rule["alert"]: rule for rule in rules()}


# Metrics


@pytest.mark.parametrize(("title", "expression"), queries())
def test_each_panel_queries_what_is_exported(title: str, expression: str) -> None:
    assert used_in(expression)
    assert unknown(expression) == set()


@pytest.mark.parametrize("name", ALERTS)
def test_each_rule_queries_what_is_exported(name: str) -> None:
    assert used_in(ALERTS[name]["expr"])
    assert unknown(ALERTS[name]["expr"]) == set()


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("max(postlog_relay_lags) > 0", {"postlog_relay_lags"}),
        ("postlog_relay_lag_total", {"postlog_relay_lag_total"}),
        ("rate(postlog_relay_commits[1m])", {"postlog_relay_commits"}),
        ("absent(relay_active) and on () up == 0", {"relay_active"}),
        ('postlog_health_check_ok{name="bus", job=~"a"}', {"postlog_health_check_ok{name}"}),
        ("sum by (route, host) (postlog_http_request_seconds_count)", {"host"}),
    ],
)
def test_a_metric_or_a_label_that_is_not_exported_is_found(expression: str, wrong: set[str]) -> None:
    assert unknown(expression) == wrong


def test_every_metric_is_on_the_dashboard_or_in_a_rule() -> None:
    used = {metric.name for _, expression in queries() for metric in used_in(expression)}
    used |= {metric.name for rule in rules() for metric in used_in(rule["expr"])}
    for name, (kind, _) in calls().items():
        assert any(f"postlog_{name}{suffix}" in used for suffix in ("", "_total", "_bucket", "_count")), (name, kind)


# The dashboard


def test_each_panel_has_a_title_a_description_a_unit_and_the_chosen_data_source() -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels():
        assert panel["title"], panel
        assert panel["description"], panel
        assert panel["fieldConfig"]["defaults"]["unit"], panel
        assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [chosen] * (
            1 + len(panel["targets"])
        )


def test_the_variables_of_the_dashboard_are_those_that_its_queries_use() -> None:
    named = {variable["name"] for variable in dashboard()["templating"]["list"]}
    assert named == {"datasource", "job"}
    text = (FILES / "grafana-dashboard.json").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{?(\w+)", text)) == named | {"__rate_interval", "__all"}


def test_the_rows_of_the_dashboard_are_the_parts_of_the_system() -> None:
    rows = [panel["title"] for panel in dashboard()["panels"] if panel["type"] == "row"]
    assert rows == ["Overview", "Write path", "Pipeline", "Read side", "Rebuilds and audits"]


def test_panels_have_ids_and_places_of_their_own() -> None:
    everything = dashboard()["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    for one, other in itertools.combinations([panel["gridPos"] for panel in everything], 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)
    assert max(panel["gridPos"]["x"] + panel["gridPos"]["w"] for panel in everything) == 24


# The rules and their runbook


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_says_what_happened_how_bad_it_is_and_where_its_runbook_is(name: str) -> None:
    rule = ALERTS[name]
    assert re.fullmatch(r"Postlog[A-Z][A-Za-z]+", name)
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert re.fullmatch(r"\d+m", rule["for"])
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert all(rule["annotations"].values())
    assert rule["annotations"]["runbook_url"] == f"https://example.com/postlog/docs/operations.md#{name.lower()}"


def test_the_runbook_has_a_section_for_each_alert_and_for_nothing_else() -> None:
    assert list(runbook()) == list(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_each_section_of_the_runbook_ends_in_commands_that_exist(name: str) -> None:
    words, _, _ = runbook()[name].rpartition("```sh\n")
    assert len(words.split()) > 20, "it says what the alert means and what to look at"
    assert runbook()[name].rstrip().endswith("```")
    assert runbook_commands(name)
    for verb, *arguments in runbook_commands(name):
        parsed(verb, arguments)


@pytest.mark.parametrize("command", ["parked mend", "audit --mend", "mend"])
def test_a_command_that_does_not_exist_is_found(command: str) -> None:
    verb, *arguments = command.split()
    with pytest.raises((click.UsageError, AssertionError)):
        parsed(verb, arguments)


def parsed(verb: str, arguments: list[str]) -> None:
    """Raises what a wrong command line raises."""
    assert verb in VERBS, verb
    command = load_verb(verb)
    context = command.make_context(verb, list(arguments))
    if isinstance(command, click.Group):
        name, member, rest = command.resolve_command(context, list(arguments))
        assert member is not None
        member.make_context(name, rest, parent=context)


# The configuration of Prometheus


def test_prometheus_scrapes_each_kind_of_process_at_its_default_port() -> None:
    loaded: dict[str, Any] = yaml.safe_load((FILES / "prometheus.yml").read_text(encoding="utf-8"))
    targets = {
        job["job_name"]: target
        for job in loaded["scrape_configs"]
        for config in job["static_configs"]
        for target in config["targets"]
    }
    assert targets == {
        "postlog-command": "command:8000",
        "postlog-query": "query:8001",
        "postlog-relay": "relay:8002",
        "postlog-project": "project:8003",
        "postlog-audit": "audit:8004",
    }
    assert [Path(FILES / file).exists() for file in loaded["rule_files"]] == [True]
    assert Settings().http.metrics, "each process serves its metrics on its port"

"""A system of Postlog's processes that a Prometheus scrapes, with the rules of deploy/observability.

In the rules time runs faster than they say, so that nobody waits minutes for an alert; `promtool test rules` holds the
true durations. POSTLOG_ALERT_SPEED=1 keeps them here, too.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from integration.distributed.system import System
from local.find import Servers
from local.prometheus import Prometheus
from observability_files import FILES, runbook_commands
from running import ticks

SPEED = int(os.environ.get("POSTLOG_ALERT_SPEED", "10"))
DEADLINE = 90 + 600 / SPEED

_DURATION = re.compile(r"(?<=for: )(\d+)m|(?<=\[)(\d+)m(?=\])")


class Watched:
    def __init__(self, system: System, prometheus: Prometheus) -> None:
        self.system = system
        self._prometheus = prometheus

    def query(self, expression: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self._prometheus.url}/api/v1/query", params={"query": expression}, timeout=20)
        assert answer.is_success, answer.text
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result

    def wait_until_quiet(self) -> None:
        """No alert fires or is about to."""
        for _ in self._ticks("an alert does not end"):
            if not self.query("ALERTS"):
                return

    def wait_until_firing(self, alert: str, **labels: str) -> None:
        wanted = {"alertname": alert, "alertstate": "firing"} | labels
        matchers = ", ".join(f'{label}="{value}"' for label, value in wanted.items())
        for _ in self._ticks(f"{alert} does not fire"):
            if self.query(f"ALERTS{{{matchers}}}"):
                return

    def run_the_runbook(self, alert: str, **env: str) -> tuple[list[int], str]:
        """Its commands, in their order: their exit statuses, and what they printed."""
        done = [self.system.run(*words, timeout=DEADLINE, **env) for words in runbook_commands(alert)]
        return [each.returncode for each in done], "".join(each.stdout + each.stderr for each in done)

    def is_healthy(self, **env: str) -> None:
        """Nothing fires, and the doctor finds nothing."""
        self.wait_until_quiet()
        for _ in ticks(DEADLINE, "the doctor still finds something"):
            doctor = self.system.run("doctor", timeout=DEADLINE, **env)
            if doctor.returncode == 0:
                return

    def _ticks(self, failure: str) -> Iterator[None]:
        try:
            yield from ticks(DEADLINE, failure)
        except AssertionError as error:
            error.add_note(json.dumps([each["metric"] for each in self.query("ALERTS")], indent=1))
            raise


@contextmanager
def watched(servers: Servers, system: System, folder: Path, jobs: Mapping[str, str]) -> Iterator[Watched]:
    """`jobs` are the names of the processes, by their jobs in Prometheus."""
    rules = folder / "rules.yml"
    rules.write_text(_DURATION.sub(_faster, (FILES / "rules.yml").read_text(encoding="utf-8")))
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{system.port(name)}"]}]}
            for job, name in jobs.items()
        ],
    }
    prometheus = servers.own_prometheus(json.dumps(config))
    try:
        yield Watched(system, prometheus)
    finally:
        prometheus.stop()


def _faster(found: re.Match[str]) -> str:
    return f"{int(found[1] or found[2]) * 60 // SPEED}s"

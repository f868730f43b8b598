"""What a running service exports, without any other server."""

import re
from pathlib import Path

import httpx

from observability_files import calls, queries, rules, used_in
from running import embedded, ticks

_NEEDS_KAFKA_OR_AN_AUDIT = re.compile(r"postlog_(relay_(active|lag|position)|audit_(posts_that|seconds))")


def test_the_embedded_service_exports_what_the_files_use(tmp_path: Path) -> None:
    """But a counter with labels only when it has counted."""
    used = {metric.name for _, expression in queries() for metric in used_in(expression)}
    used |= {metric.name for rule in rules() for metric in used_in(rule["expr"])}
    later = {f"postlog_{name}_total" for name, (kind, labels) in calls().items() if kind == "count" and labels}
    expected = {name for name in used - later if not _NEEDS_KAFKA_OR_AN_AUDIT.match(name)} - {"up", "ALERTS"}
    with embedded(tmp_path) as (_, address):
        httpx.post(f"{address}/api/v1/posts", json={"author": "Ann", "message": "Hello"}, timeout=20)
        missing = expected
        for _ in ticks(30, f"not exported: {sorted(missing)}"):
            text = httpx.get(f"{address}/metrics", timeout=20).text
            missing = expected - set(re.findall(r"^(postlog_\w+)", text, re.MULTILINE))
            if not missing:
                break
    assert len(expected) >= 40

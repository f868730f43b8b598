"""The rules by Prometheus' own tool: each alert fires on what it should, after the right time, and not otherwise."""

import shutil
import subprocess
from pathlib import Path

import pytest

from integration.conftest import got
from local.find import Servers
from observability_files import FILES

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]  # building it takes minutes


@pytest.fixture
def promtool(servers: Servers) -> Path:
    return got(servers.prometheus_programs) / "promtool"


@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", "--lint-fatal", "rules.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "rules-test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_accepts_the_files(words: tuple[str, ...], promtool: Path) -> None:
    done = subprocess.run([promtool, *words], cwd=FILES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_that_fires_too_early_is_found(promtool: Path, tmp_path: Path) -> None:
    for name in ("rules.yml", "rules-test.yml"):
        shutil.copy(FILES / name, tmp_path)
    rules = tmp_path / "rules.yml"
    rules.write_text(rules.read_text(encoding="utf-8").replace("for: 1m", "for: 0m"), encoding="utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", "rules-test.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "PostlogPostsParked" in done.stdout + done.stderr

"""Only a process that serves the pages loads them, and Jinja."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_LOADED = """
import asyncio, json, sys
from entrypoints.composition import services
from entrypoints.composition.container import container_for
from entrypoints.composition.resources import Resources
from entrypoints.worker import ProcessRoles
from entrypoints.settings.loading import load_settings

async def main():
    container = container_for(load_settings(environ=json.loads(sys.argv[1])).settings)
    roles = ProcessRoles(**json.loads(sys.argv[2]))
    pages = await services._pages(container, Resources(container), roles, None, asyncio.Event())
    services._http_server(container, roles, [], None, pages, asyncio.Event(), print)

asyncio.run(main())
print(json.dumps([name in sys.modules for name in ("entrypoints.web.pages", "jinja2")]))
"""
RUN = {"commands": True, "queries": True, "projector": True, "relay": True}


@pytest.mark.parametrize(
    ("roles", "enabled", "loads_them"),
    [
        pytest.param(RUN, "true", True, id="run"),
        pytest.param(RUN, "false", False, id="run without pages"),
        pytest.param({"queries": True}, "true", True, id="query"),
        pytest.param({"commands": True}, "true", False, id="command"),
        pytest.param({"projector": True}, "true", False, id="project"),
    ],
)
def test_only_processes_that_serve_pages_load_them(
    tmp_path: Path, enabled: str, roles: dict[str, bool], loads_them: bool
) -> None:
    environ = json.dumps({"POSTLOG__WEB__ENABLED": enabled, "POSTLOG_DATA": str(tmp_path)})
    result = subprocess.run(
        [sys.executable, "-c", _LOADED, environ, json.dumps(roles)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert json.loads(result.stdout) == [loads_them] * 2

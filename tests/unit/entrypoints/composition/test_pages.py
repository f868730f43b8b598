"""What a process loads of the pages: nothing where they are switched off, hardly anything before somebody looks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_LOADED = """
import asyncio, json, sys
from entrypoints.composition import services
from entrypoints.composition.container import container_for
from entrypoints.composition.lifetime import Lifetime
from entrypoints.composition.sides import Sides
from entrypoints.settings.loading import load_settings

async def main():
    container = container_for(load_settings(environ=json.loads(sys.argv[1])).settings)
    sides = Sides(**json.loads(sys.argv[2]))
    pages = await services._pages(container, Lifetime(container), sides, None, asyncio.Event())
    services._http_server(container, sides, [], None, pages, asyncio.Event(), print)

asyncio.run(main())
print(json.dumps([name in sys.modules for name in ("entrypoints.web", "entrypoints.web.pages", "jinja2")]))
"""
RUN = {"commands": True, "queries": True, "projector": True, "relay": True}


@pytest.mark.parametrize(
    ("enabled", "sides", "loaded"),
    [
        ("true", RUN, [True, False, False]),
        ("true", {"queries": True}, [True, False, False]),
        ("true", {"commands": True}, [False, False, False]),
        ("true", {"projector": True}, [False, False, False]),
        ("false", RUN, [False, False, False]),
        ("false", {"queries": True}, [False, False, False]),
    ],
)
def test_pages_are_loaded_where_they_are_served(
    tmp_path: Path, enabled: str, sides: dict[str, bool], loaded: list[bool]
) -> None:
    environ = json.dumps({"POSTLOG__WEB__ENABLED": enabled, "POSTLOG_DATA": str(tmp_path)})
    result = subprocess.run(
        [sys.executable, "-c", _LOADED, environ, json.dumps(sides)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert json.loads(result.stdout) == loaded

"""Which paths a process serves."""

import hashlib
import re
from pathlib import Path

import pytest

import entrypoints.http
from entrypoints.http.services import HttpServices
from unit.entrypoints.http.conftest import Client, client_of
from unit.entrypoints.http.fakes import POST, Scripted, done, services

VENDOR = Path(entrypoints.http.__path__[0]) / "static" / "vendor"


async def status_of(services: HttpServices, method: str, path: str) -> int:
    async with client_of(services) as client:
        return (await client.request(method, path)).status_code


async def test_the_command_side_alone_knows_no_queries(scripted: Scripted) -> None:
    scripted.answer = done()
    side = services(commands=scripted.commands())
    assert await status_of(side, "POST", f"/api/v1/posts/{POST}/likes") == 200
    assert await status_of(side, "GET", "/api/v1/posts") == 405
    assert await status_of(side, "GET", f"/api/v1/posts/{POST}/events") == 404
    assert await status_of(side, "GET", "/api/v1/read-db") == 404


async def test_the_query_side_alone_knows_no_commands(scripted: Scripted) -> None:
    side = services(queries=scripted.queries())
    assert await status_of(side, "POST", "/api/v1/posts") == 405
    assert await status_of(side, "POST", f"/api/v1/posts/{POST}/likes") == 404


async def test_operations_can_be_switched_off(scripted: Scripted) -> None:
    side = services(queries=scripted.queries(), operations=False)
    assert await status_of(side, "GET", "/api/v1/read-db") == 404


async def test_the_root_leads_to_the_documentation(client: Client) -> None:
    answer = await client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (302, "/docs")


async def test_the_documentation_asks_no_server_elsewhere(client: Client) -> None:
    page = await client.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"https?://", page.text) == []
    assert "<script>" not in page.text
    for address in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
        file = await client.get(address)
        assert file.status_code == 200
        assert len(file.content) > 100
    assert "validatorUrl: null" in (await client.get("/docs/assets/docs.js")).text


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("swagger-ui-bundle.js", "text/javascript; charset=utf-8"), ("pages.css", "text/css; charset=utf-8")],
)
async def test_files_are_served_as_what_they_are(client: Client, name: str, content_type: str) -> None:
    assert (await client.get(f"/docs/assets/{name}")).headers["content-type"] == content_type


def test_files_of_others_are_those_that_are_told() -> None:
    told = dict(re.findall(r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (VENDOR / "VENDORED.md").read_text(), re.MULTILINE))
    shipped = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in VENDOR.iterdir()
        if file.name != "VENDORED.md"
    }
    assert shipped == told
    assert len(told) == 5


async def test_metrics_are_answered_as_they_are_given(client: Client) -> None:
    answer = await client.get("/metrics")
    assert (answer.content, answer.headers["content-type"]) == (
        b"postlog_up 1\n",
        "text/plain; version=0.0.4; charset=utf-8",
    )

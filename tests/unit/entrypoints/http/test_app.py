"""The paths that a process serves."""

import hashlib
import re
from html import escape
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


async def test_operations_can_be_disabled(scripted: Scripted) -> None:
    side = services(queries=scripted.queries(), operations=False)
    assert await status_of(side, "GET", "/api/v1/read-db") == 404


async def test_the_root_redirects_to_the_documentation(client: Client) -> None:
    answer = await client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (302, "/docs")


@pytest.mark.parametrize("path", ["/docs", "/docs/try"])
async def test_the_documentation_needs_no_other_server(client: Client, path: str) -> None:
    page = await client.get(path)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"(?:src|href)=.https?://", page.text) == []
    assert "<script>" not in page.text
    for address in re.findall(r'(?:src|href)="(/docs/assets/[^"]+)"', page.text):
        file = await client.get(address)
        assert file.status_code == 200
        assert len(file.content) > 100
    assert "validatorUrl: null" in (await client.get("/docs/assets/docs.js")).text


async def test_the_documentation_shows_the_whole_openapi_document_without_javascript(client: Client) -> None:
    document = (await client.get("/openapi.json")).json()
    page = (await client.get("/docs")).text
    assert "<script" not in page
    operations = [
        (path, method, each) for path, methods in document["paths"].items() for method, each in methods.items()
    ]
    assert len(operations) > 10
    for path, method, operation in operations:
        assert f"<code>{method.upper()} {path}</code>" in page
        assert f'<section id="{operation["operationId"]}">' in page
        assert escape(operation["summary"]) in page
        for parameter in operation["parameters"]:
            assert f"<code>{parameter['name']}</code>" in page
        for status in operation["responses"]:
            assert f"<td>{status}</td>" in page
    for name, schema in document["components"]["schemas"].items():
        assert f"<h3>{name}</h3>" in page
        for field in schema.get("properties", {}):
            assert f"<code>{field}</code>" in page
    anchors = set(re.findall(r'id="([^"]+)"', page))
    assert {link for link in re.findall(r'href="#([^"]+)"', page) if link not in anchors} == set()


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("swagger-ui-bundle.js", "text/javascript; charset=utf-8"), ("pages.css", "text/css; charset=utf-8")],
)
async def test_files_are_served_with_their_media_types(client: Client, name: str, content_type: str) -> None:
    assert (await client.get(f"/docs/assets/{name}")).headers["content-type"] == content_type


def test_vendored_files_are_the_documented_versions() -> None:
    told = dict(re.findall(r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (VENDOR / "VENDORED.md").read_text(), re.MULTILINE))
    shipped = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in VENDOR.iterdir()
        if file.name != "VENDORED.md"
    }
    assert shipped == told
    assert len(told) == 5


async def test_metrics_are_served_unchanged(client: Client) -> None:
    answer = await client.get("/metrics")
    assert (answer.content, answer.headers["content-type"]) == (
        b"postlog_up 1\n",
        "text/plain; version=0.0.4; charset=utf-8",
    )

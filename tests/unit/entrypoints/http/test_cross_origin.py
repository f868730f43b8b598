"""What pages of other sites may do: nothing, unless their origin is listed. Requests as browsers send them, over a
socket."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from domain.limits import Limits
from entrypoints.http.services import HttpServices
from entrypoints.serving.cross_origin import CrossOriginPolicy
from unit.entrypoints.http.fakes import POST, FakeRebuilds, PostService, Scripted, done, services
from unit.entrypoints.http.test_server import served

HERE = "127.0.0.1:8000"
APP = "https://app.example.com"
LIKE = f"/api/v1/posts/{POST}/likes"


async def sent(address: str, method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of the response to exactly this request."""
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Connection": "close", **headers}.items())
    writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
    async with asyncio.timeout(10):
        answer = (await reader.read()).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    status, *fields = head.split("\r\n")
    return int(status.split(" ")[1]), dict(re.split(": ?", field, maxsplit=1) for field in fields), body


@pytest.fixture
def scripted() -> Scripted:
    return Scripted(done())


@pytest.fixture
async def address(scripted: Scripted) -> AsyncIterator[str]:
    policy = CrossOriginPolicy(["posts.example.com", "*.internal.example"], [APP])
    async with served(services(commands=scripted.commands(), cross_origin=policy)) as (address, _):
        yield address


KNOWN = [
    "127.0.0.1:8000",
    "127.0.0.1",
    "10.42.0.17:8000",  # a probe of Kubernetes names the pod's address
    "[::1]:8000",
    "[fd00::17]",
    "localhost:8000",
    "LOCALHOST",
    "localhost.",
    "posts.example.com",
    "Posts.Example.com:443",
    "a.internal.example",
]
UNKNOWN = [
    "evil.example",
    "evil.example:8000",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evillocalhost",
    "posts.example.com.evil.example",
    "evilposts.example.com",
    "internal.example",
    "evil.example@127.0.0.1",
    "127.0.0.1:8000,evil.example",
    "[::1].evil.example",
    "[evil.example]",
    "127.0.0.1:80:80",
    ":8000",
    "",
]


@pytest.mark.parametrize("host", KNOWN)
async def test_a_known_host_is_served(address: str, host: str) -> None:
    assert (await sent(address, "POST", LIKE, {"Host": host}))[0] == 200


@pytest.mark.parametrize("host", UNKNOWN)
async def test_no_other_host_is_served(address: str, host: str, scripted: Scripted) -> None:
    """A page whose name was pointed at this address (DNS rebinding) is, to its browser, a page of this service."""
    own_page = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    for method, path in [("POST", LIKE), ("GET", "/openapi.json"), ("GET", "/metrics"), ("GET", "/health/ready")]:
        status, headers, body = await sent(address, method, path, own_page)
        assert (status, headers["content-type"]) == (421, "application/problem+json"), (host, path)
        assert '"code":"host-not-allowed"' in body
        assert "http.allowed_hosts" in body
    assert scripted.handed == []


async def test_liveness_needs_no_known_host(address: str) -> None:
    """A supervisor that names the service in another way must not restart it for that."""
    assert (await sent(address, "GET", "/health/live", {"Host": "command.postlog.svc"}))[0] == 200


async def test_http_1_0_needs_no_host(address: str) -> None:
    """Old health checkers speak it, browsers do not."""
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /health/ready HTTP/1.0\r\n\r\n")
    try:
        assert (await reader.readline()).split(b" ")[1] == b"200"
    finally:
        writer.close()


@pytest.mark.parametrize("hosts", [["*"], ["evil.example"], ["*.example"]])
async def test_hosts_can_be_added(hosts: list[str]) -> None:
    given = services(commands=Scripted(done()).commands(), cross_origin=CrossOriginPolicy(hosts))
    async with served(given) as (address, _):
        assert (await sent(address, "POST", LIKE, {"Host": "evil.example"}))[0] == 200


OWN = [
    {},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Origin": f"http://{HERE}"},
    {"Origin": f"https://{HERE}"},  # a gateway ends TLS
    {"Origin": f"http://{HERE}", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "null", "Sec-Fetch-Site": "same-origin"},  # Referrer-Policy: no-referrer
    {"Origin": APP},
    {"Origin": APP.upper()},
    {"Origin": APP, "Sec-Fetch-Site": "cross-site"},
    {"Origin": APP, "Sec-Fetch-Site": "same-site"},
]
FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "Same-Origin?"},
    {"Sec-Fetch-Site": ""},
    {"Origin": "http://evil.example"},
    {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "http://evil.example", "Sec-Fetch-Site": "none"},
    {"Origin": f"http://{HERE}", "Sec-Fetch-Site": "cross-site"},  # after a redirect
    {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"},  # another program of this machine
    {"Origin": "http://127.0.0.1:3000"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": f"http://{HERE}.evil.example"},
    {"Origin": f"{APP}.evil.example"},
    {"Origin": f"{APP}:444"},
    {"Origin": APP.replace("https", "http")},
    {"Origin": "null"},
    {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    {"Origin": ""},
    {"Origin": "http://["},
    {"Origin": f"file://{HERE}"},
]


@pytest.mark.parametrize("headers", OWN, ids=str)
async def test_programs_own_pages_and_listed_origins_may_change_posts(
    address: str, headers: dict[str, str], scripted: Scripted
) -> None:
    assert (await sent(address, "POST", LIKE, {"Host": HERE, **headers}))[0] == 200
    assert len(scripted.handed) == 1


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_pages_of_other_origins_may_change_nothing(
    address: str, headers: dict[str, str], scripted: Scripted
) -> None:
    for method, path in (
        ("POST", LIKE),
        ("DELETE", f"/api/v1/posts/{POST}?username=ann"),
        ("PUT", f"/api/v1/posts/{POST}/message"),
        ("PATCH", LIKE),
    ):
        status, got, body = await sent(address, method, path, {"Host": HERE, **headers})
        assert (status, got["content-type"]) == (403, "application/problem+json")
        assert '"code":"origin-not-allowed"' in body
        assert "access-control-allow-origin" not in got
    assert scripted.handed == []


async def test_a_rebuild_is_not_started_by_a_page_of_another_origin() -> None:
    rebuilds = FakeRebuilds(waits=False).rebuilds
    service = PostService(Limits())
    given = services(commands=service.commands(), queries=service.queries(), rebuilds=rebuilds)
    async with served(given) as (address, _):
        headers = {"Host": HERE, "Sec-Fetch-Site": "cross-site", "Content-Length": "0"}
        assert (await sent(address, "POST", "/api/v1/read-db/rebuilds", headers))[0] == 403
        assert await rebuilds.recent(None) == []
        assert (await sent(address, "POST", "/api/v1/read-db/rebuilds", headers | {"Sec-Fetch-Site": "none"}))[0] == 202


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://posts.example.com", "posts.example.com:443"),
        ("https://posts.example.com:443", "posts.example.com"),
        ("http://posts.example.com", "POSTS.example.com:80"),
    ],
)
async def test_the_default_port_may_be_written_or_not(address: str, origin: str, host: str) -> None:
    assert (await sent(address, "POST", LIKE, {"Host": host, "Origin": origin}))[0] == 200


async def test_a_page_of_a_listed_origin_may_read_every_response_and_no_other_page_may(address: str) -> None:
    for path, status in (("/health/ready", 200), ("/nowhere", 404), ("/api/v1/posts/%zz", 400)):
        got = await sent(address, "GET", path, {"Host": HERE, "Origin": APP})
        assert (got[0], got[1]["access-control-allow-origin"], got[1]["vary"]) == (status, APP, "origin")
        assert "ETag" in got[1]["access-control-expose-headers"]
        for origin in ("http://evil.example", "null", f"http://{HERE}"):
            _, headers, _ = await sent(address, "GET", path, {"Host": HERE, "Origin": origin})
            assert "access-control-allow-origin" not in headers
            assert headers["vary"] == "origin"


async def test_a_browser_may_ask_before_it_sends_a_page_s_request(address: str) -> None:
    asked = {"Host": HERE, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "if-match"}
    path = f"/api/v1/posts/{POST}/message"
    status, headers, _ = await sent(address, "OPTIONS", path, asked | {"Origin": APP, "Sec-Fetch-Site": "cross-site"})
    assert (status, headers["access-control-allow-origin"]) == (204, APP)
    assert "PUT" in headers["access-control-allow-methods"]
    assert "If-Match" in headers["access-control-allow-headers"]
    assert "Idempotency-Key" in headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in headers
    _, headers, _ = await sent(address, "OPTIONS", path, asked | {"Origin": "http://evil.example"})
    assert not [name for name in headers if name.startswith("access-control")]


async def test_without_listed_origins_no_response_mentions_them() -> None:
    given: HttpServices = services()
    async with served(given) as (address, _):
        _, headers, _ = await sent(address, "GET", "/health/live", {"Host": HERE, "Origin": APP})
        assert not [name for name in headers if name.startswith("access-control") or name == "vary"]

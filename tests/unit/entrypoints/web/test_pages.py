"""Which paths are pages, errors as pages, and what hostile texts, forms and sites can't do."""

import hashlib
import re
from html.parser import HTMLParser

import pytest

from application.query_side.history import CountEvents, HistoryPage
from application.query_side.posts import (
    CommentsPage,
    GetPost,
    ListComments,
    ListPosts,
    PostDetail,
    PostsPage,
)
from application.query_side.status import GetReadDbStatus
from entrypoints.web.static_files import STATIC
from unit.entrypoints.http.fakes import POST, Scripted, post_row, read_db_status
from unit.entrypoints.web.conftest import OWN_PAGE, Client, browser_of

VENDOR = STATIC / "vendor"


async def test_the_root_is_the_feed(browser: Client) -> None:
    answer = await browser.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "The log is empty" in answer.text


async def test_without_posts_the_feed_says_whether_there_are_events() -> None:
    world = Scripted(
        answer=lambda query: (
            PostsPage(posts=[], next=None, parked=0) if isinstance(query, ListPosts) else read_db_status()
        )
    )
    async with browser_of(world) as client:
        answer = await client.get("/")
    assert "There are no posts" in answer.text
    assert "All posts were removed; their events are still in the log." in answer.text


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/problems", "/health/live", "/metrics", "/api/v1/posts"])
async def test_api_and_documentation_are_served_beside_the_pages(browser: Client, path: str) -> None:
    answer = await browser.get(path)
    assert answer.status_code == 200
    assert 'id="main"' not in answer.text


async def test_on_an_unknown_path_a_browser_gets_a_page_and_a_program_a_problem(browser: Client) -> None:
    page = await browser.get("/nowhere")
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no path /nowhere." in page.text
    problem = await browser.get("/nowhere", headers={"Accept": "application/json"})
    assert (problem.status_code, problem.json()["code"]) == (404, "route-not-found")
    api = await browser.get("/api/v1/nowhere")
    assert (api.status_code, api.json()["code"]) == (404, "route-not-found")


async def test_an_internal_error_is_a_page_without_its_cause() -> None:
    world = Scripted(answer=RuntimeError("secret cause"))
    async with browser_of(world) as client:
        answer = await client.get("/")
    assert answer.status_code == 500
    assert "An unexpected error occurred" in answer.text
    assert answer.headers["x-correlation-id"] in answer.text
    assert "secret" not in answer.text


async def test_each_path_allows_its_methods_only(browser: Client) -> None:
    answer = await browser.get("/you")
    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")
    assert (await browser.post("/", headers=OWN_PAGE)).status_code == 405
    assert (await browser.put("/posts")).headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert (await browser.put("/nowhere")).status_code == 404
    assert (await browser.patch("/api/v1/posts")).status_code == 405
    assert (await browser.options("/")).headers["allow"] == "GET, HEAD, OPTIONS"
    assert (await browser.head("/")).content == b""


async def test_a_process_that_serves_queries_only_has_read_only_pages() -> None:
    async with browser_of(Scripted(answer=_empty), reading_only=True) as client:
        page = await client.get("/")
        assert "Read-only" in page.text
        assert '<form class="card compose"' not in page.text
        answer = await client.post(f"/posts/{POST}/likes", data={"key": "k"}, headers=OWN_PAGE)
    assert answer.status_code == 404
    assert "is read-only" in answer.text


async def test_files_are_immutable_at_the_address_of_their_content(browser: Client) -> None:
    page = (await browser.get("/")).text
    addresses = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(addresses) == 4
    for address in addresses:
        file = await browser.get(address)
        assert (file.status_code, file.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    assert (await browser.get("/static/app.css?v=0")).headers["cache-control"] == "no-cache"
    assert (await browser.get("/static/VENDORED.md")).status_code == 404
    assert (await browser.get("/static/..%2Fsite.py")).status_code == 404


def test_vendored_files_are_the_documented_versions() -> None:
    told = dict(re.findall(r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (VENDOR / "VENDORED.md").read_text(), re.MULTILINE))
    shipped = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in VENDOR.iterdir()
        if file.name != "VENDORED.md"
    }
    assert shipped == told
    assert len(told) == 5


async def test_a_page_waits_for_the_position_in_its_address() -> None:
    world = Scripted(answer=_empty)
    async with browser_of(world) as client:
        await client.get("/?position=7")
        assert world.handed[0].min_position == 7
        world.forget()
        world.answer = _one_post
        await client.get(f"/posts/{POST}?position=8")
    assert [asked.min_position for asked in world.handed if hasattr(asked, "min_position")] == [8, 8]


def _empty(query: object) -> object:
    return read_db_status() if isinstance(query, GetReadDbStatus) else PostsPage(posts=[], next=None, parked=0)


def _one_post(query: object) -> object:
    match query:
        case CountEvents():
            return 4
        case GetPost():
            return PostDetail(post=post_row(), comments=[])
        case ListComments():
            return CommentsPage(comments=[], next=None)
        case _:
            return HistoryPage(events=[], next_after=None)


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "</textarea><script>alert(1)</script>",
    "<!-- --><svg/onload=alert(1)>",
]


async def write(client: Client, text: str, name: str = "Ann", key: str = "k1") -> None:
    answer = await client.post("/posts", data={"key": key, "name": name, "text": text}, headers=OWN_PAGE)
    assert answer.status_code == 303, answer.text


_LEADING = ("href", "src", "action", "hx-post", "hx-get")


class Parsed(HTMLParser):
    """What a browser makes of a page: its tags with the attributes that they have, and where it leads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.shapes: set[tuple[str, ...]] = set()
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shapes.add((tag, *sorted(name for name, _ in attrs)))
        self.addresses += [value or "" for name, value in attrs if name in _LEADING]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_is_escaped(browser: Client, text: str) -> None:
    await write(browser, "harmless", name="Ann")
    before = Parsed((await browser.get("/", params={"author": "Ann"})).text)
    await write(browser, text, name=text, key="k2")
    after = Parsed((await browser.get("/", params={"author": text})).text)
    assert after.texts.count(text) >= 2  # author and message, at least
    assert after.shapes == before.shapes
    assert [address for address in after.addresses if not address.startswith(("/", "#"))] == []


async def test_user_text_is_not_a_template(browser: Client) -> None:
    await write(browser, "{{ 7 * 7 }}")
    assert "{{ 7 * 7 }}" in (await browser.get("/")).text


@pytest.mark.parametrize("name", ["Ä B", "a;b=c", "ℵ" * 50])
async def test_a_name_can_t_add_cookie_attributes(browser: Client, name: str) -> None:
    answer = await browser.post("/you", data={"name": name, "back": "/"}, headers=OWN_PAGE)
    cookies = answer.headers.get_list("set-cookie")
    assert len(cookies) == 1
    value, *attributes = cookies[0].split("; ")
    assert re.fullmatch(r"postlog_name=[A-Za-z0-9_.~%-]*", value)
    assert attributes == ["Max-Age=31536000", "Path=/", "HttpOnly", "SameSite=Strict"]


@pytest.mark.parametrize("name", ["Ann\r\nSet-Cookie: a=b", "Ann\nX: y", "Ä\u202eB"])
async def test_a_name_with_hidden_characters_is_refused(browser: Client, name: str) -> None:
    answer = await browser.post("/you", data={"name": name, "back": "/"}, headers=OWN_PAGE)
    assert answer.status_code == 422
    assert "control or invisible character U+" in answer.text
    assert answer.headers.get_list("set-cookie") == []


@pytest.mark.parametrize(
    "back",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\/evil.example",
        "/\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        "",
        "/\u202e",
        "/ /x",
    ],
)
async def test_a_form_never_redirects_to_another_server(browser: Client, back: str) -> None:
    answer = await browser.post("/you", data={"name": "Ann", "back": back}, headers=OWN_PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "a=b" not in str(answer.headers)


async def test_a_form_redirects_back_to_its_page(browser: Client) -> None:
    answer = await browser.post("/you", data={"name": "Ann", "back": "/?author=%C3%84&likes=3"}, headers=OWN_PAGE)
    assert answer.headers["location"] == "/?author=%C3%84&likes=3"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://postlog.test"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://postlog.test:3000"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://postlog.test.evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": ""},
    ],
)
async def test_forms_of_other_sites_are_refused(browser: Client, headers: dict[str, str]) -> None:
    answer = await browser.post("/posts", data={"key": "k", "name": "Ann", "text": "planted"}, headers=headers)
    assert answer.status_code == 403
    assert "was not sent from a page of this service" in answer.text
    assert "planted" not in (await browser.get("/")).text


async def test_a_browser_that_sends_only_the_origin_is_accepted(browser: Client) -> None:
    answer = await browser.post(
        "/posts", data={"key": "k", "name": "Ann", "text": "mine"}, headers={"Origin": "http://postlog.test"}
    )
    assert answer.status_code == 303


@pytest.mark.parametrize("path", ["/", "/nowhere", "/posts/nothing", "/log"])
async def test_an_address_with_too_many_parameters_is_refused(browser: Client, path: str) -> None:
    answer = await browser.get(path + "?" + "&".join(f"p{n}=1" for n in range(51)))
    assert answer.status_code in (400, 404)
    if path == "/":
        assert "The address has more than 50 parameters" in answer.text


async def test_every_page_has_a_content_security_policy(browser: Client) -> None:
    for path in ("/", "/nowhere", "/posts/nothing"):
        headers = (await browser.get(path)).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


async def test_no_page_has_inline_scripts_or_styles(browser: Client) -> None:
    await write(browser, "Hello")
    page = (await browser.get("/")).text
    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []
    assert re.findall(r"<style|\sstyle=", page) == []
    assert re.findall(r"https?://", page) == []


async def test_a_body_that_is_not_a_form_is_refused(browser: Client) -> None:
    as_json = await browser.post("/posts", json={"text": "x"}, headers=OWN_PAGE)
    assert as_json.status_code == 415
    form = {"Content-Type": "application/x-www-form-urlencoded"} | OWN_PAGE
    broken = await browser.post("/posts", content=b"key=k&name=Ann&text=%ff%fe", headers=form)
    assert broken.status_code == 400
    large = await browser.post("/posts", content=b"text=" + b"x" * 5_000, headers=form)
    assert large.status_code == 413
    many = await browser.post("/posts", content=b"&".join(b"a=1" for _ in range(100)), headers=form)
    assert many.status_code == 400

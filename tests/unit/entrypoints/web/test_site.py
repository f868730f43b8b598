"""Which paths are pages, and how errors are told on them."""

import hashlib
import re

import pytest

from application.query_side.queries import (
    CommentsPage,
    CountEvents,
    GetPost,
    GetReadDbStatus,
    HistoryPage,
    ListComments,
    PostAnswer,
    PostsPage,
)
from entrypoints.web.site_files import STATIC
from unit.entrypoints.http.fakes import POST, Scripted, post_row, read_db_status
from unit.entrypoints.web.conftest import OWN_PAGE, Client, browser_of

VENDOR = STATIC / "vendor"


async def test_the_root_is_the_feed(browser: Client) -> None:
    answer = await browser.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "There are no posts" in answer.text


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/problems", "/health/live", "/metrics", "/api/v1/posts"])
async def test_what_was_there_before_stays(browser: Client, path: str) -> None:
    answer = await browser.get(path)
    assert answer.status_code == 200
    assert 'id="main"' not in answer.text


async def test_a_lost_browser_gets_a_page_and_a_program_a_problem(browser: Client) -> None:
    page = await browser.get("/nowhere")
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is nothing at /nowhere." in page.text
    problem = await browser.get("/nowhere", headers={"Accept": "application/json"})
    assert (problem.status_code, problem.json()["code"]) == (404, "route-not-found")
    api = await browser.get("/api/v1/nowhere")
    assert (api.status_code, api.json()["code"]) == (404, "route-not-found")


async def test_a_fault_of_postlog_is_a_page_without_its_cause() -> None:
    world = Scripted(answer=RuntimeError("secret cause"))
    async with browser_of(world) as client:
        answer = await client.get("/")
    assert answer.status_code == 500
    assert "Something unexpected happened" in answer.text
    assert answer.headers["x-correlation-id"] in answer.text
    assert "secret" not in answer.text


async def test_paths_know_their_methods(browser: Client) -> None:
    answer = await browser.get("/you")
    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")
    assert (await browser.post("/", headers=OWN_PAGE)).status_code == 405
    assert (await browser.put("/posts")).headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert (await browser.put("/nowhere")).status_code == 404
    assert (await browser.patch("/api/v1/posts")).status_code == 405
    assert (await browser.options("/")).headers["allow"] == "GET, HEAD, OPTIONS"
    assert (await browser.head("/")).content == b""


async def test_where_only_queries_are_served_pages_are_for_reading() -> None:
    async with browser_of(Scripted(answer=_empty), reading_only=True) as client:
        page = await client.get("/")
        assert "Reading only" in page.text
        assert '<form class="card compose"' not in page.text
        answer = await client.post(f"/posts/{POST}/likes", data={"key": "k"}, headers=OWN_PAGE)
    assert answer.status_code == 404
    assert "serves reading only" in answer.text


async def test_files_keep_for_ever_under_the_address_of_their_contents(browser: Client) -> None:
    page = (await browser.get("/")).text
    addresses = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(addresses) == 4
    for address in addresses:
        file = await browser.get(address)
        assert (file.status_code, file.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    assert (await browser.get("/static/app.css?v=0")).headers["cache-control"] == "no-cache"
    assert (await browser.get("/static/VENDORED.md")).status_code == 404
    assert (await browser.get("/static/..%2Fsite.py")).status_code == 404


def test_files_of_others_are_those_that_are_told() -> None:
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
            return PostAnswer(post=post_row(), comments=[])
        case ListComments():
            return CommentsPage(comments=[], next=None)
        case _:
            return HistoryPage(events=[], next_after=None)

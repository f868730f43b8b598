"""A visitor of Postlog opens a page of another site: that page can neither read what Postlog has nor change it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import Browser, Page, Route

from browsing.chromium import chromium
from running import embedded

pytestmark = pytest.mark.long

READ = """async (url) => {
    try { const got = await fetch(url); return [got.status, await got.text()]; } catch (error) { return String(error); }
}"""
SEND = """async ([url, options]) => {
    try { const got = await fetch(url, options); return got.status; } catch (error) { return String(error); }
}"""
NO_ANSWER = "TypeError: Failed to fetch"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("attacked")
    with embedded(folder, POSTLOG__HTTP__ALLOWED_ORIGINS="http://friend.example") as (_, address):
        yield address


@pytest.fixture(scope="module")
async def rebound_browser(browser: Browser) -> AsyncIterator[Browser]:
    """For it, every name leads to this machine, as evil.example does once its owner has pointed it at 127.0.0.1.
    `browser` skips where there is none."""
    rebound = "--host-resolver-rules=MAP *.example 127.0.0.1"
    without_own_protection = "--disable-features=LocalNetworkAccessChecks"  # which not every browser has
    async with chromium(rebound, without_own_protection) as browser:
        yield browser


async def opened(browser: Browser, address: str) -> Page:
    """A page that its site's own server sent; everything else goes over the network."""
    page = await browser.new_page()

    async def itself(route: Route) -> None:
        await route.fulfill(content_type="text/html", body="<!doctype html><title>Cats</title><body>")

    await page.route(f"{address}/cats", itself)
    await page.goto(f"{address}/cats")
    return page


def new_post(site: str) -> str:
    made = httpx.post(f"{site}/api/v1/posts", json={"author": "Ann", "message": "Not for others"})
    post_id: str = made.json()["id"]
    return post_id


def post_at(site: str, post_id: str) -> dict[str, object]:
    """As it is after all that was sent before."""
    liked = httpx.post(f"{site}/api/v1/posts/{post_id}/likes", json={"username": "Last"}).json()
    found = httpx.get(f"{site}/api/v1/posts/{post_id}", headers={"Postlog-Min-Position": str(liked["position"])})
    content: dict[str, object] = found.json()
    return content


def rebuilds_of(site: str) -> list[object]:
    found: list[object] = httpx.get(f"{site}/api/v1/read-db/rebuilds").json()["rebuilds"]
    return found


async def test_a_name_that_was_pointed_at_this_machine_reads_and_changes_nothing(
    rebound_browser: Browser, site: str
) -> None:
    post_id = new_post(site)
    evil = f"http://evil.example:{urlsplit(site).port}"
    page = await opened(rebound_browser, evil)
    for path in ("/", "/api/v1/posts", f"/posts/{post_id}", "/operations", "/log", "/api/v1/read-db", "/metrics"):
        status, text = await page.evaluate(READ, evil + path)
        assert status == 421, path
        assert "Ann" not in text
        assert "Not for others" not in text
    removal = [f"{evil}/api/v1/posts/{post_id}?username=Ann", {"method": "DELETE"}]
    assert await page.evaluate(SEND, removal) == 421
    assert await page.evaluate(SEND, [f"{evil}/api/v1/read-db/rebuilds", {"method": "POST"}]) == 421
    assert post_at(site, post_id)["likes"] == 1
    assert rebuilds_of(site) == []


async def test_a_page_of_another_site_reads_and_changes_nothing(rebound_browser: Browser, site: str) -> None:
    post_id = new_post(site)
    for elsewhere in ("http://evil.example", "http://localhost:1", f"http://localhost:{urlsplit(site).port}"):
        page = await opened(rebound_browser, elsewhere)
        assert await page.evaluate(READ, f"{site}/api/v1/posts") == NO_ANSWER
        without_body = {"method": "POST", "mode": "no-cors"}
        for path in (f"/api/v1/posts/{post_id}/likes", "/api/v1/read-db/rebuilds"):
            assert await page.evaluate(SEND, [site + path, without_body]) == 0  # a response that it can't read
        assert await page.evaluate(SEND, [f"{site}/api/v1/posts/{post_id}?username=Ann", {"method": "DELETE"}]) == (
            NO_ANSWER
        )
        await page.set_content(f'<form method="post" action="{site}/you"><input name="name" value="Eve"></form>')
        await page.evaluate("document.forms[0].submit()")
        await page.wait_for_url(f"{site}/you")
        assert "was not sent from a page of this service" in await page.inner_text("main")
        assert await page.context.cookies(site) == []
        await page.close()
    assert post_at(site, post_id)["likes"] == 1
    assert rebuilds_of(site) == []


async def test_a_page_of_a_listed_origin_reads_and_writes(rebound_browser: Browser, site: str) -> None:
    post_id = new_post(site)
    page = await opened(rebound_browser, "http://friend.example")
    status, text = await page.evaluate(READ, f"{site}/api/v1/posts/{post_id}")
    assert (status, "Not for others" in text) == (200, True)
    removal = {"method": "DELETE", "headers": {"Idempotency-Key": "k-1", "If-Match": '"1"'}}
    assert await page.evaluate(SEND, [f"{site}/api/v1/posts/{post_id}?username=Ann", removal]) == 200

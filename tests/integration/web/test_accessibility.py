"""Axe reports no serious or critical problem: in light mode on a desktop, in dark mode on a phone."""

import pytest
from playwright.async_api import expect

from browsing.accessibility import faults, serious_faults
from browsing.chromium import Visitor
from integration.web.conftest import Meet
from integration.web.test_feed import write

PHONE = {"width": 390, "height": 844}
SMALL_PHONE = {"width": 360, "height": 740}
DESK = {"width": 1200, "height": 800}


@pytest.mark.parametrize(("color_scheme", "viewport"), [("light", DESK), ("dark", PHONE)], ids=["light", "dark"])
async def test_every_page_is_accessible(meet: Meet, color_scheme: str, viewport: dict[str, int]) -> None:
    async with meet(color_scheme=color_scheme, viewport=viewport, reduced_motion="reduce") as someone:
        page = someone.page
        found: dict[str, list[str]] = {}
        await page.goto("/?author=nobody+of+this+name")
        found["empty feed"] = await serious_faults(page)
        await write(page, "A post with a rather " + "long" * 60 + " word", name="N" * 80)
        found["feed with a notice"] = await serious_faults(page)
        await page.locator("#you summary").click()
        found["choosing a name"] = await serious_faults(page)
        await page.keyboard.press("Escape")
        await page.locator(".post").first.get_by_label("More actions").click()
        found["menu"] = await serious_faults(page)
        await page.locator(".post").first.get_by_role("link", name="Edit").click()
        found["edit"] = await serious_faults(page)
        await page.get_by_label("Message").fill("Shorter")
        await page.get_by_role("button", name="Save").click()
        await page.get_by_label("Write a comment").fill("A comment")
        await page.get_by_role("button", name="Comment").click()
        await expect(page.locator(".comment")).to_have_count(1)
        found["post"] = await serious_faults(page)
        await page.get_by_label("Previous version").click()
        await expect(page.locator("#moment del")).not_to_have_count(0)
        found["past"] = await serious_faults(page)
        assert (someone.errors, someone.elsewhere) == ([], [])
        await page.goto("/nowhere")
        found["error"] = await serious_faults(page)
        assert {name: faults for name, faults in found.items() if faults} == {}
        sideways = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert sideways <= 0


@pytest.mark.parametrize(("color_scheme", "viewport"), [("light", DESK), ("dark", PHONE)], ids=["light", "dark"])
async def test_log_and_operations_pages_are_accessible(meet: Meet, color_scheme: str, viewport: dict[str, int]) -> None:
    async with meet(color_scheme=color_scheme, viewport=viewport, reduced_motion="reduce") as someone:
        page = someone.page
        found: dict[str, list[str]] = {}
        sideways: dict[str, int] = {}

        async def look(what: str) -> None:
            found[what] = await serious_faults(page)
            sideways[what] = await page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )

        await write(page, "A post with a rather " + "long" * 60 + " word", name="N" * 80)
        await page.goto("/log")
        await page.locator(".commit").first.get_by_text("Data", exact=True).click()
        await look("log")
        await page.locator(".commit-position").first.click()
        await expect(page.locator(".steps > li.taken")).to_have_count(5)
        await look("what happened to a command")
        await page.goto("/log?who=nobody+of+this+name")
        await look("log without a find")
        await page.goto("/operations")
        await expect(page.locator("#health")).to_contain_text("All healthy.")
        await look("operations")
        assert (someone.errors, someone.elsewhere) == ([], [])
        assert {name: faults for name, faults in found.items() if faults} == {}
        assert {name: by for name, by in sideways.items() if by > 0} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_long_names_and_texts_fit_a_small_phone(meet: Meet, scheme: str) -> None:
    """And every link of the header is visible."""
    long, text = "N" * 100, "https://example.org/" + "long" * 100
    async with meet(color_scheme=scheme, viewport=SMALL_PHONE, reduced_motion="reduce") as someone:
        page = someone.page
        sent = page.request
        post = (await (await sent.post("/api/v1/posts", data={"author": long, "message": text})).json())["id"]
        await sent.post(f"/api/v1/posts/{post}/likes", data={"username": "M" * 100})
        await sent.post(f"/api/v1/posts/{post}/comments", data={"username": "W" * 100, "comment": text})
        edited = await sent.put(f"/api/v1/posts/{post}/message", data={"username": long, "message": f"{text}!"})
        position = (await edited.json())["position"]
        await someone.context.add_cookies([{"name": "postlog_name", "value": long, "url": someone.address}])
        wide: dict[str, list[str]] = {}
        for path in (
            "/",
            f"/posts/{post}?position={position}",
            f"/posts/{post}?version=3",
            f"/posts/{post}/edit",
            f"/log?who={long}",
            f"/commands?position={position}",
            "/operations",
            "/docs",
            "/problems/too-many-streams",
            "/nowhere" * 20,
        ):
            await page.goto(path)
            wide[path] = await page.evaluate(OUT_OF_VIEW)
        assert {path: found for path, found in wide.items() if found} == {}
        assert someone.elsewhere == []


OUT_OF_VIEW = """
(() => {
  const page = document.scrollingElement;
  const right = (element) => Math.round(element.getBoundingClientRect().right);
  const links = [...document.querySelectorAll("header a, header summary")];
  const cut = links.filter((each) => right(each) > page.clientWidth);
  const nav = [...document.querySelectorAll("header nav")].filter((each) => each.scrollWidth > each.clientWidth);
  const found = [...cut, ...nav].map((each) => `${each.textContent.trim().slice(0, 20)} ends at ${right(each)}`);
  return page.scrollWidth > page.clientWidth ? [...found, `the page is ${page.scrollWidth} wide`] : found;
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_documentation_is_accessible(meet: Meet, scheme: str) -> None:
    async with meet(color_scheme=scheme, viewport=SMALL_PHONE) as someone:
        await someone.page.goto("/docs")
        await expect(someone.page.get_by_role("heading", name="Create a post")).to_be_visible()
        assert await faults(someone.page) == []
        assert (someone.errors, someone.elsewhere) == ([], [])


async def test_without_javascript_no_page_claims_to_be_live(meet: Meet) -> None:
    async with meet(java_script_enabled=False) as someone:
        page = someone.page
        for path in ("/operations", "/log"):
            await page.goto(path)
            await expect(page.get_by_text("Live", exact=True)).to_be_hidden()
            moment = page.locator("main noscript p").first  # Playwright finds no text in a <noscript> by itself
            await expect(moment).to_be_visible()
            await expect(moment).to_contain_text("Without JavaScript this page does not update itself: reload it.")
            await moment.locator("a").click()
            await expect(page).to_have_url(f"{someone.address}{path}")
        await expect(page.get_by_role("button", name="Pause")).to_have_count(0)
        await page.goto("/operations")
        await expect(page.locator("noscript p").last).to_contain_text("The plots need JavaScript.")
        await expect(page.get_by_text("Rows behind the log, in seconds")).to_be_hidden()
        await page.goto("/docs")
        await expect(page.get_by_role("heading", name="Create a post")).to_be_visible()
        await page.get_by_role("link", name="Try it in the browser").click()
        await expect(page.locator("noscript p")).to_contain_text("This page needs JavaScript")
        assert (someone.errors, someone.elsewhere) == ([], [])


async def test_requests_can_be_sent_from_the_documentation(guest: Visitor) -> None:
    await guest.go("/docs/try")
    await expect(guest.page.locator(".opblock")).not_to_have_count(0)

"""Axe finds no serious or critical fault: in light on a desk, in dark on a phone."""

import pytest
from playwright.async_api import expect

from browsing.accessibility import serious_faults
from integration.web.conftest import Meet
from integration.web.test_feed import write

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1200, "height": 800}


@pytest.mark.parametrize(("color_scheme", "viewport"), [("light", DESK), ("dark", PHONE)], ids=["light", "dark"])
async def test_every_page_can_be_used_by_everybody(meet: Meet, color_scheme: str, viewport: dict[str, int]) -> None:
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
        await page.locator(".post").first.get_by_label("More to do with this post").click()
        found["menu"] = await serious_faults(page)
        await page.locator(".post").first.get_by_role("link", name="Edit").click()
        found["edit"] = await serious_faults(page)
        await page.get_by_label("Message").fill("Shorter")
        await page.get_by_role("button", name="Save").click()
        await page.get_by_label("Write a comment").fill("A comment")
        await page.get_by_role("button", name="Comment").click()
        await expect(page.locator(".comment")).to_have_count(1)
        found["post"] = await serious_faults(page)
        await page.get_by_label("One version back").click()
        await expect(page.locator("#moment del")).not_to_have_count(0)
        found["past"] = await serious_faults(page)
        assert (someone.errors, someone.elsewhere) == ([], [])
        await page.goto("/nowhere")
        found["error"] = await serious_faults(page)
        assert {name: faults for name, faults in found.items() if faults} == {}
        sideways = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert sideways <= 0


@pytest.mark.parametrize(("color_scheme", "viewport"), [("light", DESK), ("dark", PHONE)], ids=["light", "dark"])
async def test_pages_that_show_the_system_too(meet: Meet, color_scheme: str, viewport: dict[str, int]) -> None:
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
        await expect(page.locator("#verdict")).to_contain_text("All is well.")
        await look("operations")
        assert (someone.errors, someone.elsewhere) == ([], [])
        assert {name: faults for name, faults in found.items() if faults} == {}
        assert {name: by for name, by in sideways.items() if by > 0} == {}

"""The log's page: new commits appear live, and filters find old ones."""

import re

from playwright.async_api import expect

from browsing.chromium import Visitor
from integration.web.conftest import Meet
from integration.web.test_feed import write


async def test_a_commit_appears_live_with_its_data(guest: Visitor, meet: Meet) -> None:
    await guest.go("/log")
    await expect(guest.page.get_by_text("Live", exact=True)).to_be_visible()
    async with meet() as other:
        await write(other.page, "Seen in the <b>log</b>", name="Lore")
        assert other.errors == []
    newest = guest.page.locator(".commit").first
    await expect(newest).to_contain_text("PostCreated")
    await expect(newest).to_contain_text("by Lore")
    await newest.get_by_text("Data", exact=True).click()
    await expect(newest.locator("pre")).to_contain_text('"message": "Seen in the <b>log</b>"')


async def test_pause_stops_the_list_and_resuming_shows_the_missed_commits(guest: Visitor, meet: Meet) -> None:
    await guest.go("/log")
    page = guest.page
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_text("Paused")).to_be_visible()
    async with meet() as other:
        await write(other.page, "While it is paused", name="Patience")
    await expect(page.locator(".commit-who", has_text="Patience")).to_have_count(0)
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator(".commit-who", has_text="Patience")).to_have_count(1)


async def test_the_log_is_filtered_by_type_author_and_post(guest: Visitor) -> None:
    page = guest.page
    await write(page, "Like this", name="Fitz")
    await page.get_by_role("button", name="Like as Fitz").first.click()
    await expect(page.get_by_role("status")).to_contain_text("Written to the log")
    await guest.go("/log")
    await page.get_by_label("Event type").select_option("PostLiked")
    await page.get_by_label("By", exact=True).fill("fitz")
    await page.get_by_role("button", name="Show", exact=True).click()
    await expect(page.locator(".commit")).to_have_count(1)
    await page.get_by_role("link", name="this post only").click()
    await expect(page.locator(".commit")).to_have_count(1)
    await page.get_by_label("Event type").select_option("")
    await page.get_by_role("button", name="Show", exact=True).click()
    await expect(page.locator(".commit .event-type:visible")).to_have_text(["PostLiked", "PostCreated"])
    await page.locator(".commit").last.get_by_role("link", name="at version 1").click()
    await expect(page).to_have_url(re.compile(r"/posts/[0-9a-f-]{36}\?version=1$"))
    await expect(page.locator("#moment .message")).to_have_text("Like this")

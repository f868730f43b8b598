"""From a form to the page of its command."""

import re

from playwright.async_api import expect

from browsing.chromium import Visitor
from integration.web.test_feed import write


async def test_a_command_is_shown_with_the_time_of_each_step(guest: Visitor) -> None:
    page = guest.page
    await write(page, "What becomes of this?", name="Trace")
    await page.get_by_role("link", name="See what happened").click()
    await expect(page).to_have_url(re.compile(r"/commands/[0-9a-f-]{36}$"))
    await expect(page.locator("#trace")).to_contain_text("Done.")
    steps = page.locator(".steps > li")
    await expect(steps).to_have_count(5)
    await expect(page.locator(".steps > li.taken")).to_have_count(5)
    await expect(page.locator(".step-time")).to_have_count(5)
    await expect(steps.nth(2)).to_contain_text("recorded by this process")
    await expect(page.locator(".commit")).to_contain_text("PostCreated")


async def test_the_log_links_to_the_command(guest: Visitor) -> None:
    await write(guest.page, "Look me up", name="Logan")
    await guest.go("/log?who=Logan")
    await guest.page.locator(".commit-position").click()
    await expect(guest.page.get_by_role("heading", level=1)).to_have_text("What happened to this command")

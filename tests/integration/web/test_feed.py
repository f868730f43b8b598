"""The feed: what a newcomer does first."""

from playwright.async_api import expect

from browsing.chromium import Visitor


async def test_what_is_written_is_in_view_at_once(guest: Visitor) -> None:
    await guest.go("/")
    page = guest.page
    await page.get_by_label("Write a post").fill("Good morning")
    await page.get_by_label("Your name").fill("Ann")
    await page.get_by_role("button", name="Post").click()
    await expect(page.locator(".message").first).to_have_text("Good morning")
    await expect(page.get_by_role("status")).to_contain_text("Written to the log at position")
    await expect(page.get_by_label("Write a post")).to_have_value("")
    await expect(page.locator("summary .you-name")).to_have_text("You: Ann")

"""A post's page: comments, time machine, conflicting edits."""

import re

from playwright.async_api import expect

from browsing.chromium import Visitor
from integration.web.conftest import Meet
from integration.web.test_feed import write


async def test_a_comment_is_visible_and_can_be_edited_and_removed(guest: Visitor) -> None:
    page = guest.page
    await write(page, "Say something", name="Bea")
    await page.locator(".post .badge").first.click()
    await page.get_by_label("Write a comment").fill("First!")
    await page.get_by_role("button", name="Comment").click()
    comment = page.locator(".comment")
    await expect(comment.locator(".message")).to_have_text("First!")
    await expect(page.get_by_text("version 2 of 2")).to_be_visible()
    await comment.locator("summary").click()
    await comment.get_by_label("Your comment").fill("First, edited")
    await comment.get_by_role("button", name="Save").click()
    await expect(comment.locator(".message")).to_have_text("First, edited")
    await expect(comment).to_contain_text("edited")
    await comment.locator("summary").click()
    await comment.get_by_role("button", name="Remove").click()
    await expect(page.get_by_text("No comments yet.")).to_be_visible()
    await expect(page.locator(".entry").first).to_contain_text("Bea removed a comment")


async def test_the_slider_shows_earlier_versions_with_the_changes_marked(guest: Visitor) -> None:
    page = guest.page
    await write(page, "One two three", name="Cleo")
    await page.locator(".post").first.get_by_role("link", name="Edit").click()
    await page.get_by_label("Message").fill("One 2 three four")
    await page.get_by_role("button", name="Save").click()
    await page.get_by_role("button", name="Like as Cleo").click()
    await expect(page.get_by_text("version 3 of 3")).to_be_visible()
    slider = page.get_by_role("slider")
    await slider.focus()
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator("#moment ins")).to_have_text(["2", " four"])
    await expect(page.locator("#moment del")).to_have_text(["two"])
    await expect(page).to_have_url(re.compile(r"\?version=2$"))
    await expect(slider).to_be_focused()
    await page.keyboard.press("Home")
    await expect(page.locator("#moment .message")).to_have_text("One two three")
    await expect(page.locator(".entry.now")).to_contain_text("Cleo wrote the post")
    await page.locator("a.entry-version", has_text="3").click()
    await expect(page.locator("#moment .changed")).to_contain_text("+1")
    await page.get_by_role("link", name="Back to current").click()
    await expect(page.get_by_role("button", name="Like as Cleo")).to_be_visible()


async def test_a_removed_post_keeps_its_history(guest: Visitor) -> None:
    page = guest.page
    await write(page, "Gone tomorrow", name="Dora")
    await page.locator(".post").first.get_by_role("link", name="Edit").click()
    await page.get_by_text("Remove this post").click()
    await page.get_by_role("button", name="Remove", exact=True).click()
    await expect(page.get_by_text("This post was removed.")).to_be_visible()
    await expect(page.locator("#moment .message")).to_have_text("Gone tomorrow")
    await expect(page.locator(".entry").first).to_contain_text("Dora removed the post")


async def test_two_conflicting_edits_are_shown_side_by_side(guest: Visitor, meet: Meet) -> None:
    page = guest.page
    await write(page, "Meet at ten", name="Eve")
    await page.locator(".post").first.get_by_role("link", name="Edit").click()
    async with meet() as other:
        await other.context.add_cookies([{"name": "postlog_name", "value": "Eve", "url": other.address}])
        await other.page.goto(page.url)
        await other.page.get_by_label("Message").fill("Meet at eleven")
        await other.page.get_by_role("button", name="Save").click()
        await expect(other.page.locator("#moment .message")).to_have_text("Meet at eleven")
    await page.get_by_label("Message").fill("Meet at noon")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("heading", name="This text has changed")).to_be_visible()
    await expect(page.get_by_role("region", name="Current version")).to_contain_text("Meet at eleven")
    await expect(page.get_by_role("textbox", name="Your version")).to_have_value("Meet at noon")
    guest.errors.clear()  # the browser itself tells of the answer 409
    await page.get_by_role("textbox", name="Your version").fill("Meet at half past eleven")
    await page.get_by_role("button", name="Save mine").click()
    await expect(page.locator("#moment .message")).to_have_text("Meet at half past eleven")
    await expect(page.get_by_text("version 3 of 3")).to_be_visible()


async def test_a_like_in_between_is_not_a_conflict(guest: Visitor, meet: Meet) -> None:
    page = guest.page
    await write(page, "Draft", name="Fay")
    await page.locator(".post").first.get_by_role("link", name="Edit").click()
    async with meet() as other:
        await other.page.goto(page.url.removesuffix("/edit"))
        await other.page.get_by_role("button", name="Like without a name").click()
        await expect(other.page.locator(".like")).to_have_text("1")
    await page.get_by_label("Message").fill("Final")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#moment .message")).to_have_text("Final")
    await expect(page.get_by_text("version 3 of 3")).to_be_visible()

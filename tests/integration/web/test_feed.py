"""The feed, as a new visitor uses it."""

import re

from playwright.async_api import Dialog, Page, expect

from browsing.chromium import Visitor
from integration.web.conftest import Meet


async def write(page: Page, text: str, name: str = "Ann") -> None:
    """Writes a post as a new visitor; it is the first on the feed then."""
    await page.goto("/")
    await page.get_by_label("Write a post").fill(text)
    if await page.get_by_label("Your name").count():
        await page.get_by_label("Your name").fill(name)
    await page.get_by_role("button", name="Post", exact=True).click()
    await expect(page.locator(".post .message").first).to_have_text(text)


async def test_a_new_post_is_visible_at_once(guest: Visitor) -> None:
    page = guest.page
    await write(page, "Good morning")
    await expect(page.get_by_role("status")).to_contain_text("Written to the log at position")
    await expect(page.get_by_label("Write a post")).to_have_value("")
    await expect(page.locator("summary .you-name")).to_have_text("You: Ann")
    await page.get_by_role("button", name="Close this message").click()
    await expect(page.get_by_role("status")).to_be_empty()


async def test_a_like_is_counted_shown_and_removed_without_a_reload(guest: Visitor) -> None:
    page = guest.page
    await write(page, "Like me")
    post = page.locator(".post").first
    like = post.get_by_role("button", name="Like as Ann")
    await like.click()
    await expect(like).to_have_text("1")
    await expect(like).to_have_attribute("aria-pressed", "true")
    await post.get_by_label("More actions").click()
    await post.get_by_role("button", name="Like without a name").click()
    await expect(like).to_have_text("2")
    await like.click()
    await expect(like).to_have_text("1")
    await expect(like).to_have_attribute("aria-pressed", "false")


async def test_a_second_like_of_the_same_name_writes_nothing_and_says_so(guest: Visitor) -> None:
    page = guest.page
    await write(page, "Like me twice")
    post = page.locator(".post").first
    await post.get_by_role("button", name="Like as Ann").click()
    await expect(post.get_by_role("button", name="Like as Ann")).to_have_text("1")
    await page.reload()  # the feed does not say who likes what
    await post.get_by_role("button", name="Like as Ann").click()
    await expect(page.get_by_role("status")).to_contain_text("nothing was written to the log")
    await post.get_by_role("button", name="Like as Ann").click()
    await expect(post.get_by_role("button", name="Like as Ann")).to_have_text("0")


async def test_the_feed_says_that_there_are_new_posts(guest: Visitor, meet: Meet) -> None:
    page = guest.page
    await write(page, "Mine", name="Nora")
    async with meet() as other:
        await write(other.page, "Another's", name="Otto")
    await page.get_by_role("link", name="1 new post").click()
    await expect(page.locator(".post .message").first).to_have_text("Another's")
    await expect(page.locator("#news")).to_be_empty()


async def test_a_refusal_shows_its_reason_and_keeps_the_text(meet: Meet) -> None:
    async with meet() as someone:
        page = someone.page
        await page.goto("/")
        await page.get_by_label("Write a post").fill("   ")
        await page.get_by_label("Your name").fill("Ann")
        await page.get_by_role("button", name="Post", exact=True).click()
        await expect(page.get_by_role("status")).to_contain_text("message is blank")
        await expect(page.get_by_label("Write a post")).to_have_value("   ")
        assert [text for text in someone.errors if "422" not in text] == []


async def test_older_posts_load_by_scrolling(guest: Visitor) -> None:
    page = guest.page
    for number in range(22):
        post = {"author": "Scroller", "message": f"Number {number}"}
        written = await page.request.post("/api/v1/posts", data=post)
        assert written.status == 201
    await write(page, "Now they are all there")
    await page.goto("/?author=scroller")
    await expect(page.locator(".post")).to_have_count(20)
    await page.locator(".post").last.scroll_into_view_if_needed()
    await expect(page.locator(".post")).to_have_count(22)
    await expect(page.locator(".post .message").last).to_have_text("Number 0")


async def test_filters_are_in_the_address(guest: Visitor) -> None:
    page = guest.page
    await write(page, "Filter me", name="Wanda")
    await page.get_by_text("Filter", exact=True).click()
    await page.get_by_label("Author").fill("WANDA")
    await page.get_by_label("Comments").select_option("without")
    await page.get_by_role("button", name="Show").click()
    await expect(page).to_have_url(re.compile(r"\?author=WANDA&comments=without&likes=$"))
    await expect(page.locator(".post .message")).to_have_text(["Filter me"])
    await page.get_by_label("Likes at least").fill("1")
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_role("heading", name="No matching post")).to_be_visible()


async def test_everything_works_without_javascript(meet: Meet) -> None:
    async with meet(java_script_enabled=False) as someone:
        page = someone.page
        await write(page, "Without scripts", name="Plain")
        await page.locator(".post").first.get_by_role("button", name="Like as Plain").click()
        await expect(page.locator(".post .like")).to_have_text("1")
        await page.get_by_label("Write a comment").fill("Still works")
        await page.get_by_role("button", name="Comment").click()
        await expect(page.locator(".comment .message")).to_have_text("Still works")
        await expect(page.locator(".machine output")).to_have_text("version 3 of 3")
        await page.get_by_label("Previous version").click()
        await expect(page.locator(".banner")).to_contain_text("Version 2: Plain liked the post")
        assert (someone.errors, someone.elsewhere) == ([], [])


HOSTILE = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script> javascript:alert(3) \u202eevil"


async def test_hostile_texts_have_no_effect(guest: Visitor) -> None:
    page = guest.page
    dialogs: list[str] = []

    async def dismiss(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        await dialog.dismiss()

    page.on("dialog", dismiss)
    await write(page, HOSTILE, name=HOSTILE.partition(" \u202e")[0])  # no name takes a character of this kind
    await page.locator(".post .author").first.click()
    await expect(page.locator(".post .message")).to_have_text([HOSTILE])
    await page.locator(".post .badge").click()
    await page.get_by_label("Write a comment").fill(HOSTILE)
    await page.get_by_role("button", name="Comment").click()
    await expect(page.locator(".comment .message")).to_have_text(HOSTILE)
    await page.get_by_label("Previous version").click()
    await expect(page.locator("#moment .past .message")).to_have_text(HOSTILE)
    assert await page.locator("main img, main script, main [onerror]").count() == 0
    assert dialogs == []

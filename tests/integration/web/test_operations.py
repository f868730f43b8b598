"""The operations page: health summary, live figures, rebuild and audit."""

from playwright.async_api import expect

from browsing.chromium import Visitor
from integration.web.conftest import Meet
from integration.web.test_feed import write


async def test_health_is_shown_first_and_the_figures_are_updated_live(guest: Visitor, meet: Meet) -> None:
    page = guest.page
    await guest.go("/operations")
    await expect(page.locator("#health")).to_contain_text("All healthy.")
    before = int((await page.locator("#figures .big").first.inner_text()).replace(",", ""))
    async with meet() as other:
        await write(other.page, "A post for the figures", name="Opal")
    await expect(page.locator("#figures .big").first).to_have_text(f"{before + 1:,}")
    await expect(page.locator("#partitions .state")).to_have_text("up to date")
    await expect(page.locator("#plots canvas")).to_have_count(2)


async def test_a_plot_is_not_empty_after_a_reload(guest: Visitor) -> None:
    await guest.go("/operations")
    await expect(guest.page.locator("#health")).to_contain_text("All healthy.")
    sample = guest.page.locator("#sample")
    await expect(sample).not_to_have_attribute("data-sample", await sample.get_attribute("data-sample") or "")
    await guest.page.reload()
    begin = await guest.page.evaluate("JSON.parse(document.getElementById('plots').dataset.samples).length")
    assert begin > 1


async def test_a_rebuild_is_shown_live(guest: Visitor) -> None:
    page = guest.page
    await write(page, "A row to rebuild", name="Ruth")
    await guest.go("/operations")
    await page.get_by_role("button", name="Rebuild the read database").click()
    await expect(page.locator("#rebuild")).to_contain_text("which readers see now", timeout=60_000)
    await expect(page.locator("#rebuild .state").first).to_have_text("done")
    await guest.go("/")
    await expect(page.locator(".post .message").first).to_have_text("A row to rebuild")


async def test_an_audit_is_run_and_its_result_appears_live(guest: Visitor) -> None:
    page = guest.page
    await write(page, "A row to compare", name="Audrey")
    await guest.go("/operations")
    await page.get_by_label("How many posts").select_option("about 100 posts")
    await page.get_by_role("button", name="Run an audit").click()
    await expect(page.locator("#audit")).to_contain_text("no difference")
    await expect(page.locator("#audit")).to_contain_text("(a sample)")

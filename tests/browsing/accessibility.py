"""The accessibility problems that axe finds on a page."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from playwright.async_api import Page

_SERIOUS = ("serious", "critical")
_ALL = ("minor", "moderate", *_SERIOUS)


@cache
def _axe() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


async def serious_faults(page: Page) -> list[str]:
    """One line for each serious or critical problem, with its elements."""
    return await faults(page, _SERIOUS)


async def faults(page: Page, impacts: Sequence[str] = _ALL) -> list[str]:
    """As `serious_faults`, for these impacts."""
    await page.evaluate(_axe())
    results = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{fault['id']}: {fault['help']}: " + " | ".join(str(node["html"])[:160] for node in fault["nodes"][:4])
        for fault in results["violations"]
        if fault["impact"] in impacts
    ]

"""`make screenshots`: pictures of all pages for docs/screenshots, from a service with the demo posts, or with the posts
of a file (`POSTS=…`, as `postlog import` reads them).
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from playwright.async_api import Browser, Page

from browsing.chromium import chromium, visitor
from running import embedded, postlog

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
_DESK = {"width": 1200, "height": 800}
_PHONE = {"width": 390, "height": 844}


async def _nothing(_: Page) -> None:
    """Shows the page as it opens."""


@dataclass(frozen=True)
class Shot:
    """`prepare` brings the page at `path` into the state to be shown. `whole`: the full height of the page, not only
    the visible part."""

    name: str
    path: str
    prepare: Callable[[Page], Awaitable[None]] = _nothing
    schemes: tuple[str, ...] = ("light", "dark")
    phone: bool = False
    whole: bool = False
    options: dict[str, Any] = field(default_factory=dict)


async def _first_post(page: Page) -> None:
    await page.locator(".post .badge").first.click()
    await page.locator("#slider").wait_for()


async def _edited(page: Page) -> None:
    await _first_post(page)
    await page.locator(".entry", has_text="edited the message").locator(".entry-version").click()
    await page.locator("#moment ins").first.wait_for()
    await page.evaluate("scrollTo(0, 0)")


async def _with_data(page: Page) -> None:
    await page.locator(".commit").nth(1).get_by_text("Data", exact=True).click()


async def _first_command(page: Page) -> None:
    await page.locator(".commit-position").first.click()
    await page.locator(".steps").wait_for()


async def _plotted(page: Page) -> None:
    await page.locator("#health.good").wait_for()
    await page.locator("#plots canvas").nth(1).wait_for()


SHOTS = (
    Shot("feed", "/"),
    Shot("post", "/", _first_post),
    Shot("time-machine", "/", _edited),
    Shot("time-machine-on-a-phone", "/", _edited, schemes=("dark",), phone=True),
    Shot("log", "/log", _with_data),
    Shot("command", "/log", _first_command),
    Shot("operations", "/operations", _plotted, whole=True),
    Shot("operations-on-a-phone", "/operations", _plotted, schemes=("dark",), phone=True),
    Shot("feed-on-a-phone", "/", schemes=("light",), phone=True),
)


async def take(shot: Shot, browser: Browser, address: str, folder: Path) -> None:
    for scheme in shot.schemes:
        size = _PHONE if shot.phone else _DESK
        async with visitor(browser, address, viewport=size, color_scheme=scheme, reduced_motion="reduce") as someone:
            await someone.context.add_cookies([{"name": "postlog_name", "value": "Mira", "url": address}])
            await someone.go(shot.path)
            await shot.prepare(someone.page)
            suffix = "" if scheme == "light" else f"-{scheme}"
            await someone.page.screenshot(path=folder / f"{shot.name}{suffix}.png", full_page=shot.whole)
            if someone.errors or someone.elsewhere:
                raise SystemExit(f"{shot.name}: {someone.errors} {someone.elsewhere}")


async def take_all(address: str, only: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with chromium() as browser:
        for shot in SHOTS:
            if only in shot.name:
                await take(shot, browser, address, FOLDER)
                print(f"{shot.name}: {shot.path}")


def _tell_story(address: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": address}
    answer = httpx.post(f"{address}/story", headers=form, timeout=60)
    if answer.status_code != httpx.codes.SEE_OTHER:
        raise SystemExit(answer.text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    parser.add_argument("--posts", help="a file of posts to show instead of the story")
    parser.add_argument("--only", default="", help="only those with this in their name")
    asked = parser.parse_args()
    with TemporaryDirectory(prefix="postlog-screenshots-") as folder, embedded(Path(folder)) as (_, address):
        if asked.posts:
            imported = postlog("import", asked.posts, env={"POSTLOG_DATA": folder}, timeout=600)
            print(imported.stdout, imported.stderr)
        else:
            _tell_story(address)
        asyncio.run(take_all(address, asked.only))
    return 0


if __name__ == "__main__":
    sys.exit(main())

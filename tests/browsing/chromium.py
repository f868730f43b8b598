"""A Chromium of this machine, driven by Playwright, that may connect to the pages under test only."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Page, Request, Route, async_playwright, expect

from local.programs import find_chromium

_PATIENCE = 30_000
"""Time limit of one step on a page, in milliseconds; long, because the machine may be busy."""

MISSING = "no Chromium on this machine: install it (Debian: 'chromium'), or put it on the PATH"


@asynccontextmanager
async def chromium(*options: str) -> AsyncIterator[Browser]:
    """`options` are of its command line. Raises `FileNotFoundError` if there is none."""
    program = find_chromium()
    if program is None:
        raise FileNotFoundError(MISSING)
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    expect.set_options(timeout=_PATIENCE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program, args=[*sandbox, "--disable-dev-shm-usage", *options]
        )
        yield browser
        await browser.close()


class Visitor:
    """One visitor's browser window. `elsewhere` has the requests to other servers, which were blocked; `errors` has the
    errors of the console."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.context = page.context
        self.address = address
        self.elsewhere: list[str] = []
        self.errors: list[str] = []

    async def go(self, path: str) -> None:
        await self.page.goto(f"{self.address}{path}")

    def watch(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    async def guard(self) -> None:
        async def route(route: Route, request: Request) -> None:
            if urlsplit(request.url).netloc == urlsplit(self.address).netloc:
                await route.continue_()
            else:
                self.elsewhere.append(request.url)
                await route.abort()

        await self.context.route("**/*", route)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)


@asynccontextmanager
async def visitor(browser: Browser, address: str, **options: Any) -> AsyncIterator[Visitor]:
    """`options` are those of Playwright's `new_context`: `color_scheme`, `viewport`, `java_script_enabled` …"""
    context = await browser.new_context(base_url=address, **options)
    context.set_default_timeout(_PATIENCE)
    page = await context.new_page()
    someone = Visitor(page, address)
    someone.watch()
    await someone.guard()
    try:
        yield someone
    finally:
        await context.close()

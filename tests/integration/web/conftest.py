"""One browser and one service for all tests of the pages; each test is a separate visitor."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from playwright.async_api import Browser

from browsing.chromium import MISSING, Visitor, chromium, visitor
from local.programs import find_chromium
from missing import skip_or_fail
from running import embedded

Meet = Callable[..., AbstractAsyncContextManager[Visitor]]


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    if find_chromium() is None:
        skip_or_fail(MISSING)
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service whose log is empty at first; posts of the tests stay in it."""
    folder: Path = tmp_path_factory.mktemp("site")
    with embedded(folder) as (_, address):
        yield address


@pytest.fixture
def meet(browser: Browser, site: str) -> Meet:
    """Further visitors, with options of Playwright's `new_context`. Their `errors` and `elsewhere` must stay empty
    too."""

    def another(**options: object) -> AbstractAsyncContextManager[Visitor]:
        return visitor(browser, site, **options)

    return another


@pytest.fixture
async def guest(meet: Meet) -> AsyncIterator[Visitor]:
    """A visitor with an empty browser. At the end of the test it has sent no request to another server, and its console
    has no error."""
    async with meet() as someone:
        yield someone
        assert someone.elsewhere == []
        assert someone.errors == []

"""Work that ends when its caller goes: for queries that may take long, never for commands."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from entrypoints.serving.errors import ClientGone
from entrypoints.serving.routes import HttpRequest

T = TypeVar("T")


async def while_wanted(request: HttpRequest, work: Coroutine[Any, Any, T]) -> T:
    """What the work returns or raises. It is cancelled when the caller closes the connection; `ClientGone` is raised
    then, which nobody reads. The request's body must have been read, or there must be none."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone("The caller closed the connection before there was an answer.")
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(request: HttpRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

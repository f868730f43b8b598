"""Child processes that a service starts for rebuilds: how they begin and end, and what is logged."""

import asyncio
import logging
import multiprocessing
import os
import sys
import threading
import time
from functools import partial
from typing import Any

import pytest

from application.errors import (
    ReadDbUnavailable,
    RebuildCancelled,
    RebuildNotBegun,
    RebuildRunning,
    StoreUnavailable,
)
from domain.errors import PostlogError
from entrypoints.composition import operations
from entrypoints.composition.container import Container
from entrypoints.composition.operations import RebuildProcesses
from entrypoints.composition.resources import Resources
from entrypoints.composition.worker_process import HandlerFactory, RequestHandler
from entrypoints.settings.loading import LoadedSettings, for_child, load_settings

SETTINGS = load_settings(environ={}).settings


def loaded_for(adapter: str) -> LoadedSettings:
    assert adapter == "postgres"
    return for_child(SETTINGS)


async def scripted(begin: Any, finish: Any, _: Container, __: Resources) -> RequestHandler:
    """A child that returns what it is given, raises it, or calls it."""

    async def handle(request: str) -> Any:
        response = begin if request == "begin" else finish
        if isinstance(response, PostlogError):
            raise response
        return response() if callable(response) else response

    return handle


def die() -> None:
    os.kill(os.getpid(), 9)


def hang() -> None:
    time.sleep(60)


def fail() -> None:
    raise RuntimeError("a bug")


async def idling(_: Container, __: Resources) -> RequestHandler:
    async def handle(request: str) -> int:
        if request != "begin":
            await asyncio.Event().wait()
        return 1

    return handle


def processes(begin: Any = 1, finish: Any = None, make: HandlerFactory | None = None) -> RebuildProcesses:
    return RebuildProcesses(loaded_for, make or partial(scripted, begin, finish))


async def test_it_returns_the_generation_once_the_rebuild_has_begun() -> None:
    async with processes(begin=7) as running:
        assert await running.start("postgres") == 7


@pytest.mark.parametrize(
    "error", [RebuildRunning("Another.", generation=3), ReadDbUnavailable("It is away.")], ids=["running", "away"]
)
async def test_an_error_that_prevents_the_beginning_is_raised(error: PostlogError) -> None:
    async with processes(begin=error) as running:
        with pytest.raises(type(error)) as raised:
            await running.start("postgres")
    assert str(raised.value) == str(error)
    assert getattr(raised.value, "generation", 3) == 3


@pytest.mark.parametrize("begin", [die, fail, partial(sys.exit, 0)], ids=["killed", "bug", "exit"])
async def test_one_that_ends_before_it_responds_did_not_begin(begin: Any) -> None:
    async with processes(begin=begin) as running:
        with pytest.raises(RebuildNotBegun, match="ended before it began"):
            await running.start("postgres")


async def test_one_that_takes_too_long_to_begin_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "_SECONDS_TO_BEGIN", 0.1)
    async with processes(begin=hang) as running:
        with pytest.raises(RebuildNotBegun, match=r"did not begin within 0\.1 seconds"):
            await running.start("postgres")
        assert multiprocessing.active_children() == []


@pytest.mark.parametrize("make", [idling, partial(scripted, 1, hang)], ids=["waits", "blocks"])
async def test_its_process_ends_with_the_service(make: HandlerFactory) -> None:
    async with processes(make=make) as running:
        await running.start("postgres")
        assert len(multiprocessing.active_children()) == 1
        began = time.monotonic()
    assert multiprocessing.active_children() == []
    assert [each.name for each in threading.enumerate() if "worker-process" in each.name] == []
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("finish", "record"),
    [
        (None, (logging.INFO, "the rebuild of postgres, generation 1, is live")),
        (StoreUnavailable("Away."), (logging.WARNING, "the rebuild of postgres, generation 1, stopped: Away.")),
        (die, (logging.WARNING, "the rebuild of postgres, generation 1, ended before it was done")),
        (RebuildCancelled("It was."), (logging.INFO, "the rebuild of postgres, generation 1, was cancelled")),
    ],
    ids=["live", "stopped", "killed", "cancelled"],
)
async def test_its_end_is_logged(caplog: pytest.LogCaptureFixture, finish: Any, record: tuple[int, str]) -> None:
    caplog.set_level(logging.INFO)
    async with processes(finish=finish) as running:
        await running.start("postgres")
        async with asyncio.timeout(30):
            while not caplog.records:
                await asyncio.sleep(0.01)
    assert [(each.levelno, each.getMessage()) for each in caplog.records] == [record]

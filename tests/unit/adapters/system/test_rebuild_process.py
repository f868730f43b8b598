"""Processes that a service starts for rebuilds: what they say, how they end."""

import asyncio
import logging
import os
import sys
import time
from pathlib import Path

import pytest

from adapters.system.rebuild_process import SystemRebuildProcess
from application.errors import ReadDbUnavailable, RebuildNotBegun, RebuildRunning

BEGIN = "import json, os, sys; line = sys.stdin.readline(); "
WAIT_FOR_THE_END = "sys.stdin.read(); "


def processes(program: str) -> SystemRebuildProcess:
    return SystemRebuildProcess((sys.executable, "-c", program), lambda adapter: f"into {adapter}".encode())


async def eventually_gone(pid: int) -> None:
    async with asyncio.timeout(10):
        while is_there(pid):
            await asyncio.sleep(0.01)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_it_is_handed_its_line_and_answers_with_the_generation(tmp_path: Path) -> None:
    handed = tmp_path / "handed"
    program = f"{BEGIN} open({str(handed)!r}, 'w').write(line); print(json.dumps({{'generation': 7}}), flush=True)"
    async with processes(program) as running:
        assert await running.start("postgres") == 7
    assert handed.read_text() == "into postgres\n"


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ({"code": "rebuild-running", "message": "Another.", "generation": 3}, RebuildRunning, "Another."),
        ({"code": "read-db-unavailable", "message": "It is away."}, ReadDbUnavailable, "It is away."),
        ({"code": "internal-error", "message": "A fault."}, RebuildNotBegun, "A fault."),
    ],
)
async def test_what_keeps_it_from_beginning_is_raised(said: dict, error: type[Exception], message: str) -> None:
    async with processes(f"{BEGIN} print(json.dumps({{'error': {said!r}}}), flush=True); sys.exit(2)") as running:
        with pytest.raises(error) as raised:
            await running.start("postgres")
    assert str(raised.value) == message
    assert getattr(raised.value, "generation", 3) == 3


@pytest.mark.parametrize("program", ["import sys; sys.exit(3)", f"{BEGIN} sys.exit(3)"])
async def test_one_that_ends_without_a_word_did_not_begin(program: str) -> None:
    async with processes(program) as running:
        with pytest.raises(RebuildNotBegun, match="ended before it began"):
            await running.start("postgres")


async def test_its_stdin_is_closed_when_the_service_ends(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    program = f"{BEGIN} print('{{\"generation\": 1}}', flush=True); {WAIT_FOR_THE_END} open({str(ended)!r}, 'w')"
    async with processes(program) as running:
        await running.start("postgres")
        (pid,) = [process.pid for process in running._processes]
    assert ended.exists()
    assert not is_there(pid)


async def test_one_that_does_not_end_by_itself_is_killed(tmp_path: Path) -> None:
    program = f"{BEGIN} import time; print('{{\"generation\": 1}}', flush=True); time.sleep(60)"
    began = time.monotonic()
    async with processes(program) as running:
        await running.start("postgres")
        (pid,) = [process.pid for process in running._processes]
        began = time.monotonic()
    assert not is_there(pid)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("last", "record"),
    [
        ("sys.exit(0)", (logging.INFO, "the rebuild of postgres, generation 1, is live")),
        (
            "print(json.dumps({'error': {'code': 'store-unavailable', 'message': 'Away.'}})); sys.exit(2)",
            (logging.WARNING, "the rebuild of postgres, generation 1, stopped: Away."),
        ),
        (
            "os.kill(os.getpid(), 9)",
            (logging.WARNING, "the rebuild of postgres, generation 1, ended with status -9 before it was done"),
        ),
        (
            "print(json.dumps({'error': {'code': 'rebuild-cancelled', 'message': 'It was.'}})); sys.exit(2)",
            (logging.INFO, "the rebuild of postgres, generation 1, was cancelled"),
        ),
    ],
)
async def test_how_it_ended_is_logged(caplog: pytest.LogCaptureFixture, last: str, record: tuple[int, str]) -> None:
    caplog.set_level(logging.INFO)
    async with processes(f"{BEGIN} print('{{\"generation\": 1}}', flush=True); {last}") as running:
        await running.start("postgres")
        async with asyncio.timeout(10):
            while not caplog.records:
                await asyncio.sleep(0.01)
    assert [(each.levelno, each.getMessage()) for each in caplog.records] == [record]

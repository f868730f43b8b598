"""Commands run in a folder of their own, without this machine's settings."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("POSTLOG") or name == "PORT":
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _logging_restored() -> Iterator[None]:
    """Verbs set up logging for their process, which is pytest's here."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture(autouse=True)
def _signals_restored() -> Iterator[None]:
    """Loading the verb of a service sets signal handlers for its process."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def niceness_set(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The niceness values that a rebuild sets for its process. It is pytest's here, and later tests would keep them."""
    given: list[int] = []
    monkeypatch.setattr(os, "setpriority", lambda _which, _who, niceness: given.append(niceness))
    return given

"""Commands run in a folder of their own, without this machine's settings."""

import logging
import os
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
def stood_back(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The niceness that the process of a rebuild, which is pytest's here, would have been given: tests after it would
    keep it."""
    given: list[int] = []
    monkeypatch.setattr(os, "setpriority", lambda _which, _who, niceness: given.append(niceness))
    return given

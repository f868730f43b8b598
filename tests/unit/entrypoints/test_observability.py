"""The lines of the log: their format, and what they never contain."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from domain.errors import PostNotFound
from entrypoints.observability import configure_logging
from entrypoints.settings.model import Log

logger = logging.getLogger("application.somewhere")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.contextvars.clear_contextvars()


def json_lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_is_one_object_a_line_with_the_context_s_correlation_id() -> None:
    stream = io.StringIO()
    configure_logging(Log(format="json"), stream)
    with structlog.contextvars.bound_contextvars(correlation_id="c-1"):
        logger.info("read %d\nthings", 3, extra={"partition": 7})
    (line,) = json_lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "read 3\nthings",
        "level": "info",
        "logger": "application.somewhere",
        "partition": 7,
        "correlation_id": "c-1",
    }


def test_auto_is_console_on_a_terminal_and_json_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    pipe, terminal = io.StringIO(), Terminal()
    for stream in (pipe, terminal):
        configure_logging(Log(), stream)
        logger.info("hello")
    assert json_lines(pipe)[0]["event"] == "hello"
    assert "\x1b[" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    configure_logging(Log(), terminal)
    logger.warning("hello")
    assert "\x1b[" not in terminal.getvalue()


def test_on_the_console_nothing_from_outside_starts_a_line_or_moves_the_cursor() -> None:
    stream = io.StringIO()
    configure_logging(Log(format="console"), stream)
    logger.info("a\nb\x1b[2J", extra={"field": "c\r\nd"})
    assert len(stream.getvalue().splitlines()) == 1
    assert "a\\nb\\x1b[2J" in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_passwords_in_urls_are_not_logged(form: Any) -> None:
    stream = io.StringIO()
    configure_logging(Log(format=form), stream)
    logger.error("no answer from %s", "mongodb://ann:s3cr3t@h/", extra={"url": "postgresql://ann:s3cr3t@h/"})
    try:
        raise RuntimeError("mongodb://ann:s3cr3t@h/")
    except RuntimeError:
        logger.exception("broken")
    assert "s3cr3t" not in stream.getvalue()
    assert stream.getvalue().count("ann:***@h/") >= 3


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_expected_error_has_no_traceback_an_unexpected_one_has(form: Any) -> None:
    stream = io.StringIO()
    configure_logging(Log(format=form), stream)
    try:
        raise PostNotFound("There is no post 1.")
    except PostNotFound:
        logger.exception("refused")
    assert "Traceback" not in stream.getvalue()
    assert "There is no post 1." in stream.getvalue()
    assert "post-not-found" in stream.getvalue()
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logger.exception("broken")
    assert "Traceback" in stream.getvalue()
    assert "ZeroDivisionError" in stream.getvalue()


def test_levels_apply_and_libraries_log_warnings_only() -> None:
    stream = io.StringIO()
    configure_logging(Log(level="info", format="json"), stream)
    logger.debug("details")
    logging.getLogger("pymongo.topology").info("heartbeat")
    logging.getLogger("sqlalchemy.engine").info("SELECT")
    logging.getLogger("sqlalchemy.pool").warning("lost a connection")
    assert [line["event"] for line in json_lines(stream)] == ["lost a connection"]


def test_configured_twice_it_logs_once() -> None:
    stream = io.StringIO()
    configure_logging(Log(format="json"), io.StringIO())
    configure_logging(Log(format="json"), stream)
    logger.warning("once")
    assert len(json_lines(stream)) == 1

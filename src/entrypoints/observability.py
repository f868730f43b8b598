"""Logging: the records of the standard library, rendered by structlog, one line each, on stderr."""

import logging
import os
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, TextIO

from domain.errors import PostlogError
from entrypoints.optional_imports import as_if_not_installed
from entrypoints.settings.model import Log
from entrypoints.settings.secret import mask

with as_if_not_installed("better_exceptions", "rich"):  # tracebacks are formatted here
    import structlog

_CHATTY = ("alembic", "asyncio", "granian", "litestar", "pymongo", "sqlalchemy", "stamina", "urllib3", "_granian")
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {10: "\\n", 13: "\\r", 9: "\\t"}

EventDict = MutableMapping[str, Any]


def configure_logging(settings: Log, stream: TextIO | None = None) -> None:
    """Write every record from `settings.level` on to `stream` (stderr). The last call applies."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(settings, stream))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)


def _formatter(settings: Log, stream: TextIO) -> logging.Formatter:
    console = settings.format == "console" or (settings.format == "auto" and stream.isatty())
    if console:
        colors = stream.isatty() and not os.environ.get("NO_COLOR")
        renderer: Any = structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=_plain_masked_traceback, pad_event_to=0
        )
        shape: list[Any] = [_in_one_line]
    else:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
        shape = [structlog.processors.format_exc_info]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _expected_without_traceback,
            *shape,
            _masked,
            renderer,
        ],
    )


def _expected_without_traceback(_: Any, __: str, event: EventDict) -> EventDict:
    """An error of the tree has a message and a code; its traceback adds nothing."""
    exc_info = event.get("exc_info")
    if isinstance(exc_info, tuple) and isinstance(exc_info[1], PostlogError):
        del event["exc_info"]
        event["error"], event["code"] = exc_info[1].message, exc_info[1].code
    return event


def _in_one_line(_: Any, __: str, event: EventDict) -> EventDict:
    """Nothing that came from outside starts a line of its own, or moves the cursor."""
    return {key: value.translate(_CONTROL) if isinstance(value, str) else value for key, value in event.items()}


def _masked(_: Any, __: str, event: EventDict) -> EventDict:
    return {key: mask(value) if isinstance(value, str) and "://" in value else value for key, value in event.items()}


def _plain_masked_traceback(stream: TextIO, exc_info: Any) -> None:
    stream.write("\n" + mask("".join(traceback.format_exception(*exc_info)).rstrip()))

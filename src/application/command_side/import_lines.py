"""One line of an import: a JSON object with exactly `externalId, author, message, datePosted, likes`."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_FIELDS = ("externalId", "author", "message", "datePosted", "likes")
_MOST_LIKES = 10_000_000
_LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class BadLine:
    """Why line `number` (counted from 1) can't be imported: one sentence."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostLine:
    """`date_posted` is aware, UTC, cut to milliseconds."""

    external_id: str
    author: str
    message: str
    date_posted: datetime
    likes: int


def parse_line(number: int, line: bytes) -> PostLine | BadLine:
    try:
        return _post_line(json.loads(line))
    except UnicodeDecodeError:
        return BadLine(number, "it is not UTF-8 text")
    except json.JSONDecodeError as error:
        return BadLine(number, f"it is not JSON: {error.msg} at column {error.colno}")
    except RecursionError:
        return BadLine(number, "it is nested too deeply")
    except ValueError as error:
        return BadLine(number, str(error))


def _post_line(plain: Any) -> PostLine:
    if not isinstance(plain, dict):
        raise ValueError("it is not a JSON object")
    problems = [f"{name} is missing" for name in _FIELDS if name not in plain]
    problems += [f"{name!r} is not a known field" for name in plain if name not in _FIELDS]
    if problems:
        raise ValueError("; ".join(problems))
    external_id = _text(plain, "externalId")
    if not external_id.strip() or len(external_id) > _LONGEST_ID:
        raise ValueError(f"externalId must have 1 to {_LONGEST_ID} characters")
    return PostLine(
        external_id=external_id,
        author=_text(plain, "author"),
        message=_text(plain, "message"),
        date_posted=_time(plain, "datePosted"),
        likes=_count(plain, "likes"),
    )


def _text(plain: dict[str, Any], name: str) -> str:
    value = plain[name]
    if not isinstance(value, str):
        raise ValueError(f"{name} is not a text")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{name} holds half of a surrogate pair")
    return value


def _count(plain: dict[str, Any], name: str) -> int:
    value = plain[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_LIKES:
        raise ValueError(f"{name} is not a whole number from 0 to {_MOST_LIKES:,}")
    return value


def _time(plain: dict[str, Any], name: str) -> datetime:
    text = _text(plain, name)
    try:
        value = datetime.fromisoformat(text)
        if value.tzinfo is None:
            raise ValueError("no offset")
        utc = value.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} is not a time with its offset, such as 2026-01-31T09:30:00Z") from None
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)

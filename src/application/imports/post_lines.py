"""One line of an import: a JSON object in UTF-8 with exactly `externalId, author, message, datePosted, likes` (see
docs/importing.md). A rejection names the field and its value, in words of Postlog, not of a parser.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Ignored at the beginning of every line, because files that begin with it may be concatenated."""

_FIELDS = ("externalId", "author", "message", "datePosted", "likes")
_MAX_LIKES = 10_000_000
_MAX_ID_LENGTH = 200
_MAX_DIGITS = 20
_SHOWN = 60

_LEAP_SECOND = re.compile(r"\d\d:?\d\d:?60")


@dataclass(frozen=True, slots=True)
class BadLine:
    """Why line `number` (counted from 1) can't be imported: one sentence, which quotes the line unescaped."""

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


class _Refused(Exception):
    """The message is the reason."""


class _Number(str):
    """The text of a number that is not an integer of usual length."""


def parse_line(number: int, line: bytes, longest: int) -> PostLine | BadLine:
    """A reader may cut a line of more than `longest` bytes after one more byte."""
    if len(line) > longest:
        return BadLine(number, f"it is longer than {longest:,} bytes (limits.import_line)")
    try:
        return _post_line(_json(line))
    except _Refused as refused:
        return BadLine(number, str(refused))


def is_blank_line(line: bytes) -> bool:
    return not line.removeprefix(BYTE_ORDER_MARK).strip()


def shown(value: Any) -> str:
    """A value as JSON, shortened."""
    if isinstance(value, _Number):
        return _shortened(value)
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    if isinstance(value, str) and len(value) > _SHOWN:
        return f"{json.dumps(value[:_SHOWN], ensure_ascii=False)}… ({len(value):,} characters)"
    return json.dumps(value, ensure_ascii=False)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} characters)"


def _json(line: bytes) -> Any:
    try:
        text = line.removeprefix(BYTE_ORDER_MARK).decode().strip(" \t\r\n")
    except UnicodeDecodeError as error:
        raise _Refused(f"it is not UTF-8 text: byte 0x{line[error.start]:02x} at byte {error.start + 1}") from None
    try:
        return json.loads(
            text, object_pairs_hook=_members, parse_int=_integer, parse_float=_Number, parse_constant=_Number
        )
    except json.JSONDecodeError as error:
        rest = text[error.pos :]
        where = f"from column {error.pos + 1} on: {shown(rest)}" if rest else f"it ends at column {error.pos}"
        raise _Refused(f"it is not JSON: {where}" if not rest else f"it is not JSON {where}") from None
    except RecursionError:
        raise _Refused("it is nested too deeply") from None


def _members(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _Refused(f"{_name(name)} appears twice, as {shown(found[name])} and {shown(value)}")
        found[name] = value
    return found


def _integer(text: str) -> int | _Number:
    return int(text) if len(text) <= _MAX_DIGITS else _Number(text)


def _name(name: str) -> str:
    return name if name in _FIELDS else shown(name)


def _post_line(plain: Any) -> PostLine:
    if not isinstance(plain, dict):
        raise _Refused(f"it is not a JSON object but {shown(plain)}")
    problems = [f"{name} is missing" for name in _FIELDS if name not in plain]
    unknown = [name for name in plain if name not in _FIELDS]
    problems += [f"{shown(name)} is not a known field (it is {shown(plain[name])})" for name in unknown[:3]]
    if len(unknown) > 3:
        problems.append(f"and {len(unknown) - 3:,} more unknown fields")
    if problems:
        raise _Refused("; ".join(problems))
    external_id = _text(plain, "externalId")
    if not external_id.strip() or len(external_id) > _MAX_ID_LENGTH:
        raise _refused("externalId", external_id, f"1 to {_MAX_ID_LENGTH} characters, not only whitespace")
    return PostLine(
        external_id=external_id,
        author=_text(plain, "author"),
        message=_text(plain, "message"),
        date_posted=_time(plain, "datePosted"),
        likes=_count(plain, "likes"),
    )


def _refused(name: str, value: Any, expected: str) -> _Refused:
    return _Refused(f"{name} is {shown(value)}; it must be {expected}")


def _text(plain: dict[str, Any], name: str) -> str:
    value = plain[name]
    if not isinstance(value, str) or isinstance(value, _Number):
        raise _refused(name, value, "text")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise _Refused(f"{name} is {shown(value)}, which contains an unpaired surrogate")
    return value


def _count(plain: dict[str, Any], name: str) -> int:
    value = plain[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_LIKES:
        raise _refused(name, value, f"a whole number from 0 to {_MAX_LIKES:,}")
    return value


def _time(plain: dict[str, Any], name: str) -> datetime:
    text = _text(plain, name)
    try:
        value = datetime.fromisoformat(text.upper())  # RFC 3339 allows t and z, too
        if value.tzinfo is None:
            raise ValueError("no offset")
        utc = value.astimezone(UTC)
    except (ValueError, OverflowError):
        expected = "a time with its offset, such as 2026-01-31T09:30:00Z"
        if _LEAP_SECOND.search(text):
            expected += "; leap seconds (:60) can't be stored, use the second before"
        raise _refused(name, text, expected) from None
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)

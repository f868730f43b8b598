"""Instants as people and programs write them: RFC 3339, told in UTC with `Z` and three digits of milliseconds.

Cursors: where a page ended, opaque to callers. Each belongs to one list, filters included; another list's, or one
that was tampered with, is refused.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated

from msgspec import DecodeError, Meta, json

from application.errors import MalformedRequest

_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})", re.ASCII | re.IGNORECASE)


def instant_text(instant: datetime) -> str:
    """`instant` is aware and UTC."""
    return instant.isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z"


def parse_instant(text: str) -> datetime:
    """Aware, UTC, cut to milliseconds. Raises `ValueError` with the end of a sentence."""
    if _RFC3339.fullmatch(text):
        try:
            instant = datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        else:
            return instant.replace(microsecond=instant.microsecond // 1000 * 1000)
    raise ValueError("takes an instant like 2026-11-23T15:46:58.123Z, with + written as %2B in a query")


_EPOCH = datetime.fromtimestamp(0, UTC)
_Uuid = Annotated[str, Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
_decoder = json.Decoder(tuple[int, _Uuid, str])


def encode_cursor(of: tuple[object, ...], date: datetime, row_id: str) -> str:
    """`of` names the list: its kind and all that it depends on."""
    milliseconds = (date - _EPOCH) // timedelta(milliseconds=1)
    return _encoded(milliseconds, row_id, _tag(of, milliseconds, row_id))


def decode_cursor(cursor: str, of: tuple[object, ...]) -> tuple[datetime, str]:
    """Raises `MalformedRequest`."""
    try:
        content = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        milliseconds, row_id, tag = _decoder.decode(content)
        date = _EPOCH + timedelta(milliseconds=milliseconds)
    except (ValueError, OverflowError, DecodeError) as error:
        raise _not_ours() from error
    if cursor != _encoded(milliseconds, row_id, tag):  # other spellings decode to the same
        raise _not_ours()
    if tag != _tag(of, milliseconds, row_id):
        raise MalformedRequest(
            "cursor is not one that this list gave; send it with the same filters, or leave it out to start again.",
            path="cursor",
        )
    return date, row_id


def _encoded(milliseconds: int, row_id: str, tag: str) -> str:
    return urlsafe_b64encode(json.encode((milliseconds, row_id, tag))).rstrip(b"=").decode("ascii")


def _not_ours() -> MalformedRequest:
    return MalformedRequest("cursor is not one that this service gave; leave it out to start again.", path="cursor")


def _tag(of: tuple[object, ...], milliseconds: int, row_id: str) -> str:
    return sha256(json.encode((of, milliseconds, row_id))).hexdigest()[:12]

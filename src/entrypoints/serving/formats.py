"""Instants and cursors, as they are written in URLs and in JSON.

Instants are RFC 3339, written in UTC with `Z` and milliseconds. A cursor says where a page ended, and is opaque to
clients. It belongs to one list, filters included; that of another list, or one that was changed, is refused.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated

from msgspec import DecodeError, Meta, json

from application.errors import MalformedRequest

_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})", re.ASCII | re.IGNORECASE)
_EPOCH = datetime.fromtimestamp(0, UTC)
_Uuid = Annotated[str, Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
_decoder = json.Decoder(tuple[int, _Uuid, str])


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
    raise ValueError("must be an instant like 2026-11-23T15:46:58.123Z (in a query, write + as %2B)")


def encode_cursor(of: tuple[object, ...], date: datetime, row_id: str) -> str:
    """`of` identifies the list: its kind, and everything that it depends on."""
    milliseconds = (date - _EPOCH) // timedelta(milliseconds=1)
    return _encoded(milliseconds, row_id, _tag(of, milliseconds, row_id))


def decode_cursor(cursor: str, of: tuple[object, ...]) -> tuple[datetime, str]:
    """Raises `MalformedRequest`."""
    try:
        content = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        milliseconds, row_id, tag = _decoder.decode(content)
        date = _EPOCH + timedelta(milliseconds=milliseconds)
    except (ValueError, OverflowError, DecodeError) as error:
        raise _unknown_cursor() from error
    if cursor != _encoded(milliseconds, row_id, tag):  # other spellings decode to the same
        raise _unknown_cursor()
    if tag != _tag(of, milliseconds, row_id):
        raise MalformedRequest(
            "cursor belongs to another list; send it with the same filters, or leave it out to start again.",
            path="cursor",
        )
    return date, row_id


def _encoded(milliseconds: int, row_id: str, tag: str) -> str:
    return urlsafe_b64encode(json.encode((milliseconds, row_id, tag))).rstrip(b"=").decode("ascii")


def _unknown_cursor() -> MalformedRequest:
    return MalformedRequest("cursor did not come from this service; leave it out to start again.", path="cursor")


def _tag(of: tuple[object, ...], milliseconds: int, row_id: str) -> str:
    return sha256(json.encode((of, milliseconds, row_id))).hexdigest()[:12]

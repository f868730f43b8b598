"""Instants as people and programs write them: RFC 3339, told in UTC with `Z` and three digits of milliseconds."""

import re
from datetime import UTC, datetime

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

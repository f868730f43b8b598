"""Times, numbers and names as pages show them."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from domain.names import name_key

_TONES = 8
_SHOWN = 700
_LINES = 12
_DATA_SHOWN = 4_000


def ago(moment: datetime, now: datetime) -> str:
    """`5 min ago`; a date after a week. The future is `just now`, because clocks may differ a little."""
    passed = now - moment
    if passed < timedelta(minutes=1):
        return "just now"
    if passed < timedelta(hours=1):
        return f"{passed // timedelta(minutes=1)} min ago"
    if passed < timedelta(days=1):
        return f"{passed // timedelta(hours=1)} h ago"
    if passed < timedelta(days=7):
        return f"{passed.days} d ago"
    return f"{moment.day} {moment:%b %Y}"


def moment_text(moment: datetime) -> str:
    """`23 Nov 2026, 15:46:58.123 UTC`."""
    return f"{moment.day} {moment:%b %Y, %H:%M:%S}.{moment.microsecond // 1000:03d} UTC"


def counted(number: int, one: str, many: str) -> str:
    """`1 comment`, `1,204 comments`."""
    return f"{number:,} {one if number == 1 else many}"


def tone(name: str) -> int:
    """The number of one of eight colours for a name, the same on every page."""
    return sum(name_key(name).encode("utf-8", "surrogatepass")) % _TONES


def initial(name: str) -> str:
    return next((character.upper() for character in name if character.isalnum()), "?")


def shortened(text: str) -> str:
    """The beginning of a long text, as much as a list shows; a short text is unchanged."""
    lines = text.split("\n", _LINES)
    begin = "\n".join(lines[:_LINES])
    if len(begin) > _SHOWN:
        begin = begin[:_SHOWN].rsplit(" ", 1)[0] if " " in begin[_SHOWN // 2 : _SHOWN] else begin[:_SHOWN]
    return begin


def title_of(text: str) -> str:
    """The first words of a text, in one line."""
    line = " ".join(text[:200].split())
    return line if len(line) <= 60 else f"{line[:60].rsplit(' ', 1)[0]}…"


def pretty(data: Mapping[str, Any]) -> str:
    """Indented JSON, cut to the length that a page shows."""
    text = json.dumps(data, indent=2, ensure_ascii=False, default=str)
    return text if len(text) <= _DATA_SHOWN else f"{text[:_DATA_SHOWN]}…"


def clock_time(moment: datetime) -> str:
    """`15:46:58.123`, in UTC."""
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"


def minute(moment: datetime) -> str:
    """`23 Nov 15:46`, in UTC."""
    return f"{moment.day} {moment:%b %H:%M} UTC"


def lasting(seconds: float) -> str:
    """`0.4 ms`, `12 ms`, `3.4 s`, `5 min 20 s`, `2 h 5 min`, `3 d`."""
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours = divmod(round(seconds), 60), divmod(round(seconds) // 60, 60)
    if seconds < 3_600:
        return f"{minutes[0]} min {minutes[1]} s"
    return f"{hours[0]} h {hours[1]} min" if seconds < 86_400 else f"{seconds / 86_400:.0f} d"

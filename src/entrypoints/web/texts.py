"""How times, numbers and names are told on a page."""

from datetime import datetime, timedelta

_TONES = 8
_SHOWN = 700
_LINES = 12


def ago(moment: datetime, now: datetime) -> str:
    """`5 min ago`; a date when it is longer ago than a week. Clocks may differ a little: the future is `just now`."""
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
    """One of eight colours for a name, the same on every page."""
    return sum(name.casefold().encode("utf-8", "surrogatepass")) % _TONES


def initial(name: str) -> str:
    return next((character.upper() for character in name if character.isalnum()), "?")


def shortened(text: str) -> str:
    """The beginning of a long text, as much as a list shows; a text that is not long as it is."""
    lines = text.split("\n", _LINES)
    begin = "\n".join(lines[:_LINES])
    if len(begin) > _SHOWN:
        begin = begin[:_SHOWN].rsplit(" ", 1)[0] if " " in begin[_SHOWN // 2 : _SHOWN] else begin[:_SHOWN]
    return begin


def title_of(text: str) -> str:
    """The first words of a text, in one line."""
    line = " ".join(text[:200].split())
    return line if len(line) <= 60 else f"{line[:60].rsplit(' ', 1)[0]}…"

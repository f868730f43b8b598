"""Times as text: RFC 3339 in UTC with `Z` and three digits of milliseconds, `2026-11-23T15:46:58.123Z`."""

from datetime import UTC, datetime

import msgspec

_ENCODER = msgspec.json.Encoder()
_NO_TIME = "it is no RFC 3339 time in UTC that ends with Z"


def time_to_text(time: datetime) -> str:
    """What is below a millisecond is cut off. A time without an offset is a `ValueError`."""
    return str(time_to_ascii(time), "ascii")


def time_to_ascii(time: datetime) -> bytes:
    """The bytes of `time_to_text`."""
    if time.tzinfo is not UTC:
        if time.utcoffset() is None:
            raise ValueError(f"{time!r} has no offset from UTC.")
        time = time.astimezone(UTC)
    text = _ENCODER.encode(time)  # in quotes; a quarter of the time of `isoformat`
    return text[1:24] + b"Z" if time.microsecond else text[1:20] + b".000Z"


def time_from_text(text: str) -> datetime:
    """Reads any number of digits below the second and cuts to milliseconds. `ValueError` for another form."""
    if text[-1:] != "Z" or text[10:11] != "T":
        raise ValueError(_NO_TIME)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(_NO_TIME) from None
    below = time.microsecond % 1_000
    return time.replace(microsecond=time.microsecond - below) if below else time

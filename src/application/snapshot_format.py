"""How the state of a snapshot is stored: as compressed lines of JSON; and its `format`, a digest of everything that the
state depends on, so that a state that another version of Postlog folded is ignored."""

import hashlib
import json
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

from domain.event_types import CURRENT
from domain.upcasters import CHAIN
from domain.upcasting import EventKey

ENTRIES_PER_LINE: Final = 5_000
"""Bounds how long one step of encoding or decoding blocks the interpreter."""

UNREADABLE = (ValueError, KeyError, TypeError, zlib.error)
"""Raised for a state that is not in its format."""


def compressed(lines: Iterable[Any]) -> bytes:
    compressor = zlib.compressobj(level=1)
    parts = [compressor.compress(json.dumps(line, ensure_ascii=False).encode() + b"\n") for line in lines]
    return b"".join([*parts, compressor.flush()])


def lines_of(state: bytes) -> Iterable[Any]:
    """What was `compressed`. Raises one of `UNREADABLE` for anything else, perhaps with a line."""
    return map(json.loads, zlib.decompress(state).splitlines())


def current_format(shape: int) -> str:
    """`shape` is a number that the caller raises when the meaning of a stored field, its fold, or what an upcaster does
    changes."""
    return format_of(
        shape,
        [(event_type.name, event_type.schema_version) for event_type in CURRENT],
        [step.consumes + step.produces for step in CHAIN.steps],
    )


def format_of(shape: int, event_types: Sequence[EventKey], steps: Sequence[tuple[EventKey, ...]]) -> str:
    return hashlib.sha256(repr((shape, list(event_types), list(steps))).encode()).hexdigest()[:16]

"""The `format` of a snapshot: a digest of everything that its state depends on, so that a state that another version of
Postlog folded is ignored."""

import hashlib
from collections.abc import Sequence

from domain.event_types import CURRENT
from domain.upcasters import CHAIN
from domain.upcasting import EventKey


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

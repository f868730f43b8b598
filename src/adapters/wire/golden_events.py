"""The golden files: an event of every shape that was ever stored, and what it reads as today.

`{"stored": event, "readAs": [event, …]}`, where an event is `{type, schemaVersion, data}`. `stored` may be a list, when
the shape is read only together with its neighbours in one commit.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from application.envelopes import StoredEvent


@dataclass(frozen=True, slots=True)
class GoldenEvent:
    """`shape` is the file's name: `PostLiked.v1`."""

    shape: str
    stored: tuple[StoredEvent, ...]
    read_as: tuple[StoredEvent, ...]


def golden_events(folder: Path) -> dict[str, GoldenEvent]:
    """By shape. Raises `ValueError` for a file that is not one."""
    return {path.stem: _golden_event(path) for path in sorted(folder.glob("*.json"))}


def shape_name(event_type: str, schema_version: int) -> str:
    return f"{event_type}.v{schema_version}"


def _golden_event(path: Path) -> GoldenEvent:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        stored = plain["stored"] if isinstance(plain["stored"], list) else [plain["stored"]]
        return GoldenEvent(path.stem, tuple(map(_event, stored)), tuple(map(_event, plain["readAs"])))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no golden file: {error!r}") from error


def _event(plain: Mapping[str, Any]) -> StoredEvent:
    return StoredEvent(plain["type"], plain["schemaVersion"], plain["data"])

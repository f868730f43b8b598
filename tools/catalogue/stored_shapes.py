"""The golden files: an event of every shape that was ever stored, and what it reads as today.

`{"stored": event, "readAs": [event, …]}`, where an event is `{type, schemaVersion, data}`. `stored` may be a list, when
the shape is read only together with its neighbours in one commit.

Every shape in which an event was ever stored, as the committed catalogue has it: schemas and golden files.

`docs/schemas/<Event>.v<N>.json`   what its data looks like; of the current version made from the class, of older ones
                                   committed history
`docs/schemas/history.json`        digests of what belongs to older versions, which never changes
`tests/golden/<Event>.v<N>.json`   an example, and what it reads as today
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from application.envelopes import StoredEvent
from domain.upcasting import EventKey
from tools.catalogue.json_schema import SINCE, Schema


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


SCHEMAS = "docs/schemas"
HISTORY = "docs/schemas/history.json"
GOLDEN = "tests/golden"

_SCHEMA_FILE = re.compile(r"(?P<name>\w+)\.v(?P<version>[1-9]\d*)\.json")

Digests = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StoredShapes:
    """`history` has the digests by the shape's name; `release` is the version of Postlog that is being worked on."""

    schemas: Mapping[EventKey, Schema]
    golden: Mapping[str, GoldenEvent]
    history: Mapping[str, Digests]
    release: str

    @classmethod
    def read(cls, root: Path) -> Self:
        """Raises `OSError`, and `ValueError` for a file that its name does not describe."""
        release = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
        history = root / HISTORY
        pinned = json.loads(history.read_text(encoding="utf-8")) if history.exists() else {}
        return cls(_schemas(root / SCHEMAS), golden_events(root / GOLDEN), pinned, release)

    def since(self, key: EventKey) -> str:
        committed = self.schemas.get(key)
        return self.release if committed is None else str(committed[SINCE])

    def digests(self, key: EventKey) -> Digests | None:
        """Of what is committed now; None when a file is missing."""
        schema, golden = self.schemas.get(key), self.golden.get(shape_name(*key))
        if schema is None or golden is None:
            return None
        stored = [[event.type, event.schema_version, event.data] for event in golden.stored]
        return {"schema": _digest(schema), "golden": _digest(stored)}


def schema_path(key: EventKey) -> str:
    return f"{SCHEMAS}/{shape_name(*key)}.json"


def golden_path(key: EventKey) -> str:
    return f"{GOLDEN}/{shape_name(*key)}.json"


def json_text(plain: Any) -> str:
    return json.dumps(plain, ensure_ascii=False, indent=2) + "\n"


def _schemas(folder: Path) -> dict[EventKey, Schema]:
    found: dict[EventKey, Schema] = {}
    for path in sorted(folder.glob("*.json")):
        match = _SCHEMA_FILE.fullmatch(path.name)
        if match is None:
            continue
        try:
            found[match["name"], int(match["version"])] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is not JSON: {error}") from error
    return found


def _digest(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, ensure_ascii=False, sort_keys=True).encode()).hexdigest()

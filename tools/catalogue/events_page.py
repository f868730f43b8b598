"""`docs/events.md`: the stored events, for readers. Generated from schemas and golden files."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from application.envelopes import StoredEvent
from domain.upcasting import EventKey
from tools.catalogue.json_schema import SINCE, Schema
from tools.catalogue.stored_shapes import GoldenEvent, shape_name

_INTRODUCTION = """\
# The events

Everything that happens to a post, as it is stored in the log and sent over the bus. An event is stored with its
name, its schema version and its `data`, a JSON object; older schema versions are brought to the current one when they
are read ([how](versioning.md)). All fields of a version are always there, and no others. Times are RFC 3339 in UTC
with `Z`; ids are UUIDs as lower-case text. An event does not contain its post's id: the stream has it, and on the bus
the key.

This page is generated (`make fix`) from the classes in `src/domain/events.py`, the [schemas](schemas) and the golden
files in `tests/golden`. [asyncapi.yaml](asyncapi.yaml) describes the messages of the Kafka topic.
"""

Schemas = Mapping[EventKey, Schema]
Golden = Mapping[str, GoldenEvent]


def events_page(current: Sequence[EventKey], schemas: Schemas, golden: Golden) -> str:
    """`current` are the events in the order of the page."""
    names = list(dict.fromkeys([name for name, _ in current] + sorted({name for name, _ in schemas})))
    contents = "| event | schema version | since |\n|---|---|---|\n"
    contents += "".join(_contents_row(name, schemas, current) for name in names)
    sections = [_section(name, current, schemas, golden) for name in names]
    return "\n".join([_INTRODUCTION, contents, *sections])


def _versions(name: str, schemas: Schemas) -> list[int]:
    """The newest first."""
    return sorted((version for other, version in schemas if other == name), reverse=True)


def _contents_row(name: str, schemas: Schemas, current: Sequence[EventKey]) -> str:
    newest = _versions(name, schemas)[0]
    version = str(newest) if (name, newest) in current else f"{newest}, no longer written"
    return f"| [{name}](#{name.lower()}) | {version} | {schemas[name, newest][SINCE]} |\n"


def _section(name: str, current: Sequence[EventKey], schemas: Schemas, golden: Golden) -> str:
    versions = _versions(name, schemas)
    parts = [f"## {name}\n", f"{schemas[name, versions[0]]['description']}\n"]
    for version in versions:
        is_current = (name, version) in current
        parts += _of_version(name, version, schemas, golden[shape_name(name, version)], is_current)
    return "\n".join(parts)


def _of_version(name: str, version: int, schemas: Schemas, golden: GoldenEvent, is_current: bool) -> list[str]:
    schema = schemas[name, version]
    kind = "current" if is_current else "only read"
    heading = f"### {name}, schema version {version} ({kind})\n"
    source = f"Since {schema[SINCE]}. [JSON Schema](schemas/{shape_name(name, version)}.json)\n"
    stored = _example([(event.type, event.schema_version, event.data) for event in golden.stored])
    parts = [heading, source, _fields(name, version, schemas), stored]
    return parts if is_current else [*parts, _what_upcasting_does(golden), _example(_plain(golden.read_as))]


def _fields(name: str, version: int, schemas: Schemas) -> str:
    fields = schemas[name, version]["properties"]
    if not fields:
        return "No fields.\n"
    rows = [
        f"| `{field}` | {_kind(schema)} | {_since(name, field, version, schemas)} |\n"
        for field, schema in fields.items()
    ]
    return "| field | value | since schema version |\n|---|---|---|\n" + "".join(rows)


def _kind(field: Schema) -> str:
    kinds = [field["type"]] if isinstance(field["type"], str) else field["type"]
    names = {
        "string": {"date-time": "time", "uuid": "UUID"}.get(field.get("format", ""), "text"),
        "integer": "whole number",
        "boolean": "true or false",
        "array": "list of texts",
    }
    return " or ".join(names.get(kind, kind) for kind in kinds)


def _since(name: str, field: str, version: int, schemas: Schemas) -> int:
    while field in schemas.get((name, version - 1), {"properties": {}})["properties"]:
        version -= 1
    return version


def _what_upcasting_does(golden: GoldenEvent) -> str:
    [*stored], [*read] = golden.stored, golden.read_as
    if not read:
        return "It is dropped when it is read; only its version counts.\n"
    if len(stored) > 1:
        return f"Such neighbours in one commit are merged when they are read, to {_names(read)}:\n"
    if len(read) > 1:
        return f"It is split when it is read, into {_names(read)}:\n"
    return f"It is read as {_names(read)}{_difference(stored[0], read[0])}:\n"


def _names(events: Sequence[StoredEvent]) -> str:
    return " and ".join(f"{event.type}, schema version {event.schema_version}" for event in events)


def _difference(stored: StoredEvent, read: StoredEvent) -> str:
    before, after = stored.data, read.data
    changes = [f"`{name}` is {_value(after[name])}" for name in after if name not in before]
    changes += [f"`{name}` is left out" for name in before if name not in after]
    changed = [name for name in before if name in after and before[name] != after[name]]
    changes += [f"`{name}` becomes {_value(after[name])}" for name in changed]
    return f"; {', '.join(changes)}" if changes else ""


def _value(value: Any) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _plain(events: Sequence[StoredEvent]) -> list[tuple[str, int, Mapping[str, Any]]]:
    return [(event.type, event.schema_version, event.data) for event in events]


def _example(events: Sequence[tuple[str, int, Mapping[str, Any]]]) -> str:
    if not events:
        return ""
    lines = [
        json.dumps({"type": name, "schemaVersion": version, "data": data}, ensure_ascii=False)
        for name, version, data in events
    ]
    return "```json\n" + "\n".join(lines) + "\n```\n"

"""Checks the committed catalogue of events against the code, and generates it from the code.

From the root of the repository, `python -m tools.catalogue` checks and edits nothing: exit status 1 and a message for
each problem. With `--write` it generates the schemas of current events, `docs/events.md` and `docs/asyncapi.yaml`. It
never overwrites a shape of which logs hold events.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.event_types import CURRENT, EventType
from domain.upcasters import CHAIN
from domain.upcasting import EventKey, UpcasterChain
from tools.catalogue.asyncapi import asyncapi_yaml
from tools.catalogue.events_page import events_page
from tools.catalogue.history_check import broken_history
from tools.catalogue.json_schema import Schema, obstacles, schema_of
from tools.catalogue.stored_shapes import HISTORY, StoredShapes, json_text, schema_path

EVENTS_PAGE = "docs/events.md"
ASYNCAPI = "docs/asyncapi.yaml"

_NEW_VERSION = (
    "Logs hold events of this schema version, and the current code can no longer read them. Revert the change, or add "
    "schema version {next}: raise it in src/domain/event_types.py, lead version {version} to it by a step in "
    "src/domain/upcasters.py, write tests/golden/{name}.v{next}.json, correct `readAs` in the golden files of older "
    "versions, then run `make fix` (docs/versioning.md shows the whole way). Only if version {version} was never "
    "released: delete {path}, correct its golden file and run `make fix`."
)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """`problems` are messages about what only a person can fix; while there are any, there are no `files`: the
    generated texts, by path."""

    problems: Sequence[str]
    files: dict[str, str]


def catalogue(root: Path, event_types: Sequence[EventType] = CURRENT, chain: UpcasterChain = CHAIN) -> Catalogue:
    """Raises `OSError` and `ValueError` for files that can't be read."""
    shapes = StoredShapes.read(root)
    try:
        current = _current_schemas(shapes, event_types)
    except TypeError as error:
        return Catalogue([f"{error} Use another type, or add it to src/adapters/wire/event_shape.py."], {})
    problems = [sentence for key, schema in current.items() for sentence in _broken_shape(key, shapes, schema)]
    problems += broken_history(shapes, event_types, chain)
    return Catalogue(problems, {} if problems else _files(shapes, current, chain))


def drift(root: Path, found: Catalogue) -> list[str]:
    """The generated files that do not match the code."""
    return [path for path, text in found.files.items() if not _has(root / path, text)]


def _current_schemas(shapes: StoredShapes, event_types: Sequence[EventType]) -> dict[EventKey, Schema]:
    keys = [(event_type.name, event_type.schema_version) for event_type in event_types]
    return {key: schema_of(event_type, shapes.since(key)) for key, event_type in zip(keys, event_types, strict=True)}


def _broken_shape(key: EventKey, shapes: StoredShapes, now: Schema) -> Iterator[str]:
    stored = shapes.schemas.get(key)
    if stored is not None and (clauses := obstacles(stored, now)):
        name, version = key
        way_out = _NEW_VERSION.format(name=name, version=version, next=version + 1, path=schema_path(key))
        yield f"{name}, schema version {version}: {'; '.join(clauses)}. {way_out}"


def _files(shapes: StoredShapes, current: dict[EventKey, Schema], chain: UpcasterChain) -> dict[str, str]:
    every = {**shapes.schemas, **current}
    old = sorted(key for key in every if chain.is_old(key))
    history = {f"{name}.v{version}": shapes.digests((name, version)) for name, version in old}
    return {
        **{schema_path(key): json_text(schema) for key, schema in current.items()},
        HISTORY: json_text(history),
        EVENTS_PAGE: events_page(list(current), every, shapes.golden),
        ASYNCAPI: asyncapi_yaml(every),
    }


def _has(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def main(arguments: Sequence[str], root: Path) -> int:
    """Returns 0 when everything matches, or was written."""
    if [*arguments] not in ([], ["--write"]):
        print("usage: python -m tools.catalogue [--write]", file=sys.stderr)
        return 2
    try:
        found = catalogue(root)
    except (OSError, ValueError) as error:
        print(f"The catalogue of events can't be read: {error}", file=sys.stderr)
        return 2
    for problem in found.problems:
        print(problem, file=sys.stderr)
    stale = drift(root, found)
    for path in stale:
        if arguments:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(found.files[path], encoding="utf-8")
            print(f"wrote {path}")
        else:
            print(f"{path} does not match the code. Run `make fix`, and review the changes.", file=sys.stderr)
    return 1 if found.problems or (stale and not arguments) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path.cwd()))

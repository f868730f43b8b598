"""Settings as text: as YAML with the source of every value, as the short names of log and read database, and as the
written reference.

`python -m entrypoints.settings.rendering`, run in the root of the repository, writes the reference again:
`config/embedded.yaml` and the tables of `docs/settings.md`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from entrypoints.settings.leaves import Leaf, leaves, value_at
from entrypoints.settings.loading import LoadedSettings
from entrypoints.settings.model import Settings
from entrypoints.settings.secret import Secret
from entrypoints.settings.sources import bounds_text

_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./+-]*")
_NOT_TEXT_ELSEWHERE = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n"))


def as_yaml(loaded: LoadedSettings) -> str:
    """All settings, secrets masked; the comment behind each value names its source."""
    return _render(lambda leaf: value_at(loaded.settings, leaf.path), lambda leaf: loaded.sources[leaf.path])


def defaults_as_yaml() -> str:
    """All defaults; the comment behind each value describes the setting."""
    return _render(lambda leaf: leaf.default, _purpose)


def as_records(loaded: LoadedSettings) -> Iterator[dict[str, Any]]:
    """One object for each setting: path, value, source."""
    for path in leaves():
        value = value_at(loaded.settings, path)
        shown = str(value) if isinstance(value, Secret) else value
        yield {"path": path, "value": shown, "source": loaded.sources[path]}


def _purpose(leaf: Leaf) -> str:
    return f"{' | '.join(leaf.choices)}. {leaf.description}" if leaf.choices else leaf.description


def _render(value_of: Callable[[Leaf], Any], comment_of: Callable[[Leaf], str]) -> str:
    lines: list[str] = []
    shown: list[str] = []
    for path, leaf in leaves().items():
        parents = path.split(".")[:-1]
        for depth, parent in enumerate(parents):
            if parents[: depth + 1] != shown[: depth + 1]:
                lines.append(f"{'  ' * depth}{parent}:")
        shown = parents
        comment = comment_of(leaf).replace("\n", " ")
        lines.append(f"{'  ' * len(parents)}{leaf.name}: {scalar(value_of(leaf))}  # {comment}")
    return "\n".join(lines) + "\n"


def scalar(value: Any) -> str:
    """A value as YAML that readers of every version of YAML understand alike."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"{value:.15g}"
        case _:
            text = str(value)
            plain = _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT_ELSEWHERE
            return text if plain else json.dumps(text, ensure_ascii=False)


# --- which log and which read database a result is about ---

LOG, READ_DB = "log", "readDb"
_TITLES = {LOG: "Log", READ_DB: "Read database"}


def places(settings: Settings, *names: str) -> Mapping[str, str]:
    """Log and read database (`LOG`, `READ_DB`) of these settings, without passwords. Results of jobs name them, since
    another shell may have another `POSTLOG_DATA` or settings file."""
    found = {LOG: _log(settings), READ_DB: _read_db(settings)}
    return {name: found[name] for name in names}


def in_words(places: Mapping[str, str]) -> str:
    """`Log: sqlite /data/log.sqlite. Read database: …`"""
    return " ".join(f"{_TITLES[name]}: {place}." for name, place in places.items())


def _log(settings: Settings) -> str:
    match settings.event_store.adapter:
        case "sqlite":
            return f"sqlite {Path(settings.event_store.sqlite.path).absolute()}"
        case "mongo":
            mongo = settings.event_store.mongo
            return f"mongo {mongo.url}, database {mongo.database}"
        case "memory":
            return "memory"


def _read_db(settings: Settings) -> str:
    read_db = settings.read_db
    match read_db.adapter:
        case "sqlite":
            return f"sqlite {Path(read_db.sqlite.path).absolute()}"
        case "postgres":
            return f"postgres {read_db.postgres.url}"
        case "sqlserver":
            return f"sqlserver {read_db.sqlserver.url}"
        case "memory":
            return "memory"


# --- the written reference ---

_HEADER = """\
# Every setting with its default: the whole service in one process, on SQLite. `postlog` runs without this file.
# Your own file, or a variable such as POSTLOG__HTTP__PORT=8080, needs only the settings that differ.
"""
BEGIN = "<!-- the tables below are written by `python -m entrypoints.settings.rendering` -->\n"
_TYPES = {"bool": "true or false", "str": "text", "Secret": "secret"}


def write_reference(root: Path) -> None:
    (root / "config/embedded.yaml").write_text(embedded_yaml(), encoding="utf-8")
    page = root / "docs/settings.md"
    prose = page.read_text(encoding="utf-8").partition(BEGIN)[0]
    page.write_text(prose + BEGIN + tables(), encoding="utf-8")


def embedded_yaml() -> str:
    return _HEADER + "\n" + defaults_as_yaml()


def tables() -> str:
    """Markdown: a section for each group, a row for each setting."""
    sections = groupby(leaves().values(), key=lambda leaf: leaf.path.rpartition(".")[0])
    return "\n".join(_section(group, list(members)) for group, members in sections)


def _section(group: str, members: list[Leaf]) -> str:
    head = f"\n## {group}\n\n| setting | default | values | description |\n|---|---|---|---|\n"
    return head + "".join(
        f"| `{leaf.name}` | `{scalar(leaf.default)}` | {_values(leaf)} | {leaf.description} |\n" for leaf in members
    )


def _values(leaf: Leaf) -> str:
    if leaf.choices:
        return ", ".join(f"`{choice}`" for choice in leaf.choices)
    if leaf.kind in (int, float):
        return bounds_text(leaf)
    return _TYPES[leaf.kind.__name__] + (" or null" if leaf.optional else "")


if __name__ == "__main__":
    write_reference(Path.cwd())

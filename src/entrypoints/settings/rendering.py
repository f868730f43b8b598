"""Settings as YAML for people, secrets masked, every value with where it came from."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from entrypoints.settings.loading import LoadedSettings
from entrypoints.settings.secret import Secret
from entrypoints.settings.tree import Leaf, leaves, value_at

_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./+-]*")
_NOT_TEXT_ELSEWHERE = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n"))


def as_yaml(loaded: LoadedSettings) -> str:
    """The whole tree; behind each value a comment with its source."""
    return render(lambda leaf: value_at(loaded.settings, leaf.path), lambda leaf: loaded.sources[leaf.path])


def defaults_as_yaml() -> str:
    """The whole tree as it is when nothing is given; behind each value a comment that says what it is for."""
    return render(lambda leaf: leaf.default, _purpose)


def _purpose(leaf: Leaf) -> str:
    return f"{' | '.join(leaf.choices)}. {leaf.description}" if leaf.choices else leaf.description


def as_records(loaded: LoadedSettings) -> Iterator[dict[str, Any]]:
    """One object a setting: path, value, source."""
    for path in leaves():
        value = value_at(loaded.settings, path)
        shown = str(value) if isinstance(value, Secret) else value
        yield {"path": path, "value": shown, "source": loaded.sources[path]}


def render(value_of: Callable[[Leaf], Any], comment_of: Callable[[Leaf], str]) -> str:
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
    """A value as YAML that every reader understands alike, whatever its version of YAML."""
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

"""The settings as a flat list of leaves, each with its path, type, bounds, default and description; and the error that
lists what is wrong with them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from entrypoints.settings.model import Settings
from entrypoints.settings.secret import Secret


@dataclass(frozen=True, slots=True)
class Leaf:
    """One setting. `kind` is bool, int, float, str or Secret. `choices` are the allowed values; empty: any value."""

    path: str
    kind: type
    default: Any
    optional: bool = False
    choices: tuple[str, ...] = ()
    bounds: Meta = field(default_factory=Meta)
    description: str = ""
    schemes: tuple[str, ...] = ()
    items: str | None = None
    """Of a text that is a list separated by commas: the pattern of its items."""
    item: str = ""
    """What an item is: `an origin like …`."""

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def variable(self) -> str:
        """The environment variable of this setting."""
        return "POSTLOG__" + self.path.replace(".", "__").upper()


@cache
def leaves() -> dict[str, Leaf]:
    """Every setting by its path, in the order of the model."""
    return {leaf.path: leaf for leaf in _leaves(Settings, "")}


@cache
def groups() -> frozenset[str]:
    """The paths of groups of settings: `http`, `read_db.postgres` …"""
    parents = (path.split(".")[:depth] for path in leaves() for depth in range(1, path.count(".") + 1))
    return frozenset(".".join(parent) for parent in parents)


def value_at(settings: Settings, path: str) -> Any:
    value: Any = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value


def listed(text: str | None) -> list[str]:
    """The items of a setting that is a list separated by commas; none for null."""
    return [item.strip() for item in text.split(",") if item.strip()] if text else []


def is_secret(path: str) -> bool:
    leaf = leaves().get(path)
    return leaf is not None and leaf.kind is Secret


@dataclass(frozen=True, slots=True)
class Problem:
    """`path` names the setting and `sentence` continues it (`must be …`). `source` is where the value came from: a file
    and line, a variable, an option."""

    path: str
    sentence: str
    source: str | None = None

    def __str__(self) -> str:
        origin = f" ({self.source})" if self.source else ""
        return f"{self.path} {self.sentence}{origin}"


class SettingsError(Exception):
    """Postlog can't run with these settings. `problems` has all that were found, each once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self._text())

    def _text(self) -> str:
        if len(self.problems) == 1:
            return f"Invalid settings: {self.problems[0]}"
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        return f"Invalid settings, {len(self.problems)} problems:{lines}"


def unknown_setting(path: str, source: str) -> Problem:
    meant = nearest_setting(path)
    hint = f"; did you mean {meant}?" if meant else "; `postlog config` lists all settings"
    return Problem(path, f"is not a setting{hint}", source)


def nearest_setting(path: str) -> str | None:
    """The setting or group that was probably meant: one of the same group spelled alike, or the same name elsewhere."""
    every = [*leaves(), *sorted(groups())]
    parent, _, name = path.rpartition(".")
    neighbours = {known.rpartition(".")[2]: known for known in every if known.rpartition(".")[0] == parent}
    alike = get_close_matches(name, neighbours, n=1, cutoff=0.6)
    if alike:
        return neighbours[alike[0]]
    elsewhere = [known for known in every if known.rpartition(".")[2] == name]
    return next(iter(elsewhere or get_close_matches(path, every, n=1, cutoff=0.6)), None)


def _leaves(model: type[Struct], prefix: str) -> Iterator[Leaf]:
    hints = get_type_hints(model, include_extras=True)
    for struct_field in msgspec.structs.fields(model):
        path, hint = prefix + struct_field.name, hints[struct_field.name]
        if isinstance(hint, type) and issubclass(hint, Struct):
            yield from _leaves(hint, path + ".")
        else:
            yield _leaf(path, hint, struct_field.default)


def _leaf(path: str, hint: Any, default: Any) -> Leaf:
    plain, metas = _without_annotations(hint)
    described = next(meta for meta in reversed(metas) if meta.description)
    optional = NoneType in get_args(plain)
    if optional:
        inner = next(argument for argument in get_args(plain) if argument is not NoneType)
        plain, more = _without_annotations(inner)
        metas = more + metas
    extra = described.extra or {}
    choices = get_args(plain) if get_origin(plain) is Literal else ()
    return Leaf(
        path=path,
        kind=str if choices else plain,
        default=default,
        optional=optional,
        choices=choices,
        bounds=metas[0],
        description=described.description or "",
        schemes=extra.get("schemes", ()),
        items=extra.get("items"),
        item=extra.get("item", ""),
    )


def _without_annotations(hint: Any) -> tuple[Any, list[Meta]]:
    """Nested annotations arrive flattened, innermost first; the innermost one has the bounds."""
    if get_origin(hint) is not Annotated:
        return hint, []
    plain, *metas = get_args(hint)
    return plain, metas

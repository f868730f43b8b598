"""The tree of settings seen as a flat list of leaves, each with its path, type, bounds, default and description.

What is wrong with the settings: all of it at once.
"""

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
    """One setting. `kind` is bool, int, float, str or Secret; `choices` are its only values, if it has any."""

    path: str
    kind: type
    default: Any
    optional: bool = False
    choices: tuple[str, ...] = ()
    bounds: Meta = field(default_factory=Meta)
    description: str = ""
    schemes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return "POSTLOG__" + self.path.replace(".", "__").upper()


@cache
def leaves() -> dict[str, Leaf]:
    """Every setting by its path, in the order of the model."""
    return {leaf.path: leaf for leaf in _leaves(Settings, "")}


@cache
def groups() -> frozenset[str]:
    """The paths that hold settings and are none themselves: `http`, `read_db.postgres` …"""
    parents = (path.split(".")[:depth] for path in leaves() for depth in range(1, path.count(".") + 1))
    return frozenset(".".join(parent) for parent in parents)


def value_at(settings: Settings, path: str) -> Any:
    value: Any = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value


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
    choices = get_args(plain) if get_origin(plain) is Literal else ()
    return Leaf(
        path=path,
        kind=str if choices else plain,
        default=default,
        optional=optional,
        choices=choices,
        bounds=metas[0],
        description=described.description or "",
        schemes=(described.extra or {}).get("schemes", ()),
    )


def _without_annotations(hint: Any) -> tuple[Any, list[Meta]]:
    """Nested annotations come flattened, the innermost first: that is the one with the bounds."""
    if get_origin(hint) is not Annotated:
        return hint, []
    plain, *metas = get_args(hint)
    return plain, metas


def is_secret(path: str) -> bool:
    leaf = leaves().get(path)
    return leaf is not None and leaf.kind is Secret


@dataclass(frozen=True, slots=True)
class Problem:
    """`path` is the setting's, `sentence` goes on from it (`must be …`); `source` is where the value came from: a
    file and line, a variable, an option."""

    path: str
    sentence: str
    source: str | None = None

    def __str__(self) -> str:
        origin = f" ({self.source})" if self.source else ""
        return f"{self.path} {self.sentence}{origin}"


class SettingsError(Exception):
    """Postlog can't run with these settings. `problems` are all that were found, each once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self._text())

    def _text(self) -> str:
        if len(self.problems) == 1:
            return f"The settings don't fit: {self.problems[0]}"
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        return f"The settings don't fit, in {len(self.problems)} places:{lines}"


def nearest(path: str) -> str | None:
    """The setting or group that was probably meant: a neighbour spelled alike, or the same name elsewhere."""
    every = [*leaves(), *sorted(groups())]
    parent, _, name = path.rpartition(".")
    neighbours = {known.rpartition(".")[2]: known for known in every if known.rpartition(".")[0] == parent}
    alike = get_close_matches(name, neighbours, n=1, cutoff=0.6)
    if alike:
        return neighbours[alike[0]]
    elsewhere = [known for known in every if known.rpartition(".")[2] == name]
    return next(iter(elsewhere or get_close_matches(path, every, n=1, cutoff=0.6)), None)


def unknown(path: str, source: str) -> Problem:
    meant = nearest(path)
    hint = f"; did you mean {meant}?" if meant else "; `postlog config` lists them all"
    return Problem(path, f"is not a setting{hint}", source)

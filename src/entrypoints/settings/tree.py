"""The tree of settings seen as a flat list of leaves, each with its path, type, bounds, default and description."""

from collections.abc import Iterator
from dataclasses import dataclass, field
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

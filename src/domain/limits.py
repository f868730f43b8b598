"""How long texts may be, in characters (Unicode code points). The settings fill it; `decide` is handed it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    name: int = 100
    message: int = 40_000
    comment: int = 2_000

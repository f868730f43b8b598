"""The maximum lengths of texts in characters (Unicode code points), from the settings; an argument of `decide`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    name: int = 100
    message: int = 40_000
    comment: int = 2_000

"""What differs between two texts, by words."""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_MOST_WORDS = 3_000
"""Comparing takes time by the square of it: longer texts are told as one that went and one that came."""


class Piece(NamedTuple):
    kind: Literal["kept", "added", "gone"]
    text: str


def pieces(old: str, new: str) -> Sequence[Piece]:
    """In reading order. The pieces that are kept or gone make up the old text, those kept or added the new one."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    if len(before) > _MOST_WORDS or len(after) > _MOST_WORDS:
        return [Piece("gone", old), Piece("added", new)]
    return list(_compared(before, after))


def _compared(before: list[str], after: list[str]) -> Iterator[Piece]:
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            yield Piece("kept", "".join(before[i1:i2]))
            continue
        if i1 < i2:
            yield Piece("gone", "".join(before[i1:i2]))
        if j1 < j2:
            yield Piece("added", "".join(after[j1:j2]))

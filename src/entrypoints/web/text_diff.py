"""The differences between two texts, word by word."""

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_Word = tuple[Literal["kept", "added", "gone"], str]

_MOST_WORDS = 200
"""The time of a comparison grows with its square: about 10 ms at most. Apart from the beginning and end that both texts
share, longer parts are shown as one part that was replaced by another."""


class Piece(NamedTuple):
    kind: Literal["kept", "added", "gone"]
    text: str


def pieces(old: str, new: str) -> Sequence[Piece]:
    """In reading order. Kept and removed pieces form the old text, kept and added ones the new text."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    head = _common_length(before, after)
    tail = _common_length(before[head:][::-1], after[head:][::-1])
    middle = _compared(before[head : len(before) - tail], after[head : len(after) - tail])
    found: list[_Word] = [("kept", word) for word in before[:head]]
    found += middle
    found += [("kept", word) for word in before[len(before) - tail :]]
    return list(_joined(found))


def _common_length(one: Sequence[str], other: Sequence[str]) -> int:
    """The number of words that both begin with."""
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length


def _compared(before: Sequence[str], after: Sequence[str]) -> list[_Word]:
    """By their longest common subsequence."""
    if len(before) > _MOST_WORDS or len(after) > _MOST_WORDS:
        return [*(("gone", word) for word in before), *(("added", word) for word in after)]
    longest = _longest_common(before, after)
    words: list[_Word] = []
    i = j = 0
    while i < len(before) and j < len(after):
        if before[i] == after[j]:
            words.append(("kept", before[i]))
            i, j = i + 1, j + 1
        elif longest[i + 1][j] >= longest[i][j + 1]:
            words.append(("gone", before[i]))
            i += 1
        else:
            words.append(("added", after[j]))
            j += 1
    return [*words, *(("gone", word) for word in before[i:]), *(("added", word) for word in after[j:])]


def _longest_common(before: Sequence[str], after: Sequence[str]) -> list[list[int]]:
    """At [i][j]: the length of the longest common subsequence of `before[i:]` and `after[j:]`."""
    table = [[0] * (len(after) + 1) for _ in range(len(before) + 1)]
    for i in range(len(before) - 1, -1, -1):
        row, below, word = table[i], table[i + 1], before[i]
        for j in range(len(after) - 1, -1, -1):
            row[j] = below[j + 1] + 1 if word == after[j] else max(row[j + 1], below[j])
    return table


def _joined(words: Sequence[_Word]) -> Iterator[Piece]:
    """Joins neighbours of one kind. Between two kept pieces, removed text precedes added text."""
    gone, added, kept = "", "", ""
    for kind, word in words:
        if kind == "kept":
            yield from _changed(gone, added)
            gone = added = ""
            kept += word
            continue
        if kept:
            yield Piece("kept", kept)
            kept = ""
        gone, added = (gone + word, added) if kind == "gone" else (gone, added + word)
    yield from _changed(gone, added)
    if kept:
        yield Piece("kept", kept)


def _changed(gone: str, added: str) -> Iterator[Piece]:
    if gone:
        yield Piece("gone", gone)
    if added:
        yield Piece("added", added)

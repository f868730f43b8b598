"""From the text that a person wrote to a value of the setting's type.

Files and environment come the same way: YAML's own guesses (`no` a boolean, `0123` an octal number) never happen,
since the type of the setting decides.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from entrypoints.settings.secret import Secret
from entrypoints.settings.tree import Leaf

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Given:
    """What stands at a path: `text` as written (None: YAML's null), whether in quotes, and where."""

    text: str | None
    source: str
    quoted: bool = False


class NotConvertible(ValueError):
    """The message is the end of a sentence that begins with the setting's path."""


def convert(leaf: Leaf, given: Given) -> Any:
    """Raises `NotConvertible`. A secret's text is in no message."""
    if given.text is None:
        if leaf.optional:
            return None
        raise NotConvertible("has no value; give it one, or take the line out for the default")
    if leaf.kind is bool:
        return _boolean(given.text)
    if leaf.kind in (int, float):
        return _number(leaf, given)
    if leaf.choices:
        return _choice(leaf, given.text)
    return _text(leaf, given.text)


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise NotConvertible(f"is {text!r}; it must be true or false") from None


def _number(leaf: Leaf, given: Given) -> int | float:
    text = given.text or ""
    pattern = _INTEGER if leaf.kind is int else _NUMBER
    if given.quoted:
        raise NotConvertible(f"is the text {text!r}; write {_expected(leaf)}, without quotes")
    if not pattern.fullmatch(text) or len(text) > 20:
        raise NotConvertible(f"is {text!r}; it must be {_expected(leaf)}")
    value: int | float = leaf.kind(text)
    if not _within(leaf, value):
        raise NotConvertible(f"is {text}; it must be {_expected(leaf)}")
    return value


def _within(leaf: Leaf, value: float) -> bool:
    bounds = leaf.bounds
    return not (
        (bounds.ge is not None and value < bounds.ge)
        or (bounds.gt is not None and value <= bounds.gt)
        or (bounds.le is not None and value > bounds.le)
    )


def _expected(leaf: Leaf) -> str:
    noun = "a whole number" if leaf.kind is int else "a number"
    return f"{noun} {bounds_text(leaf)}"


def bounds_text(leaf: Leaf) -> str:
    """`from 0 to 65,535`, `above 0, at most 3,600`."""
    bounds = leaf.bounds
    if bounds.gt is not None:
        return f"above {bounds.gt:,}, at most {bounds.le:,}"
    return f"from {bounds.ge:,} to {bounds.le:,}"


def _choice(leaf: Leaf, text: str) -> str:
    if text in leaf.choices:
        return text
    alike = get_close_matches(text.lower(), leaf.choices, n=1, cutoff=0.6)
    hint = f"; did you mean {alike[0]}?" if alike else ""
    raise NotConvertible(f"is {text!r}; it must be one of {', '.join(leaf.choices)}{hint}")


def _text(leaf: Leaf, text: str) -> str | Secret:
    if not text.strip():
        raise NotConvertible("is empty; give it a value, or take it out for the default")
    if _NOT_TEXT.search(text):
        raise NotConvertible("holds a NUL character or bytes that are not UTF-8")
    if leaf.schemes and not text.startswith(leaf.schemes):
        raise NotConvertible(f"must begin with {' or '.join(leaf.schemes)}")
    return Secret(text) if leaf.kind is Secret else text

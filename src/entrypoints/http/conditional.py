"""`If-Match` and `If-None-Match`: lists of entity tags. Postlog's tags are strong and hold a version: `"3"`."""

import re
from dataclasses import dataclass

from application.errors import MalformedRequest
from entrypoints.serving.exchange import Exchange

_TAG = re.compile(r'[ \t]*(?P<weak>W/)?"(?P<opaque>[^"\x00-\x20\x7f]*)"[ \t]*(?:,|$)')
_VERSION = re.compile(r"0|[1-9][0-9]{0,17}")

NO_VERSION = -1
"""Stands for tags that no version has: what expects it always fails."""


@dataclass(frozen=True, slots=True)
class _Tag:
    weak: bool
    opaque: str


def expected_versions(exchange: Exchange) -> tuple[int, ...] | None:
    """The versions that If-Match names, at least one; None when there is none to expect (no header, or `*`, since the
    commands that it comes with refuse a post that does not exist). Compared strongly: a weak tag matches nothing.
    Raises `MalformedRequest`."""
    tags = _tags(exchange, "If-Match")
    if tags is None:
        return None
    versions = (int(tag.opaque) for tag in tags if not tag.weak and _VERSION.fullmatch(tag.opaque))
    return tuple(dict.fromkeys(versions)) or (NO_VERSION,)


def has_version(exchange: Exchange, version: int) -> bool:
    """Does If-None-Match name this version, so that the answer is 304? Compared weakly. Raises `MalformedRequest`."""
    if b"if-none-match" not in exchange.headers:
        return False
    tags = _tags(exchange, "If-None-Match")
    return tags is None or any(tag.opaque == str(version) for tag in tags)


def _tags(exchange: Exchange, name: str) -> list[_Tag] | None:
    """None when there is no such header, or it is `*`."""
    value = exchange.header(name.lower().encode("ascii"))
    if value is None or value == "*":
        return None
    tags, end = [], 0
    while match := _TAG.match(value, end):
        tags.append(_Tag(match["weak"] is not None, match["opaque"]))
        end = match.end()
        if end == len(value) and not value.endswith(","):
            return tags
    raise MalformedRequest(f'{name} is no list of entity tags; send the version in double quotes, like "3".', path=name)

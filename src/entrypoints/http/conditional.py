"""Entity tags, and the headers that list them: `If-Match` and `If-None-Match`.

A tag begins with the post's version. A command responds with the version only: `"3"`. A representation has a tag of its
own, because a repaired row, or another encoding, is a different representation of the same version: `"3-5f0c2a9b"`, and
compressed `"3-5f0c2a9b-gzip"`. `If-Match` compares the version alone, `If-None-Match` the representation.
"""

import re
from dataclasses import dataclass
from zlib import crc32

from application.errors import MalformedRequest
from entrypoints.serving.request_context import RequestContext

_TAG = re.compile(r'[ \t]*(?P<weak>W/)?"(?P<opaque>[^"\x00-\x20\x7f]*)"[ \t]*(?:,|$)')
_VERSION = re.compile(r"(?P<version>0|[1-9][0-9]{0,17})(-[0-9a-f]{8})?([-;](gzip|br|deflate|zstd))?")
_ENCODED = re.compile(r"[-;](gzip|br|deflate|zstd)$")
"""Proxies, too, append this to the tag of a response that they compress."""


@dataclass(frozen=True, slots=True)
class _Tag:
    weak: bool
    opaque: str


NO_VERSION = -1
"""For tags that no version has: a command that expects it always fails."""


def expected_versions(context: RequestContext) -> tuple[int, ...] | None:
    """The versions that If-Match names, at least one; None when any will do (no header, or `*`: commands refuse a post
    that does not exist anyway). Compared strongly: a weak tag matches nothing. Raises `MalformedRequest`."""
    tags = _tags(context, "If-Match")
    if tags is None:
        return None
    found = [_VERSION.fullmatch(tag.opaque) for tag in tags if not tag.weak]
    return tuple(dict.fromkeys(int(match["version"]) for match in found if match)) or (NO_VERSION,)


def tag_of(version: int, body: bytes) -> bytes:
    """The tag of a representation of a post at `version`."""
    return b'"%d-%08x"' % (version, crc32(body))


def has_tag(context: RequestContext, tag: bytes) -> bool:
    """Does If-None-Match name this representation, in any encoding, so that the response is 304? Compared weakly.
    Raises `MalformedRequest`."""
    if b"if-none-match" not in context.headers:
        return False
    tags = _tags(context, "If-None-Match")
    opaque = tag.decode("ascii").strip('"')
    return tags is None or any(_ENCODED.sub("", each.opaque) == opaque for each in tags)


def _tags(context: RequestContext, name: str) -> list[_Tag] | None:
    """None when there is no such header, or it is `*`."""
    value = context.header(name.lower().encode("ascii"))
    if value is None or value == "*":
        return None
    tags, end = [], 0
    while match := _TAG.match(value, end):
        tags.append(_Tag(match["weak"] is not None, match["opaque"]))
        end = match.end()
        if end == len(value) and not value.endswith(","):
            return tags
    raise MalformedRequest(
        f'{name} is not a list of entity tags; send the version in double quotes, like "3".', path=name
    )

"""Entity tags, and the headers that list them: `If-Match` and `If-None-Match`.

A tag begins with the post's version. Commands answer with just that: `"3"`. A representation has a tag of its own,
since a repaired row, or another encoding, is another one at the same version: `"3-5f0c2a9b"`, and compressed
`"3-5f0c2a9b-gzip"`. `If-Match` asks for the version, whatever stands behind it; `If-None-Match` for the representation.
"""

import re
from dataclasses import dataclass
from zlib import crc32

from application.errors import MalformedRequest
from entrypoints.serving.request_context import RequestContext

_TAG = re.compile(r'[ \t]*(?P<weak>W/)?"(?P<opaque>[^"\x00-\x20\x7f]*)"[ \t]*(?:,|$)')
_VERSION = re.compile(r"(?P<version>0|[1-9][0-9]{0,17})(-[0-9a-f]{8})?([-;](gzip|br|deflate|zstd))?")
_ENCODED = re.compile(r"[-;](gzip|br|deflate|zstd)$")
"""What proxies, too, write behind the tag of what they compress."""


@dataclass(frozen=True, slots=True)
class _Tag:
    weak: bool
    opaque: str


NO_VERSION = -1
"""Stands for tags that no version has: what expects it always fails."""


def expected_versions(context: RequestContext) -> tuple[int, ...] | None:
    """The versions that If-Match names, at least one; None when there is none to expect (no header, or `*`, since the
    commands that it comes with refuse a post that does not exist). Compared strongly: a weak tag matches nothing.
    Raises `MalformedRequest`."""
    tags = _tags(context, "If-Match")
    if tags is None:
        return None
    found = [_VERSION.fullmatch(tag.opaque) for tag in tags if not tag.weak]
    return tuple(dict.fromkeys(int(match["version"]) for match in found if match)) or (NO_VERSION,)


def tag_of(version: int, body: bytes) -> bytes:
    """The tag of a representation of a post at `version`."""
    return b'"%d-%08x"' % (version, crc32(body))


def has_tag(context: RequestContext, tag: bytes) -> bool:
    """Does If-None-Match name this representation, however it is encoded, so that the answer is 304? Compared weakly.
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
    raise MalformedRequest(f'{name} is no list of entity tags; send the version in double quotes, like "3".', path=name)

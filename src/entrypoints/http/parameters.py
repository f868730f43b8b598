"""Every query parameter that is taken, declared once."""

from entrypoints.http.query_params import MAX_NUMBER, Parameter, flag, whole_number
from entrypoints.http.schemas import Adapter
from entrypoints.serving.instants import parse_instant

DEFAULT_ROWS = 20
DEFAULT_EVENTS = 100
MAX_EVENTS = 500


def _text(text: str) -> str:
    if not text or "\x00" in text:
        raise ValueError("takes a text, without NUL characters")
    return text


def _adapter(text: str) -> str:
    if text not in set(Adapter):
        raise ValueError(f"takes one of {', '.join(Adapter)}")
    return text


USERNAME = Parameter(
    name="username",
    parse=str,
    schema={"type": "string", "x-limit": "name", "examples": ["ben"]},
    description="Who does this; believed as it is given.",
    required=True,
)
_LIMIT = whole_number("limit", 1, 100, "How many at most.", default=DEFAULT_ROWS)
_CURSOR = Parameter(
    name="cursor",
    parse=_text,
    schema={"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
    description="`nextCursor` of the page before.",
)
POSTS_PARAMETERS = (
    Parameter(
        name="author",
        parse=_text,
        schema={"type": "string", "minLength": 1, "pattern": "^[^\\u0000]*$", "examples": ["ann"]},
        description="Only posts of this author; upper and lower case do not matter.",
    ),
    flag("hasComments", "Only posts with comments (true) or without (false)."),
    whole_number("minLikes", 0, 2**31 - 1, "Only posts with at least so many likes."),
    _LIMIT,
    _CURSOR,
)
COMMENTS_PARAMETERS = (_LIMIT, _CURSOR)
AS_OF_PARAMETERS = (
    whole_number("version", 1, MAX_NUMBER, "The post as it was at this version. Not together with `at`."),
    Parameter(
        name="at",
        parse=parse_instant,
        schema={"type": "string", "format": "date-time"},
        description="The post as it was at this time. Not together with `version`.",
    ),
)
AFTER = whole_number("after", 0, MAX_NUMBER, "Only events behind this version.", default=0)
REBUILDS_PARAMETERS = (
    Parameter(
        name="adapter",
        parse=_adapter,
        schema={"$ref": "#/components/schemas/Adapter"},
        description="Of this read database; left out: of the one that queries are answered from.",
    ),
)
EVENTS_PARAMETERS = (
    AFTER,
    whole_number("limit", 1, MAX_EVENTS, "How many at most; a stream has no limit.", default=DEFAULT_EVENTS),
)

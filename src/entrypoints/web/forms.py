"""The fields of a form, parsed from its body."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from application.errors import MalformedRequest
from entrypoints.serving.errors import UnsupportedMediaType
from entrypoints.serving.receiving import read_body
from entrypoints.serving.request_context import context_of
from entrypoints.serving.routing import HttpRequest

_MOST_FIELDS = 30
_KEY = re.compile(r"[!-~]{1,200}", re.ASCII)
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Form:
    fields: Mapping[str, str]

    def text(self, name: str) -> str:
        """The text as written, with lines that end in \\n; "" when the field is missing."""
        return self.fields.get(name, "").replace("\r\n", "\n").replace("\r", "\n")

    def name(self, field: str) -> str:
        """A person's name, without surrounding blanks."""
        return self.text(field).strip()

    def key(self) -> str:
        """The idempotency key of the form. Raises `MalformedRequest`."""
        key = self.fields.get("key", "")
        if _KEY.fullmatch(key) is None:
            raise MalformedRequest("The form has no key; reload the page and send it again.", path="key")
        return key

    def number(self, name: str, low: int = 0) -> int | None:
        """None when the field is missing. Raises `MalformedRequest`."""
        value = self.fields.get(name, "")
        if not value:
            return None
        if _NUMBER.fullmatch(value) is None or int(value) < low:
            raise MalformedRequest(f"{name} takes a whole number from {low:,}; reload the page.", path=name)
        return int(value)


async def read_form(request: HttpRequest, limit: int) -> Form:
    """Raises `UnsupportedMediaType`, `MalformedRequest`, `BodyTooLarge`, `BodyIncomplete`."""
    context = context_of(request.scope)
    media_type = (context.header(b"content-type") or "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType("This path takes forms of these pages only; programs use the API under /api/v1.")
    raw = await read_body(request, context, limit)
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except (ValueError, UnicodeDecodeError) as error:
        raise MalformedRequest("The form can't be read; reload the page and send it again.") from error
    return Form(dict(pairs))

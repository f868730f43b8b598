"""Bodies: limited before they are parsed, refused unless they are JSON, decoded into the shape that is wanted."""

import re
from typing import Generic, TypeVar

from msgspec import DecodeError, Struct, ValidationError, json
from msgspec.structs import fields

from application.errors import MalformedRequest
from entrypoints.serving.errors import InvalidFields, UnsupportedMediaType
from entrypoints.serving.exchange import Exchange, exchange_of
from entrypoints.serving.routes import HttpRequest
from entrypoints.serving.whole_body import whole_body

Body = TypeVar("Body", bound=Struct)

_WRONG_PLACE = re.compile(r"(?P<reason>.*) - at `\$\.?(?P<path>.*)`", re.DOTALL)
_FIELD = re.compile(r"Object (?P<what>missing required|contains unknown) field `(?P<path>.*)`", re.DOTALL)


class BodyReader(Generic[Body]):
    """Reads bodies of one shape, of at most `limit` bytes."""

    def __init__(self, shape: type[Body], limit: int) -> None:
        self._decoder = json.Decoder(shape)
        self._fields = ", ".join(field.encode_name for field in fields(shape))
        self._limit = limit

    async def read(self, request: HttpRequest) -> Body:
        """Raises `BodyTooLarge`, `UnsupportedMediaType`, `MalformedRequest`, `BodyIncomplete`."""
        body = await self.read_optional(request)
        if body is None:
            raise MalformedRequest(f"The body is empty; send a JSON object with {self._fields}.", path="body")
        return body

    async def read_optional(self, request: HttpRequest) -> Body | None:
        """None when there is no body. Raises as `read`."""
        exchange = exchange_of(request.scope)
        raw = await whole_body(request, exchange, self._limit)
        if not raw:
            return None
        _require_json(exchange)
        try:
            return self._decoder.decode(raw)
        except ValidationError as error:
            raise self._wrong_shape(str(error)) from error
        except (DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedRequest(f"The body is not JSON in UTF-8: {_reason(error)}.", path="body") from error

    def _wrong_shape(self, reason: str) -> InvalidFields:
        if field := _FIELD.fullmatch(reason):
            missing = field["what"] == "missing required"
            message = "is missing" if missing else f"is unknown; there are {self._fields}"
            return InvalidFields(f"A field {message}.", [(field["path"], message)])
        place = _WRONG_PLACE.fullmatch(reason)
        path, why = (place["path"], place["reason"]) if place else ("body", reason)
        return InvalidFields("A value is not what it must be.", [(path, why.replace("`", ""))])


def _require_json(exchange: Exchange) -> None:
    headers = exchange.headers
    if headers.get(b"content-type") == b"application/json" and b"content-encoding" not in headers:
        return
    media_type = (exchange.header(b"content-type") or "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        given = f"is {media_type}" if media_type else "has no Content-Type"
        raise UnsupportedMediaType(f"The body {given}; send JSON, with the header Content-Type: application/json.")
    if (exchange.header(b"content-encoding") or "identity").lower() != "identity":
        raise UnsupportedMediaType("The body is compressed; send it without Content-Encoding.")


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "a text is not UTF-8"
    return str(error).removeprefix("JSON is malformed: ") or "it is nested too deep"

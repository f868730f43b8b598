"""Request bodies: limited before they are parsed, refused unless they are JSON, decoded into the expected shape.

Errors are reported for all fields of a body at once, in the words of JSON.
"""

import json as plain_json
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from msgspec import DecodeError, Struct, ValidationError, convert, json
from msgspec.inspect import EnumType, Metadata, NoneType, StrType, Type, UnionType, type_info
from msgspec.structs import FieldInfo, fields

from application.errors import MalformedRequest
from entrypoints.serving.errors import InvalidFields, UnsupportedMediaType
from entrypoints.serving.receiving import read_body
from entrypoints.serving.request_context import RequestContext, context_of
from entrypoints.serving.routing import HttpRequest

Body = TypeVar("Body", bound=Struct)

_KINDS = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "an array", dict: "an object"}


class BodyReader(Generic[Body]):
    """Reads bodies of one shape, of at most `limit` bytes."""

    def __init__(self, shape: type[Body], limit: int) -> None:
        self.shape = shape
        self._decoder = json.Decoder(shape)
        self._fields = {field.encode_name: field for field in fields(shape)}
        self._names = ", ".join(self._fields)
        self._required = sum(field.required for field in self._fields.values())
        self._limit = limit

    async def read(self, request: HttpRequest) -> Body:
        """Raises `BodyTooLarge`, `UnsupportedMediaType`, `MalformedRequest`, `BodyIncomplete`."""
        body = await self.read_optional(request)
        if body is None:
            raise MalformedRequest(f"The body is empty; send a JSON object with {self._names}.", path="body")
        return body

    async def read_optional(self, request: HttpRequest) -> Body | None:
        """None when there is no body. Raises as `read`."""
        context = context_of(request.scope)
        raw = await read_body(request, context, self._limit)
        if not raw:
            return None
        _require_json(context)
        try:
            body = self._decoded(raw)
        except (DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedRequest(f"The body is not JSON in UTF-8: {_reason(error)}.", path="body") from error
        if raw.count(b":") > self._required:  # else no member can be duplicated
            self._refuse_duplicates(raw)
        return body

    def _decoded(self, raw: bytes) -> Body:
        try:
            return self._decoder.decode(raw)
        except ValidationError as error:
            raise self._wrong_shape(raw, str(error)) from error

    def _refuse_duplicates(self, raw: bytes) -> None:
        """Of two members with one name, one program on the way might use the first and another the last."""
        wrong = [(name, "is duplicated") for name in _duplicates(raw)]
        if wrong:
            raise _invalid(wrong)

    def _wrong_shape(self, raw: bytes, reason: str) -> InvalidFields:
        """`reason` is the decoder's, for errors that are not found here."""
        body = json.decode(raw)
        if not isinstance(body, dict):
            return _invalid([("body", f"must be an object with {self._names}, not {_kind_of(body)}")])
        wrong = [(name, "is duplicated") for name in _duplicates(raw)]
        wrong += [(name, f"is not allowed; the fields are {self._names}") for name in body if name not in self._fields]
        for name, field in self._fields.items():
            if name not in body:
                wrong += [(name, "is missing")] if field.required else []
            elif not _fits(body[name], field):
                wrong.append((name, f"must be {_expected(field)}, not {_shown(body[name])}"))
        return _invalid(wrong or [("body", reason)])


def _invalid(wrong: list[tuple[str, str]]) -> InvalidFields:
    return InvalidFields(f"Invalid body: {'; '.join(f'{path} {why}' for path, why in wrong)}.", wrong)


def _duplicates(raw: bytes) -> list[str]:
    """Names of members that an object of the body has twice or more."""
    duplicates: dict[str, None] = {}

    def pairs(members: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in members]
        if len(set(names)) < len(names):
            duplicates.update(dict.fromkeys(name for name in names if names.count(name) > 1))

    plain_json.loads(raw, object_pairs_hook=pairs, parse_int=str, parse_float=str)
    return list(duplicates)


def _fits(value: Any, field: FieldInfo) -> bool:
    try:
        convert(value, field.type)
    except ValidationError:
        return False
    return True


def _expected(field: FieldInfo) -> str:
    """The values of the field, which are strings, choices or null in all bodies."""
    return " or ".join(_words(type_info(field.type)))


def _words(described: Type) -> Iterator[str]:
    match described:
        case Metadata(type=inner):
            yield from _words(inner)
        case UnionType(types=types):
            for part in types:
                yield from _words(part)
        case EnumType(cls=choices):
            yield from (f'"{choice}"' for choice in choices)
        case NoneType():
            yield "null"
        case StrType():
            yield "a string"
        case _:
            raise TypeError(f"no words for {described}")


def _shown(value: Any) -> str:
    """A short string itself, of anything else its kind."""
    is_short = isinstance(value, str) and len(value) <= 40
    return plain_json.dumps(value, ensure_ascii=False) if is_short else _kind_of(value)


def _kind_of(value: Any) -> str:
    return "null" if value is None else _KINDS[type(value)]


def _require_json(context: RequestContext) -> None:
    headers = context.headers
    if headers.get(b"content-type") == b"application/json" and b"content-encoding" not in headers:
        return
    media_type = (context.header(b"content-type") or "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        given = f"is {media_type}" if media_type else "has no Content-Type"
        raise UnsupportedMediaType(f"The body {given}; send JSON, with the header Content-Type: application/json.")
    if (context.header(b"content-encoding") or "identity").lower() != "identity":
        raise UnsupportedMediaType("The body is compressed; send it without Content-Encoding.")


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "a string is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error).removeprefix("JSON is malformed: ")

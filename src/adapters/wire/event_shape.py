"""The stored form of one class of events, as plain data and as JSON text: its fields in camelCase, times as text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any, Literal, NamedTuple, get_type_hints

import msgspec

from adapters.wire.times import time_from_text, time_to_text
from domain.event_types import EventType
from domain.events import PostEvent
from domain.ids import CommentId

Data = Mapping[str, Any]
StructType = type[msgspec.Struct]


class WrongShape(ValueError):
    """The data does not have this shape. The message is a clause with the reason."""


class _Kind(NamedTuple):
    """How a field's value is read from plain data and written to it, and the JSON Schema of readable values. `read`
    raises `ValueError` with a clause. For JSON text msgspec decodes `decoded`, and `convert` does the rest, if there is
    any; together they accept nothing that `read` refuses."""

    read: Callable[[Any], Any]
    write: Callable[[Any], Any]
    schema: Data
    decoded: Any
    convert: Callable[[Any], Any] | None


class _Field(NamedTuple):
    attribute: str
    name: str
    kind: _Kind


@dataclass(frozen=True, slots=True)
class EventShape:
    """Reads and writes the events of one class. `decode` raises `WrongShape`: a field is missing, unknown or of another
    type. `decode_json` accepts the text of the same data, faster, and raises `ValueError` or `msgspec.DecodeError`
    without a reason for people. `readable` is a stored event whose data `decode` accepts; see `readable_decoder`.
    `fields` are the JSON Schemas of the stored fields."""

    type: EventType
    decode: Callable[[Data], PostEvent]
    decode_json: Callable[[msgspec.Raw], PostEvent]
    encode: Callable[[PostEvent], dict[str, Any]]
    readable: StructType
    fields: Mapping[str, Data]


def shape_of(event_type: EventType) -> EventShape:
    """Raises `TypeError` when a field's type has no stored form, or the class has more than slots for its fields."""
    hints = get_type_hints(event_type.event_class)
    shape = tuple(
        _Field(field.name, _camel_case(field.name), _kind_of(event_type, field.name, hints[field.name]))
        for field in fields(event_type.event_class)
    )
    schemas = {field.name: field.kind.schema for field in shape}
    event_class = event_type.event_class
    if "__slots__" not in vars(event_class) or hasattr(event_class, "__post_init__"):
        raise TypeError(f"{event_class.__name__} is no dataclass with slots and without __post_init__.")
    return EventShape(
        event_type,
        _decoder(event_class, shape),
        _json_decoder(event_class, shape),
        _encoder(shape),
        _readable(event_type, shape),
        schemas,
    )


def _decoder(event_class: type[PostEvent], shape: tuple[_Field, ...]) -> Callable[[Data], PostEvent]:
    def decode(data: Data) -> PostEvent:
        try:
            if len(data) == len(shape):
                return event_class(**{field.attribute: field.kind.read(data[field.name]) for field in shape})
        except (LookupError, TypeError, ValueError) as error:
            raise WrongShape(_problems(data, shape)) from error
        raise WrongShape(_problems(data, shape))

    return decode


def _json_decoder(event_class: type[PostEvent], shape: tuple[_Field, ...]) -> Callable[[msgspec.Raw], PostEvent]:
    """msgspec knows dataclasses, but not other names for their fields, and ignores unknown ones. So it decodes a struct
    of its own, whose values are then set by the slots of the event, bypassing an `__init__` that does nothing else: a
    rebuild decodes millions, most of which have one field."""
    struct = msgspec.defstruct(
        event_class.__name__,
        [(field.attribute, field.kind.decoded) for field in shape],
        rename={field.attribute: field.name for field in shape},
        forbid_unknown_fields=True,
        gc=False,
    )
    decode_struct = msgspec.json.Decoder(struct).decode
    new = event_class.__new__
    slots = [
        (getattr(event_class, field.attribute).__set__, getattr(struct, field.attribute).__get__, field.kind.convert)
        for field in shape
    ]
    copied = tuple((set_field, get_field) for set_field, get_field, convert in slots if convert is None)
    converted = tuple((set_field, get_field, convert) for set_field, get_field, convert in slots if convert is not None)

    def decode(text: msgspec.Raw) -> PostEvent:
        values = decode_struct(text)
        event = new(event_class)
        for set_field, get_field in copied:
            set_field(event, get_field(values))
        for set_field, get_field, convert in converted:
            set_field(event, convert(get_field(values)))
        return event

    if len(copied) != 1 or converted:
        return decode
    [(set_only, get_only)] = copied

    def decode_only_field(text: msgspec.Raw) -> PostEvent:
        event = new(event_class)
        set_only(event, get_only(decode_struct(text)))
        return event

    return decode_only_field


class _Verified:
    """A type that msgspec does not know, so it calls `_verify`: for fields that need more than msgspec."""

    read: Callable[[Any], Any]


def _verify(kind: type[_Verified], value: Any) -> Any:
    kind.read(value)
    return kind()


def _readable(event_type: EventType, shape: tuple[_Field, ...]) -> StructType:
    types = [
        field.kind.decoded if field.kind.convert is None else type(field.name, (_Verified,), {"read": field.kind.read})
        for field in shape
    ]
    data = msgspec.defstruct(
        event_type.event_class.__name__,
        [(field.name, type_) for field, type_ in zip(shape, types, strict=True)],
        forbid_unknown_fields=True,
        gc=False,
    )
    return msgspec.defstruct(
        event_type.name,
        [("schemaVersion", Literal[event_type.schema_version]), ("data", data)],
        tag_field="type",
        tag=event_type.name,
        gc=False,
    )


def readable_decoder(shapes: Sequence[EventShape]) -> Callable[[str | bytes], list[msgspec.Struct]]:
    """Decodes the JSON text of a commit's events if each of them is a `readable` of one of the shapes, whose names must
    differ. Raises `msgspec.DecodeError` or `UnicodeDecodeError` for anything else."""
    any_of_them: Any = reduce(or_, [shape.readable for shape in shapes])
    return msgspec.json.Decoder(list[any_of_them], dec_hook=_verify).decode


def _encoder(shape: tuple[_Field, ...]) -> Callable[[PostEvent], dict[str, Any]]:
    names = [(field.attribute, field.name) for field in shape]
    written = [(field.name, field.kind.write) for field in shape if field.kind.write is not _unchanged]

    def encode(event: PostEvent) -> dict[str, Any]:
        data = {name: getattr(event, attribute) for attribute, name in names}
        for name, write in written:
            data[name] = write(data[name])
        return data

    return encode


def _problems(data: Any, shape: tuple[_Field, ...]) -> str:
    if not isinstance(data, Mapping):
        return f"its data is {_kind_name(data)}, not an object"
    known = [field.name for field in shape]
    problems = [f"field {name} is missing" for name in known if name not in data]
    problems += [f"field {name} is unknown" for name in data if name not in known]
    for field in shape:
        if field.name in data:
            try:
                field.kind.read(data[field.name])
            except ValueError as error:
                problems.append(f"field {field.name}: {error}")
    return "; ".join(problems)


def _read_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"it is {_kind_name(value)}, not text")


def _read_text_or_null(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise ValueError(f"it is {_kind_name(value)}, neither text nor null")


def _read_number(value: Any) -> int:
    """Of 64 bits, which every store can hold."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"it is {_kind_name(value)}, not a whole number")
    if not -(2**63) <= value < 2**63:
        raise ValueError("it has more than 64 bits")
    return int(value)


def _read_flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"it is {_kind_name(value)}, not true or false")


def _read_texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f"it is {_kind_name(value)}, not a list of texts")
    return tuple([_read_text(each) for each in value])


def _read_time(value: Any) -> datetime:
    return time_from_text(_read_text(value))


def _unchanged(value: Any) -> Any:
    return value


def _or_null(kind: _Kind) -> _Kind:
    convert: Any = kind.convert
    return _Kind(
        lambda value: None if value is None else kind.read(value),
        lambda value: None if value is None else kind.write(value),
        {**kind.schema, "type": [kind.schema["type"], "null"]},
        kind.decoded | None,
        kind.convert and (lambda value: None if value is None else convert(value)),
    )


_TIME = {"format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d(\.\d+)?Z$"}

_TEXT = _Kind(_read_text, _unchanged, {"type": "string"}, str, None)
_NUMBER = _Kind(_read_number, _unchanged, {"type": "integer"}, Any, _read_number)
_FLAG = _Kind(_read_flag, _unchanged, {"type": "boolean"}, bool, None)
_INSTANT = _Kind(_read_time, time_to_text, {"type": "string", **_TIME}, str, time_from_text)

_KINDS: dict[Any, _Kind] = {
    str: _TEXT,
    CommentId: _TEXT._replace(schema={"type": "string", "format": "uuid"}),
    str | None: _Kind(_read_text_or_null, _unchanged, {"type": ["string", "null"]}, str | None, None),
    datetime: _INSTANT,
    datetime | None: _or_null(_INSTANT),
    int: _NUMBER,
    int | None: _or_null(_NUMBER),
    bool: _FLAG,
    bool | None: _or_null(_FLAG),
    tuple[str, ...]: _Kind(_read_texts, list, {"type": "array", "items": {"type": "string"}}, tuple[str, ...], None),
}


def _kind_of(event_type: EventType, attribute: str, hint: Any) -> _Kind:
    try:
        return _KINDS[hint]
    except KeyError:
        raise TypeError(f"{event_type.event_class.__name__}.{attribute}: {hint} has no stored form.") from None


def _camel_case(attribute: str) -> str:
    first, *others = attribute.split("_")
    return first + "".join(word.capitalize() for word in others)


def _kind_name(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "an object"
        case _:
            return type(value).__name__

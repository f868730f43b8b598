"""Stored form <-> domain events, by the domain's table of event types and its chain of upcasters."""

from collections.abc import Sequence

import msgspec

from adapters.wire.commit_json import JsonEvent, events_to_json, to_json
from adapters.wire.event_shape import EventShape, WrongShape, readable_decoder, shape_of
from application.envelopes import (
    MAX_BYTES_PER_COMMIT,
    MAX_EVENTS_PER_COMMIT,
    AnyCommit,
    Commit,
    DescribedEvent,
)
from application.errors import CommitTooLarge
from domain.errors import EventNotReadable
from domain.event_types import CURRENT, EventType
from domain.events import PostEvent
from domain.upcasters import CHAIN
from domain.upcasting import EventKey, PlainEvent, UpcasterChain


class MsgspecEventCodec:
    """Events in current shapes are decoded from their text, without the upcasters, which keeps rebuilds fast. A commit
    with any other event is decoded as plain data, which also finds the reason when it can't be read."""

    def __init__(self, chain: UpcasterChain = CHAIN, event_types: Sequence[EventType] = CURRENT) -> None:
        self._chain = chain
        self._shapes: dict[EventKey, EventShape] = {
            (event_type.name, event_type.schema_version): shape_of(event_type) for event_type in event_types
        }
        self._shape_of_class = {shape.type.event_class: shape for shape in self._shapes.values()}
        current = {key: shape for key, shape in self._shapes.items() if not chain.is_old(key)}
        self._current = {key: shape.decode_json for key, shape in current.items()}
        self._types = {shape.readable: [key] for key, shape in current.items()}
        self._decode_readable = readable_decoder(list(current.values()))

    def encode(self, events: Sequence[PostEvent]) -> tuple[JsonEvent, ...]:
        if len(events) > MAX_EVENTS_PER_COMMIT:
            raise CommitTooLarge(
                f"One command led to {len(events):,} events; a commit holds at most {MAX_EVENTS_PER_COMMIT:,}."
            )
        stored = tuple([self._encode(event) for event in events])
        if sum([event.size for event in stored]) > MAX_BYTES_PER_COMMIT // 2:  # what is around them is far smaller
            size = len(events_to_json(stored))
            if size > MAX_BYTES_PER_COMMIT:
                raise CommitTooLarge(
                    f"The events of one command take {size:,} bytes; a commit holds at most {MAX_BYTES_PER_COMMIT:,}."
                )
        return stored

    def decode(self, commit: AnyCommit) -> list[PostEvent]:
        decoders, events = self._current, commit.events
        try:
            if len(events) == 1 and isinstance(event := events[0], JsonEvent):  # as nearly all commits of a log
                return [decoders[event.type, event.schema_version](event.json)]
            decoded: list[PostEvent] = []
            for event in events:
                if not isinstance(event, JsonEvent):
                    break
                decoded.append(decoders[event.type, event.schema_version](event.json))
            else:
                return decoded
        except (KeyError, ValueError, msgspec.DecodeError):
            pass  # decoded once more below, which raises what is wrong with it
        return [event for _, event in self._decode_through_the_chain(commit)]

    def readable_types(self, events: str | bytes) -> Sequence[EventKey]:
        types = self._types
        try:
            readable = self._decode_readable(events)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return []
        if len(readable) == 1:
            return types[type(readable[0])]
        return [key for event in readable for key in types[type(event)]]

    def decode_until(self, commit: AnyCommit, version: int) -> list[PostEvent]:
        if version >= commit.last_version:
            return self.decode(commit)
        return [event for stored, event in self._decode_through_the_chain(commit) if stored <= version]

    def describe(self, commit: Commit) -> list[DescribedEvent]:
        plain = _plain_events(commit)
        whole = self._in_current_shape(plain)
        if whole is not None:
            return [_described(event) for event in whole]
        return [_described(shown) for event in plain for shown in self._alone(event)]

    def _encode(self, event: PostEvent) -> JsonEvent:
        shape = self._shape_of_class[type(event)]
        return JsonEvent(shape.type.name, shape.type.schema_version, to_json(shape.encode(event)))

    def _decode_through_the_chain(self, commit: AnyCommit) -> list[tuple[int, PostEvent]]:
        """Each event with its stored version; those that an upcaster split have the same one."""
        try:
            upcast = self._chain.upcast(_plain_events(commit))
        except Exception as error:  # a step is arbitrary code, given data that its author did not foresee
            raise EventNotReadable(
                f"The events from version {commit.version} to {commit.last_version} of post {commit.stream_id} "
                f"({_stored_types(commit)}) can't be brought to the current shape: {error!r}."
            ) from error
        return [(event.version, self._decode_plain(commit, event)) for event in upcast]

    def _decode_plain(self, commit: AnyCommit, event: PlainEvent) -> PostEvent:
        shape = self._shapes.get(event.key)
        if shape is None:
            raise EventNotReadable(f"{_name(commit, event)}: {self._why_unknown(event)}", version=event.version)
        try:
            return shape.decode(event.data)
        except WrongShape as error:
            raise EventNotReadable(f"{_name(commit, event)}: {error}.", version=event.version) from error

    def _why_unknown(self, event: PlainEvent) -> str:
        known = [version for name, version in self._shapes if name == event.type]
        if not known:
            return "this version of Postlog does not know the type; run one that does."
        if event.schema_version > max(known):
            return f"this version of Postlog reads up to schema version {max(known)}; run a newer one."
        return f"no upcaster leads from this schema version to {max(known)}."

    def _alone(self, event: PlainEvent) -> Sequence[PlainEvent]:
        """In its current shape if that needs no other event of the commit, otherwise as it was stored."""
        shown = self._in_current_shape([event])
        return [event] if shown is None else shown

    def _in_current_shape(self, events: Sequence[PlainEvent]) -> Sequence[PlainEvent] | None:
        """None when one of them can't be read."""
        try:
            upcast = self._chain.upcast(events)
            for event in upcast:
                self._shapes[event.key].decode(event.data)
        except Exception:  # as above: a step is arbitrary code; the stored form is shown instead
            return None
        return upcast


def _plain_events(commit: AnyCommit) -> list[PlainEvent]:
    return [
        PlainEvent(event.type, event.schema_version, event.data, version, event.type, event.schema_version)
        for version, event in enumerate(commit.events, commit.version)
    ]


def _described(event: PlainEvent) -> DescribedEvent:
    return DescribedEvent(
        version=event.version,
        type=event.type,
        schema_version=event.schema_version,
        stored_type=event.stored_type,
        stored_schema_version=event.stored_schema_version,
        data=event.data,
    )


def _name(commit: AnyCommit, event: PlainEvent) -> str:
    stored = f"{event.stored_type}, schema version {event.stored_schema_version}"
    return f"Event {event.version} of post {commit.stream_id} ({stored})"


def _stored_types(commit: AnyCommit) -> str:
    return ", ".join(sorted({f"{event.type} {event.schema_version}" for event in commit.events}))

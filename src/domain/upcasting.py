"""Upcasting: old events are converted to their current shape when they are read, by a chain of pure steps on plain
data.

A step maps the events of one commit, list to list, and changes only those of its stored name and schema version. The
chain is a tuple of steps, each run once, in order; so it always ends, and a later step sees the results of earlier
ones. Kinds of steps: `add_field`, `rename_field`, `remove_field`, `retype_field`; `rename_event`, `split_event`,
`merge_events`, `drop_event`.

Versions count *stored* events: all parts of a split have its version, and a merged event has the last one's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

EventKey = tuple[str, int]
"""Event name and schema version."""

Data = Mapping[str, Any]


class PlainEvent(NamedTuple):
    """An event as plain data within the chain. `version` is its number in the stream, as stored."""

    type: str
    schema_version: int
    data: Data
    version: int
    stored_type: str
    stored_schema_version: int

    @property
    def key(self) -> EventKey:
        return (self.type, self.schema_version)


@dataclass(frozen=True, slots=True)
class Step:
    """`consumes` are the keys that the step replaces; `produces` those that it may replace them with."""

    consumes: tuple[EventKey, ...]
    produces: tuple[EventKey, ...]
    apply: Callable[[Sequence[PlainEvent]], list[PlainEvent]]


@dataclass(frozen=True, slots=True)
class Part:
    """One of the events that a split produces: its key, and its data from the data of the whole."""

    key: EventKey
    data: Callable[[Data], Data]


class UpcasterChain:
    """Converts the events of one commit to their current shape. Events that no step consumes are returned unchanged."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = tuple(steps)
        self._old_keys = frozenset(key for step in steps for key in step.consumes)
        self._consumers = [(frozenset(step.consumes), step.apply) for step in steps]

    @property
    def steps(self) -> tuple[Step, ...]:
        return self._steps

    def is_old(self, key: EventKey) -> bool:
        """Whether a step consumes events stored under `key`."""
        return key in self._old_keys

    def upcast(self, events: Sequence[PlainEvent]) -> Sequence[PlainEvent]:
        keys = {event.key for event in events}
        if keys.isdisjoint(self._old_keys):
            return events
        for consumed, apply in self._consumers:
            if not keys.isdisjoint(consumed):
                events = apply(events)
                keys = {event.key for event in events}
        return events


def add_field(name: str, from_version: int, field: str, value: Any) -> Step:
    """`value` is the field's value in events that were stored without it."""
    return _reshape(name, from_version, lambda data: {**data, field: value})


def rename_field(name: str, from_version: int, old: str, new: str) -> Step:
    return _reshape(name, from_version, lambda data: {(new if key == old else key): v for key, v in data.items()})


def remove_field(name: str, from_version: int, field: str) -> Step:
    return _reshape(name, from_version, lambda data: {key: v for key, v in data.items() if key != field})


def retype_field(name: str, from_version: int, field: str, convert: Callable[[Any], Any]) -> Step:
    return _reshape(
        name, from_version, lambda data: {key: convert(v) if key == field else v for key, v in data.items()}
    )


def rename_event(old: EventKey, new: EventKey) -> Step:
    return split_event(old, Part(new, lambda data: data))


def split_event(whole: EventKey, *parts: Part) -> Step:
    """Each stored `whole` becomes one event per part, in this order; all of them have its version."""

    def apply(events: Sequence[PlainEvent]) -> list[PlainEvent]:
        result: list[PlainEvent] = []
        for event in events:
            if event.key == whole:
                result += [_replaced(event, part.key, part.data(event.data)) for part in parts]
            else:
                result.append(event)
        return result

    return Step((whole,), tuple(part.key for part in parts), apply)


def drop_event(key: EventKey) -> Step:
    return split_event(key)


def merge_events(first: EventKey, second: EventKey, into: EventKey, merge: Callable[[Data, Data], Data]) -> Step:
    """Adjacent events `first` and `second` of one commit become one event, with the version of `second`.

    One without the other is not changed, so the chain needs another step if one of them may have been stored alone.
    """

    def apply(events: Sequence[PlainEvent]) -> list[PlainEvent]:
        result: list[PlainEvent] = []
        for event in events:
            if event.key == second and result and result[-1].key == first:
                result[-1] = _replaced(event, into, merge(result[-1].data, event.data))
            else:
                result.append(event)
        return result

    return Step((first, second), (into,), apply)


def _reshape(name: str, from_version: int, change: Callable[[Data], Data]) -> Step:
    return split_event((name, from_version), Part((name, from_version + 1), change))


def _replaced(event: PlainEvent, key: EventKey, data: Data) -> PlainEvent:
    return PlainEvent(*key, data, event.version, event.stored_type, event.stored_schema_version)

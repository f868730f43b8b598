"""`docs/asyncapi.yaml`: the messages of the Kafka topic, for authors of other consumers (AsyncAPI 3.0).

One message is one event as it is stored, so it may have any stored schema version.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from adapters.wire.cloudevents import WATERMARK
from domain.upcasting import EventKey
from tools.catalogue.json_schema import Schema
from tools.catalogue.stored_shapes import shape_name

TOPIC = "SocialMediaPostEvents"

_VERSION = "1.0.0"
"""Of the topic's contract, under semantic versioning."""

_HEAD = """\
# The messages of the Kafka topic. Generated from src/domain/events.py and docs/schemas: `make fix` updates it.
"""

_ABOUT = """\
Every event of every post, in the order of the log within a post. A message is a CloudEvents message in binary mode:
attributes are headers `ce_…` (UTF-8 text), the event's data is the value (JSON), the post's id is the key. Partitions
follow Kafka's own default for messages with a key (murmur2).

A message may be delivered twice, with the same `ce_id`. A consumer that keeps the highest `ce_position` of its
partition can tell by `ce_prevposition` whether it missed one. Events are sent as they are stored, in the
schema version of that time: `ce_type` and `ce_schemaversion` are known before the value is read.
"""

_EVENT_HEADERS = "EventHeaders"
_UUID = {"type": "string", "format": "uuid"}
_NUMBER = {"type": "string", "pattern": "^[0-9]{1,18}$"}


def _number(description: str) -> dict[str, Any]:
    return {**_NUMBER, "description": description}


_COMMON = {
    "ce_specversion": {"type": "string", "const": "1.0", "description": "Version of CloudEvents."},
    "ce_source": {"type": "string", "pattern": "^urn:uuid:", "description": "The log's id, as urn:uuid:…"},
    "ce_id": {"type": "string", "description": "Unique: <post id>:<version>; in a watermark, partition and position."},
    "ce_position": _number(
        "Number of the event's commit in the whole log; in a watermark, how far the log is published."
    ),
    "ce_prevposition": _number(
        "Position sent to this partition before; a consumer that has processed it has missed nothing."
    ),
    "ce_partitioncount": _number("How many partitions the topic had when this was sent."),
}

_OF_EVENTS = {
    "ce_type": {"type": "string", "description": "The event's name."},
    "content-type": {"type": "string", "const": "application/json"},
    "ce_subject": {**_UUID, "description": "The post's id, as in the key."},
    "ce_time": {"type": "string", "format": "date-time", "description": "When the commit was recorded."},
    "ce_streamversion": _number("Number of the event in the stream of its post: 1, 2, 3 … without gap."),
    "ce_schemaversion": _number("Schema version of the value."),
    "ce_commitid": {**_UUID, "description": "The same for all events of one commit, which belong together."},
    "ce_commitindex": _number("Index of the event in its commit, from 0."),
    "ce_commitsize": _number("How many events the commit has."),
}

_OPTIONAL = {
    "ce_correlationid": {"type": "string", "description": "X-Correlation-ID of the request that led to the event."},
    "ce_traceparent": {"type": "string", "description": "W3C trace context of that request."},
}


def asyncapi(schemas: Mapping[EventKey, Schema]) -> dict[str, Any]:
    """The document as plain data."""
    names = [shape_name(*key) for key in sorted(schemas)]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Postlog: events of posts", "version": _VERSION, "description": _ABOUT},
        "defaultContentType": "application/json",
        "channels": {
            TOPIC: {
                "address": TOPIC,
                "description": "The topic; the setting bus.kafka.topic gives it another name.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in [*names, WATERMARK]},
            }
        },
        "operations": {
            "publishEvents": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{TOPIC}"},
                "summary": "Postlog's relay publishes the log; consume it with a consumer group of your own.",
            }
        },
        "components": {
            "messages": {**{shape_name(*key): _event_message(key) for key in sorted(schemas)}, WATERMARK: _watermark()},
            "schemas": {
                **{shape_name(*key): _payload(schemas[key]) for key in sorted(schemas)},
                _EVENT_HEADERS: _headers({**_COMMON, **_OF_EVENTS, **_OPTIONAL}),
            },
        },
    }


def asyncapi_yaml(schemas: Mapping[EventKey, Schema]) -> str:
    return _HEAD + yaml.dump(
        asyncapi(schemas), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False
    )


def _headers(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in _OPTIONAL],
    }


def _event_message(key: EventKey) -> dict[str, Any]:
    name, version = key
    return {
        "name": name,
        "title": f"{name}, schema version {version}",
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "allOf": [{"$ref": f"#/components/schemas/{_EVENT_HEADERS}"}],
            "properties": {"ce_type": {"const": name}, "ce_schemaversion": {"const": str(version)}},
        },
        "payload": {"$ref": f"#/components/schemas/{shape_name(*key)}"},
        "bindings": {"kafka": {"key": dict(_UUID), "bindingVersion": "0.5.0"}},
    }


def _watermark() -> dict[str, Any]:
    return {
        "name": WATERMARK,
        "title": "Watermark",
        "summary": "Not an event: it shows how far the log is published to a partition. It has no key and no value.",
        "headers": _headers({**_COMMON, "ce_type": {"type": "string", "const": WATERMARK}}),
        "payload": {"type": "null"},
    }


def _payload(schema: Schema) -> dict[str, Any]:
    """Without `$schema` and `$id`, which the document replaces."""
    return {keyword: value for keyword, value in schema.items() if keyword not in ("$schema", "$id")}


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and repeats values instead of references."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 (PyYAML's signature)
        return True


def _represent_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _represent_text)

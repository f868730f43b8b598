"""Results, on stdout: text for people, or with `--json` one object a line."""

import codecs
import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from entrypoints.settings.rendering import in_words

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}

# What moves, hides or turns text around without being a control character of ASCII, and what no encoding has.
_UNSAFE = {
    code: f"\\u{code:04x}"
    for code in (
        *(0x061C, 0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
        *range(0xD800, 0xE000),
    )
}
_FOR_PEOPLE = _CONTROL | _UNSAFE
_IN_JSON = {code: f"\\u{code:04x}" for code in range(127, 160)} | _UNSAFE

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


def emit_json(record: Mapping[str, Any]) -> None:
    """Where the encoding of stdout has not all signs, they are written as JSON's own escapes."""
    has_all_signs = codecs.lookup(sys.stdout.encoding or "utf-8").name.startswith("utf")
    click.echo(as_json_text(record) if has_all_signs else json.dumps(record, default=dict))


def say_places(places: Mapping[str, str]) -> None:
    """With a result for people; with `--json` they stand in its last object."""
    click.echo(one_line(in_words(places)))


def as_json_text(record: Mapping[str, Any]) -> str:
    """What a terminal would take for a command is written as JSON's own escapes."""
    return json.dumps(record, ensure_ascii=False, default=dict).translate(_IN_JSON)


def one_line(text: str) -> str:
    """People's text as a terminal may show it: nothing in it begins a line, moves the cursor or turns the direction."""
    return text.translate(_FOR_PEOPLE)

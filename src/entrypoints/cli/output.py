"""Results, on stdout: text for people, or with `--json` one object a line."""

import codecs
import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from entrypoints.settings.places import in_words

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


def emit_json(record: Mapping[str, Any]) -> None:
    """Where the encoding of stdout has not all signs, they are written as JSON's own escapes."""
    has_all_signs = codecs.lookup(sys.stdout.encoding or "utf-8").name.startswith("utf")
    click.echo(json.dumps(record, ensure_ascii=not has_all_signs, default=dict))


def say_places(places: Mapping[str, str]) -> None:
    """With a result for people; with `--json` they stand in its last object."""
    click.echo(one_line(in_words(places)))


def as_json_text(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, default=dict)


def one_line(text: str) -> str:
    """People's text as a terminal may show it: nothing in it begins a line or moves the cursor."""
    return text.translate(_CONTROL)

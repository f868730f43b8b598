"""Results on stdout: text for people, or with `--json` one object a line."""

import codecs
import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from application.maintenance.audit import AuditReport
from entrypoints.settings.rendering import in_words

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}

# Characters beyond ASCII's control characters that hide or reorder text, and surrogates, which no encoding has.
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

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")


def emit_json(record: Mapping[str, Any]) -> None:
    """Characters that the encoding of stdout lacks are written as JSON's own escapes."""
    has_all_characters = codecs.lookup(sys.stdout.encoding or "utf-8").name.startswith("utf")
    click.echo(as_json_text(record) if has_all_characters else json.dumps(record, default=dict))


def print_places(places: Mapping[str, str]) -> None:
    """For people; with `--json` the places are in the last object of a result."""
    click.echo(one_line(in_words(places)))


def as_json_text(record: Mapping[str, Any]) -> str:
    """Characters that control a terminal are written as JSON's own escapes."""
    return json.dumps(record, ensure_ascii=False, default=dict).translate(_IN_JSON)


def one_line(text: str) -> str:
    """Text that is safe on a terminal: nothing in it begins a line, moves the cursor or changes the direction."""
    return text.translate(_FOR_PEOPLE)


def instant(moment: datetime) -> str:
    """`2026-11-23T12:00:00.000Z`, for a moment in UTC."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def print_audit(report: AuditReport, where: Mapping[str, str], as_json: bool) -> None:
    """One line for each difference, then one for the whole audit and one for `where`."""
    for each in report.differences:
        if as_json:
            emit_json({"postId": each.post_id, "field": each.field, "expected": each.expected, "found": each.found})
        else:
            click.echo(one_line(f"{each.post_id}  {each.field}  expected {each.expected}, found {each.found}"))
    posts = len({each.post_id for each in report.differences})
    if as_json:
        emit_json(
            {
                "generation": report.generation,
                "position": report.position,
                "posts": report.posts,
                "postsThatDiffer": posts,
                "parked": list(report.parked),
                **where,
            }
        )
        return
    parked = f" ({len(report.parked):,} parked posts skipped)" if report.parked else ""
    result = f"{posts:,} of them differ from the log" if posts else "no differences"
    click.echo(f"{report.posts:,} posts checked at position {report.position:,}{parked}: {result}.")
    print_places(where)

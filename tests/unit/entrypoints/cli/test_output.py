"""User text in results can't move the cursor of a terminal or change its direction, and can always be printed."""

import json

import pytest

from adapters.mongo.dotnet_import.documents import unreadable
from application.imports.history_import import Skipped
from application.ports.history_source import UnrecognizedDocument
from domain.ids import PostId
from entrypoints.cli.import_dotnet import _Report
from entrypoints.cli.output import as_json_text, emit_json, one_line

EVIL = "\x1b[2J\x07\x00\r\n\x7f\x85\x9b31m\u2028\u202e\u2066\ufeff\ud83d"
POST = PostId("6f9619ff-8b86-d011-b42d-00cf4fc964ff")


def is_harmless(text: str) -> bool:
    return not set(EVIL.replace("[2J", "").replace("31m", "")) & set(text)


def test_json_is_escaped_and_can_be_read_back_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    emit_json({"name": EVIL, EVIL: "日本 👋"})
    [line, nothing] = capsys.readouterr().out.split("\n")
    assert nothing == ""
    assert is_harmless(line)
    assert "日本 👋" in line
    assert (
        json.loads(line) == {"name": EVIL, EVIL: "日本 👋"} == json.loads(as_json_text({"name": EVIL, EVIL: "日本 👋"}))
    )


def test_text_for_people_shows_the_escapes() -> None:
    assert is_harmless(one_line(EVIL))
    assert one_line("a\x1bb\x9b日\u202e👋") == "a\\x1bb\\x9b日\\u202e👋"


@pytest.mark.parametrize("as_json", [False, True])
def test_an_import_of_history_escapes_what_it_reports(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    report = _Report(as_json, {})
    report.unrecognized(UnrecognizedDocument(EVIL, EVIL))
    report.found(Skipped(POST, EVIL, [unreadable(EVIL, POST, EVIL)]))
    lines = capsys.readouterr().out.split("\n")
    assert all(map(is_harmless, lines))
    assert len(lines) == (3 if as_json else 4)

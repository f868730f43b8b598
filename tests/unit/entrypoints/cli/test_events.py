"""`postlog events show`."""

import json
import sqlite3
from pathlib import Path

import pytest

from entrypoints.cli import main

LINE = {
    "externalId": "t3_1",
    "author": "ann",
    "message": "a\u0085b",
    "datePosted": "2020-01-02T03:04:05Z",
    "likes": 700,
}


@pytest.fixture
def post_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    file = tmp_path / "posts.ndjson"
    file.write_text(json.dumps(LINE), encoding="utf-8")
    assert main.run(["import", str(file)]) == 0
    capsys.readouterr()
    with sqlite3.connect(tmp_path / "var/log.sqlite") as connection:
        (found,) = connection.execute("SELECT stream_id FROM commits LIMIT 1").fetchone()
    return str(found)


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main.run(["events", "show", *arguments]) == 0
    return capsys.readouterr().out.split("\n")[:-1]


def test_events_are_shown_oldest_first_over_all_pages(post_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, post_id)
    assert len(lines) == 701
    assert "PostCreated" in lines[0]
    assert [int(line.split()[0]) for line in lines] == list(range(1, 702))


def test_no_text_of_people_moves_the_cursor(post_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = shown(capsys, post_id, "--limit", "1")
    assert '"message": "a\\u0085b"' in line


def test_json_carries_the_fields_of_the_http_answer(post_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    records = [json.loads(line) for line in shown(capsys, post_id.upper(), "--json", "--after", "1", "--limit", "600")]
    assert len(records) == 600
    assert records[0].pop("recordedAt").endswith("Z")
    assert records[0] == {
        "type": "PostLiked",
        "schemaVersion": 2,
        "storedType": "PostLiked",
        "storedSchemaVersion": 2,
        "version": 2,
        "position": 1,
        "actor": None,
        "correlationId": None,
        "data": {"username": None},
    }


def test_something_that_is_no_id_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["events", "show", "abc"]) == 2
    assert "'abc' is not a post id, which is a UUID." in capsys.readouterr().err

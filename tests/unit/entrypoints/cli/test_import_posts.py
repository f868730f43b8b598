"""`postlog import`, on a log in a file: which files it accepts, and what it reports."""

import gzip
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import tracemalloc
from contextlib import closing, suppress
from encodings.aliases import aliases
from pathlib import Path
from typing import Any

import click
import pytest

from application.imports.post_lines import BadLine, parse_line
from entrypoints.cli import import_posts, main
from entrypoints.cli.import_posts import ImportSource
from running import ticks

GOOD = {"externalId": "t3_1", "author": "ann", "message": "Hello", "datePosted": "2020-01-02T03:04:05Z", "likes": 2}


def lines_of(*posts: dict[str, Any] | str) -> bytes:
    return "".join(f"{post if isinstance(post, str) else json.dumps(post)}\n" for post in posts).encode()


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    file = tmp_path / "posts.ndjson"
    file.write_bytes(lines_of(GOOD, GOOD | {"externalId": "t3_2", "likes": 0}))
    return file


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main.run(arguments)
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_posts_are_imported_once(posts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = ran(capsys, "import", str(posts))
    again = ran(capsys, "import", str(posts))
    where = f"Log: sqlite {Path('var/log.sqlite').absolute()}.\n"
    assert first == (0, f"2 lines: 2 posts imported (4 events), 0 already present, 0 bad lines.\n{where}", "")
    assert again == (0, f"2 lines: 0 posts imported (0 events), 2 already present, 0 bad lines.\n{where}", "")


def test_bad_lines_are_reported_with_number_and_reason_and_the_rest_is_imported(
    posts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    posts.write_bytes(lines_of("nonsense", GOOD, "", GOOD | {"externalId": "x", "author": " "}, "7"))
    status, out, err = ran(capsys, "import", str(posts), "--json")
    assert status == 1
    log = f"sqlite {Path('var/log.sqlite').absolute()}"
    assert json.loads(out) == {
        "lines": 4,
        "imported": 1,
        "present": 0,
        "bad": 3,
        "events": 3,
        "unfinished": [],
        "log": log,
    }
    assert err.splitlines() == [
        'line 1: it is not JSON from column 1 on: "nonsense"',
        'line 4: author is blank; it needs at least one visible character. The value is " ".',
        "line 5: it is not a JSON object but 7",
    ]


def test_lines_can_come_from_stdin(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(lines_of(GOOD))
    with os.fdopen(reading, "rb") as pipe:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pipe))
        status, out, _ = ran(capsys, "import", "-")
    assert (status, out.partition(":")[0]) == (0, "1 lines")


def ran_with_stdin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, content: bytes
) -> tuple[int, str, str]:
    reading, writing = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), os.fdopen(writing, "wb") as pipe:
            pipe.write(content)

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(reading, "rb") as pipe:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pipe))
        ended = ran(capsys, "import", "-")
    writer.join()
    return ended


ACCENT = GOOD | {"externalId": "5€", "author": "Zoë"}
TEXT = f"{json.dumps(GOOD)}\n{json.dumps(ACCENT, ensure_ascii=False)}\n"
OTHER_KINDS = {
    **{f"{name} with a mark": (TEXT.encode(name), f"is {name[:6].upper()} text") for name in ("utf-16", "utf-32")},
    **{
        name: (TEXT.encode(name), "is binary, or text in UTF-16 or UTF-32; if it is text, convert it, as in `iconv -f")
        for name in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
    },
    "utf-16-be with a mark": (b"\xfe\xff" + TEXT.encode("utf-16-be"), "is UTF-16 text; convert it"),
    "utf-32-be with a mark": (b"\0\0\xfe\xff" + TEXT.encode("utf-32-be"), "is UTF-32 text; convert it"),
    "gzip": (gzip.compress(TEXT.encode()), "is compressed with gzip; unpack it first, as in `gunzip -c FILE | "),
    "zip": (b"PK\x03\x04 and so on", "is a zip archive; unpack it first"),
    "array": (json.dumps([GOOD] * 3).encode(), "is a JSON array, not one object a line; convert it, as in `jq -c "),
    "array, printed": (json.dumps([GOOD] * 3, indent=2).encode(), "is a JSON array, not one object a line"),
    "object, printed": (json.dumps(GOOD, indent=2).encode(), "has JSON objects on several lines; write each object on"),
    "csv": (b"id,permalink,body\nx,https://,Hello\n", "is CSV, not JSON; docs/importing.md has converters"),
    "csv in quotes": (b'"id";"body"\n"x";"Hello"\n', "is CSV, not JSON"),
    "javascript": (b"window.YTD.tweets.part0 = [\n  {", "is JavaScript, as in a Twitter archive, not JSON; docs/"),
    "html": (b"\n  <!DOCTYPE html>\n<html>", "is HTML or XML, not JSON"),
    "outbox": (b'{"@context": "x", "orderedItems": []}', "is an ActivityPub outbox, as exported by Mastodon"),
    "array behind a mark": (b"\xef\xbb\xbf \n[1]", "is a JSON array"),
}


@pytest.mark.parametrize(("content", "sentence"), OTHER_KINDS.values(), ids=OTHER_KINDS)
@pytest.mark.parametrize("way", ["file", "pipe"])
def test_a_file_of_another_kind_is_refused_with_a_sentence_that_says_what_to_do(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    posts: Path,
    content: bytes,
    sentence: str,
    way: str,
) -> None:
    posts.write_bytes(content)
    status, out, err = (
        ran(capsys, "import", str(posts)) if way == "file" else ran_with_stdin(capsys, monkeypatch, content)
    )
    assert (status, out) == (2, "")
    assert err.startswith(f"Error: {posts if way == 'file' else 'stdin'} {sentence}")
    assert err.endswith("Nothing was imported.\n")
    assert len(err.splitlines()) == 1
    assert not Path("var").exists()


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "cp037"])
def test_nothing_of_a_file_in_another_encoding_is_imported(
    capsys: pytest.CaptureFixture[str], posts: Path, encoding: str
) -> None:
    accent = json.dumps(GOOD | {"author": "Zoë"}, ensure_ascii=False).encode(encoding)
    posts.write_bytes(lines_of(*[GOOD] * 20_000) + accent)
    status, out, err = ran(capsys, "import", str(posts))
    assert (status, out) == (2, "")
    assert err.startswith(f"Error: {posts} is not UTF-8 text: line 20,001 contains the byte 0x")
    assert not Path("var").exists()


def test_a_pipe_is_read_up_to_the_line_that_is_not_utf_8(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    accent = json.dumps(GOOD | {"author": "Zoë"}, ensure_ascii=False).encode("latin-1") + b"\n"
    status, out, err = ran_with_stdin(capsys, monkeypatch, lines_of(GOOD) + accent + lines_of(ACCENT))
    assert status == 1
    assert err == "line 2: it is not UTF-8 text (byte 0xeb); nothing from here on was imported\n"
    assert out.startswith("2 lines: 1 posts imported (3 events), 0 already present, 1 bad lines.\n")


def test_utf_8_with_a_byte_order_mark_is_imported(capsys: pytest.CaptureFixture[str], posts: Path) -> None:
    posts.write_bytes(TEXT.encode("utf-8-sig"))
    status, out, err = ran(capsys, "import", str(posts))
    assert (status, err) == (0, "")
    assert out.startswith("2 lines: 2 posts imported")


def test_terminal_control_characters_are_escaped(capsys: pytest.CaptureFixture[str], posts: Path) -> None:
    evil = "\x1b]0;evil\x07\x9b31m\u202e\n"
    lines = [
        GOOD | {"externalId": evil},
        GOOD | {"externalId": evil, "message": "Other"},
        GOOD | {evil: evil},
        GOOD | {"likes": evil},
        GOOD | {"author": "\ud83d"},
    ]
    posts.write_bytes(lines_of(*lines) + evil.encode())
    status, _, err = ran(capsys, "import", str(posts))
    assert status == 1
    assert [number.partition(":")[0] for number in err.splitlines()] == [
        "line 2",
        "line 3",
        "line 4",
        "line 5",
        "line 6",
    ]
    assert not set(err) & {"\x1b", "\x07", "\x9b", "\u202e", "\ud83d"}
    assert 'externalId "\\u001b]0;evil\\u0007' in err


def test_the_name_of_a_file_is_escaped_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(capsys, "import", "\x1b[2Jgone") == (2, "", "Error: \\x1b[2Jgone: No such file or directory.\n")


def test_bad_lines_after_the_first_hundred_are_only_counted(capsys: pytest.CaptureFixture[str], posts: Path) -> None:
    posts.write_bytes(lines_of(*[GOOD | {"likes": -1}] * 1_234))
    status, out, err = ran(capsys, "import", str(posts))
    assert (status, len(err.splitlines())) == (1, 101)
    assert err.splitlines()[-1] == "… and 1,134 more bad lines"
    assert "1,234 bad lines" in out


@pytest.mark.parametrize("way", ["file", "pipe"])
def test_a_line_that_is_too_long_takes_bounded_memory(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, posts: Path, way: str
) -> None:
    content = lines_of(GOOD, GOOD | {"message": "é" * 20_000_000}, ACCENT)
    posts.write_bytes(content)
    tracemalloc.start()
    try:
        status, out, err = (
            ran(capsys, "import", str(posts)) if way == "file" else ran_with_stdin(capsys, monkeypatch, content)
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (status, err) == (1, "line 2: it is longer than 2,000,000 bytes (limits.import_line)\n")
    assert out.startswith("3 lines: 2 posts imported")
    assert peak < 40_000_000


@pytest.mark.parametrize(("longest", "imported"), [(2_000, 1), (20_000, 2)])
def test_how_long_a_line_may_be_is_a_setting(
    capsys: pytest.CaptureFixture[str], posts: Path, longest: int, imported: int
) -> None:
    posts.write_bytes(lines_of(GOOD, GOOD | {"externalId": "long", "message": "x" * 10_000}))
    _, out, err = ran(capsys, "import", str(posts), "--set", f"limits.import_line={longest}")
    assert out.startswith(f"2 lines: {imported} posts imported")
    assert ("line 2: it is longer than 2,000 bytes (limits.import_line)" in err) is (imported == 1)


def test_a_missing_file_creates_no_log(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert ran(capsys, "import", "gone") == (2, "", "Error: gone: No such file or directory.\n")
    assert not (tmp_path / "var").exists()


def test_a_log_that_can_not_be_opened_is_named_by_its_setting(
    posts: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "var").write_text("in the way", encoding="utf-8")
    status, out, err = ran(capsys, "import", str(posts))
    assert (status, out) == (2, "")
    assert "event_store.sqlite.path" in err
    assert len(err.splitlines()) == 1


def test_a_log_in_memory_is_refused(posts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    memory = [f"--set={part}.adapter=memory" for part in ("event_store", "read_db")]
    status, _, err = ran(capsys, "import", str(posts), *memory)
    assert status == 2
    assert "event_store.adapter is memory, which only a single `postlog run` process can use" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_import_reports_its_progress_and_ends_with_130(tmp_path: Path, number: signal.Signals) -> None:
    """What it said is in the log; the rest comes when it is run again."""
    process = subprocess.Popen(
        [sys.executable, "-m", "entrypoints.cli.main", "import", "-", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        process.stdin.write(lines_of(*(GOOD | {"externalId": str(n)} for n in range(200))))
        process.stdin.flush()
        deadline = time.monotonic() + 20
        while not (tmp_path / "var/log.sqlite-wal").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        process.stdin.close()
        status = process.wait(10)
        assert process.stdout is not None
        counts = json.loads(process.stdout.read())
    assert status == 130
    assert counts["imported"] == counts["lines"]
    assert counts["lines"] < 200


def test_an_unfinished_line_is_reported_and_finished_by_a_later_dump(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that is in the log of it is told; the dump that finishes it has more likes than the first one had."""
    file, log = tmp_path / "posts.ndjson", tmp_path / "var/log.sqlite"
    file.write_bytes(lines_of(GOOD | {"externalId": "small"}, GOOD | {"externalId": "hot", "likes": 2_000_000}))
    process = subprocess.Popen(
        [sys.executable, "-m", "entrypoints.cli.main", "import", str(file), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        for _ in ticks(60, "nothing was imported"):
            if commits_in(log) > 10:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    events = events_in(log)
    record = json.loads(out)
    assert process.returncode == 130, err
    assert record["unfinished"] == [{"line": 2, "events": 2_000_001, "inLog": events - 3}]
    assert (record["imported"], record["events"]) == (1, events)
    assert f"line 2: unfinished: {events - 3:,} of its 2,000,001 events are in the log" in err

    likes = events + 1_500
    file.write_bytes(lines_of(GOOD | {"externalId": "hot", "likes": likes}))
    status, out, _ = ran(capsys, "import", str(file), "--json")
    assert (status, json.loads(out)["events"]) == (0, 1 + likes - (events - 3))
    assert events_in(log) == 3 + 1 + likes


def commits_in(log: Path) -> int:
    return counted(log, "SELECT count(*) FROM commits")


def events_in(log: Path) -> int:
    return counted(log, "SELECT sum(json_array_length(events)) FROM commits")


def counted(log: Path, statement: str) -> int:
    if not log.exists():
        return 0
    with closing(sqlite3.connect(log)) as connection:
        try:
            return int(connection.execute(statement).fetchone()[0])
        except sqlite3.OperationalError:
            return 0  # it is being made


def test_the_events_of_a_post_are_shown(posts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran(capsys, "import", str(posts))
    post_id = "0" * 32
    status, out, err = ran(capsys, "events", "show", post_id)
    assert (status, out) == (2, "")
    assert err == "Error: There is no post 00000000-0000-0000-0000-000000000000, or it was removed.\n"


def test_showing_events_creates_no_log(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, _, err = ran(capsys, "events", "show", "0" * 32)
    assert status == 2
    assert "event_store.sqlite.path is var/log.sqlite, which does not exist" in err
    assert not (tmp_path / "var").exists()


POST = {"externalId": "1", "author": "Zoë", "message": "ab", "datePosted": "2020-01-31T09:30:00Z", "likes": 3}

ASCII_ONLY = {"utf_7", "hz", "iso2022_jp", "iso2022_jp_1", "iso2022_jp_2", "iso2022_jp_2004", "iso2022_jp_3"} | {
    "iso2022_jp_ext",
    "iso2022_kr",
}
"""They write every character in bytes of ASCII: no program can tell their files from UTF-8."""


def lines_in(text: str, encoding: str) -> bytes | None:
    """None where that encoding has not all characters, or is none of texts."""
    try:
        return text.encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return None


LONGEST = 2_000_000


def read(path: Path, longest: int = LONGEST) -> list[bytes]:
    with path.open("rb") as opened:
        return list(ImportSource(opened, str(path), longest))


@pytest.mark.parametrize("sign", ["ë", "€", "日", "я", "ü", "é", "ب", "א", "ก"])
def test_files_in_every_other_encoding_are_refused(sign: str, tmp_path: Path) -> None:
    file, tried, taken = tmp_path / "posts.ndjson", 0, set()
    text = "".join(f"{json.dumps(POST | {'message': sign * n}, ensure_ascii=False)}\n" for n in range(1, 50))
    text = text.replace("Zoë", "Zo")
    for encoding in sorted(set(aliases.values())):
        content = lines_in(text, encoding)
        if content is None or encoding in ASCII_ONLY or content in (text.encode(), text.encode("utf-8-sig")):
            continue
        tried += 1
        file.write_bytes(content)
        try:
            lines = read(file)
        except click.ClickException as refused:
            assert refused.message.endswith("Nothing was imported.")  # noqa: PT017 (what it says is part of the test)
        else:
            if not all(isinstance(parse_line(n, line, LONGEST), BadLine) for n, line in enumerate(lines)):
                taken.add(encoding)
    assert tried > 5
    assert not taken


@pytest.mark.parametrize("seed", range(3))
def test_bytes_are_read_unchanged_or_the_file_is_refused(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks and lines end anywhere, also within a character."""
    monkeypatch.setattr(import_posts, "_BLOCK", 5)
    random_ = random.Random(seed)
    file = tmp_path / "posts.ndjson"
    refused = 0
    for _ in range(300):
        pieces = random_.choices(["a", "é", "日", "👋", "\n", "{", "\n{\n"], k=random_.randint(0, 150))
        content = b"{}" + "".join(pieces).encode()
        damaged = random_.random() < 0.3
        if damaged:
            at = random_.randrange(2, len(content) + 1)
            content = content[:at] + bytes([random_.choice((0xFF, 0x80, 0xC3))]) + b"x" + content[at:]
        file.write_bytes(content)
        try:
            content.decode()
        except UnicodeDecodeError as error:
            number = content.count(b"\n", 0, error.start) + 1
            with pytest.raises(click.ClickException, match=f"line {number} contains the byte"):
                read(file, 40)
            refused += 1
        else:
            whole = content.split(b"\n")
            assert [line.rstrip(b"\n")[:41] for line in read(file, 40)] == [
                line[:41] for line in (whole[:-1] if whole[-1] == b"" else whole)
            ]
    assert refused > 30


def test_a_large_file_is_refused_before_its_lines_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "array.json"
    file.write_bytes(b"[" + json.dumps(POST).encode() * 100_000 + b"]")
    with pytest.raises(click.ClickException, match="is a JSON array"):
        read(file)

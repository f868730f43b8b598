"""What `postlog import` takes for JSON lines in UTF-8: files in every encoding that Python knows."""

import json
import random
from encodings.aliases import aliases
from pathlib import Path

import click
import pytest

from application.command_side.import_lines import BadLine, parse_line
from entrypoints.cli import import_source
from entrypoints.cli.import_source import ImportSource

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


def read(path: Path) -> list[bytes]:
    with path.open("rb") as opened:
        return list(ImportSource(opened, str(path)))


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
            if not all(isinstance(parse_line(n, line), BadLine) for n, line in enumerate(lines)):
                taken.add(encoding)
    assert tried > 5
    assert not taken


@pytest.mark.parametrize("seed", range(3))
def test_bytes_are_read_as_they_are_or_the_file_is_refused(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks and lines end anywhere, also within a character."""
    monkeypatch.setattr(import_source, "_BLOCK", 5)
    monkeypatch.setattr(import_source, "LONGEST_LINE", 40)
    random_ = random.Random(seed)
    file = tmp_path / "posts.ndjson"
    refused = 0
    for _ in range(300):
        pieces = random_.choices(["a", "é", "日", "👋", "\n", "{", "\n{\n"], k=random_.randint(0, 150))
        content = b"{}" + "".join(pieces).encode()
        spoilt = random_.random() < 0.3
        if spoilt:
            at = random_.randrange(2, len(content) + 1)
            content = content[:at] + bytes([random_.choice((0xFF, 0x80, 0xC3))]) + b"x" + content[at:]
        file.write_bytes(content)
        try:
            content.decode()
        except UnicodeDecodeError as error:
            number = content.count(b"\n", 0, error.start) + 1
            with pytest.raises(click.ClickException, match=f"line {number} holds the byte"):
                read(file)
            refused += 1
        else:
            whole = content.split(b"\n")
            assert [line.rstrip(b"\n")[:41] for line in read(file)] == [
                line[:41] for line in (whole[:-1] if whole[-1] == b"" else whole)
            ]
    assert refused > 30


def test_a_refusal_stands_before_any_line_of_a_large_file_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "array.json"
    file.write_bytes(b"[" + json.dumps(POST).encode() * 100_000 + b"]")
    with pytest.raises(click.ClickException, match="is a JSON array"):
        read(file)

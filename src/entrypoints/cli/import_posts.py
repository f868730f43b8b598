"""`postlog import FILE`: imports posts from a file of JSON lines in UTF-8. A file of another kind is refused before
anything is imported, with a sentence that says how to convert it. Memory is bounded, however long a line is."""

import asyncio
import codecs
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO

import click
import rich_click

from application.imports.post_import import ImportedLine, UnfinishedLine
from application.imports.post_lines import BYTE_ORDER_MARK, BadLine, is_blank_line
from entrypoints.cli import exit_codes
from entrypoints.cli.options import load, settings_options
from entrypoints.cli.output import emit_json, json_option, one_line, print_places
from entrypoints.cli.progress import show_progress
from entrypoints.cli.running import run_job
from entrypoints.composition.cli_scopes import open_post_import
from entrypoints.settings.rendering import LOG, places

_MOST_SHOWN = 100
"""Bad lines that are printed; the rest is counted."""


@rich_click.command(
    "import",
    epilog=exit_codes.epilog(
        "postlog import posts.ndjson", done="all imported", data="done, but some lines could not be imported", job=True
    ),
)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@settings_options
@json_option
@click.pass_context
def command(ctx: click.Context, file: str, as_json: bool) -> int:
    """Import posts from FILE (- for stdin), in UTF-8. Each line is a JSON object with externalId, author, message,
    datePosted, likes. An interrupted import is finished when it is run again; a later dump of a post may have more
    likes. docs/importing.md describes the format, and has converters for exports of Mastodon, Twitter and Reddit."""
    loaded = load(ctx)

    async def job() -> int:
        tally, has_started = _Tally(), False
        with _opened(file) as opened:
            longest = loaded.settings.limits.import_line
            source = ImportSource(opened, "stdin" if file == "-" else file, longest)
            try:
                async with open_post_import(loaded, "import") as post_import:
                    has_started = True
                    try:
                        with show_progress("lines", source.lines) as progress:
                            async for line in post_import.run(source):
                                tally.add(line)
                                progress.advance_to(tally.lines)
                        if source.stopped is not None:
                            tally.add(source.stopped)
                    finally:
                        for left in post_import.left:
                            tally.add(left)
            except asyncio.CancelledError:
                has_started = True  # or was about to
                raise
            finally:
                if has_started:
                    tally.report(places(loaded.settings, LOG), as_json)
        return exit_codes.DATA if tally.bad else exit_codes.DONE

    return run_job(job)


@dataclass(slots=True)
class _Tally:
    """`present` counts lines that were completely in the log before. `unfinished` lines are partly in the log."""

    lines: int = 0
    imported: int = 0
    present: int = 0
    bad: int = 0
    events: int = 0
    unfinished: list[UnfinishedLine] = field(default_factory=list)

    def add(self, line: ImportedLine | BadLine | UnfinishedLine) -> None:
        if isinstance(line, UnfinishedLine):
            self._add_unfinished(line)
            return
        self.lines += 1
        if isinstance(line, BadLine):
            self.bad += 1
            if self.bad <= _MOST_SHOWN:
                click.echo(one_line(f"line {line.number}: {line.reason}"), err=True)
            return
        self.events += line.new_events
        if line.new_events:
            self.imported += 1
        else:
            self.present += 1

    def _add_unfinished(self, line: UnfinishedLine) -> None:
        self.unfinished.append(line)
        self.events += line.new_events
        click.echo(
            f"line {line.number}: unfinished: {line.in_log:,} of its {line.events:,} events are in the log; run the "
            "same import again to finish it",
            err=True,
        )

    def report(self, where: Mapping[str, str], as_json: bool) -> None:
        if self.bad > _MOST_SHOWN:
            click.echo(f"… and {self.bad - _MOST_SHOWN:,} more bad lines", err=True)
        if as_json:
            emit_json(
                {
                    "lines": self.lines,
                    "imported": self.imported,
                    "present": self.present,
                    "bad": self.bad,
                    "events": self.events,
                    "unfinished": [
                        {"line": line.number, "events": line.events, "inLog": line.in_log} for line in self.unfinished
                    ],
                    **where,
                }
            )
            return
        unfinished = f", {len(self.unfinished):,} unfinished" if self.unfinished else ""
        click.echo(
            f"{self.lines:,} lines: {self.imported:,} posts imported ({self.events:,} events), "
            f"{self.present:,} already present, {self.bad:,} bad lines{unfinished}."
        )
        print_places(where)


@contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    if file == "-":
        yield sys.stdin.buffer
        return
    with Path(file).open("rb") as source:
        yield source


_BLOCK = 1 << 20
_PAGE = "docs/importing.md has converters for exports of Mastodon, Twitter and Reddit"

_BEGINNINGS = {
    b"\x1f\x8b": "is compressed with gzip; unpack it first, as in `gunzip -c FILE | postlog import -`",
    b"PK\x03\x04": "is a zip archive; unpack it first, and import the files that are in it",
    b"BZh": "is compressed with bzip2; unpack it first, as in `bunzip2 -c FILE | postlog import -`",
    b"\xfd7zXZ": "is compressed with xz; unpack it first, as in `xz -dc FILE | postlog import -`",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd; unpack it first, as in `zstd -dc FILE | postlog import -`",
    b"\xff\xfe\x00\x00": "is UTF-32 text; convert it, as in `iconv -f UTF-32 -t UTF-8 FILE | postlog import -`",
    b"\x00\x00\xfe\xff": "is UTF-32 text; convert it, as in `iconv -f UTF-32 -t UTF-8 FILE | postlog import -`",
    b"\xff\xfe": "is UTF-16 text; convert it, as in `iconv -f UTF-16 -t UTF-8 FILE | postlog import -`",
    b"\xfe\xff": "is UTF-16 text; convert it, as in `iconv -f UTF-16 -t UTF-8 FILE | postlog import -`",
    b"[": "is a JSON array, not one object a line; convert it, as in `jq -c '.[]' FILE | postlog import -`",
    b"<": f"is HTML or XML, not JSON; {_PAGE}",
    b"window.": f"is JavaScript, as in a Twitter archive, not JSON; {_PAGE}",
    b"var ": f"is JavaScript, not JSON; {_PAGE}",
    b"const ": f"is JavaScript, not JSON; {_PAGE}",
}
_BINARY = (
    "is binary, or text in UTF-16 or UTF-32; if it is text, convert it, as in `iconv -f UTF-16LE -t UTF-8 FILE | "
    "postlog import -`"
)
_MULTILINE = "has JSON objects on several lines; write each object on one line, as in `jq -c . FILE | postlog import -`"
_OUTBOX = f"is an ActivityPub outbox, as exported by Mastodon; {_PAGE}"
_CSV = f"is CSV, not JSON; {_PAGE}"


class ImportSource:
    """The lines of a file or pipe; a line of more than `longest_line` bytes is cut after one more. Raises
    `click.ClickException` when the content is of another kind."""

    def __init__(self, source: IO[bytes], name: str, longest_line: int) -> None:
        self._source = source
        self._name = name
        self._longest_line = longest_line
        self._is_file = stat.S_ISREG(os.fstat(source.fileno()).st_mode)
        self._begin: list[bytes] = []
        self.lines: int | None = None
        """The number of lines; None for a pipe, which can be read only once."""
        self.stopped: BadLine | None = None
        """The first line of a pipe that is not UTF-8: nothing from that line on is imported."""
        start = source.tell() if self._is_file else 0
        self._refuse_another_kind()
        if self._is_file:
            source.seek(start)
            self.lines = self._counted()
            source.seek(start)
            self._begin = []

    def __iter__(self) -> Iterator[bytes]:
        for number, line in enumerate(chain(self._begin, self._lines()), start=1):
            if not self._is_file and (error := self._not_utf8(line)) is not None:
                reason = f"it is not UTF-8 text (byte 0x{line[error]:02x}); nothing from here on was imported"
                self.stopped = BadLine(number, reason)
                return
            yield line

    def _refuse_another_kind(self) -> None:
        """Reads up to the first lines that are not blank, and keeps them for the iteration."""
        lines = self._lines()
        first = self._next_of_text(lines)
        text = first.removeprefix(BYTE_ORDER_MARK).lstrip()
        for beginning, sentence in _BEGINNINGS.items():
            if first.startswith(beginning) or text.startswith(beginning):
                raise self._refusal(sentence)
        if b"\x00" in first:
            raise self._refusal(_BINARY)
        if text.startswith(b"{"):
            if b'"orderedItems"' in text and b'"externalId"' not in text:
                raise self._refusal(_OUTBOX)
            if text.strip() == b"{":
                raise self._refusal(_MULTILINE)
        elif any(separator in text for separator in b",;\t") and not self._next_of_text(lines).lstrip().startswith(
            b"{"
        ):
            raise self._refusal(_CSV)

    def _next_of_text(self, lines: Iterator[bytes]) -> bytes:
        for line in lines:
            is_blank = is_blank_line(line)
            self._begin.append(b"\n" if is_blank else line)
            if not is_blank:
                return line
        return b""

    def _counted(self) -> int:
        decoder = codecs.getincrementaldecoder("utf-8")()
        lines, last = 0, b"\n"
        try:
            for block in iter(lambda: self._source.read(_BLOCK), b""):
                decoder.decode(block)
                lines += block.count(b"\n")
                last = block[-1:]
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            number = lines + error.object.count(b"\n", 0, error.start) + 1
            raise self._refusal(
                f"is not UTF-8 text: line {number:,} contains the byte 0x{error.object[error.start]:02x}; convert it, "
                "as in `iconv -f LATIN1 -t UTF-8 FILE | postlog import -`"
            ) from None
        return lines + (last != b"\n")

    def _refusal(self, sentence: str) -> click.ClickException:
        return click.ClickException(f"{self._name} {sentence}. Nothing was imported.")

    def _lines(self) -> Iterator[bytes]:
        longest = self._longest_line
        while line := self._source.readline(longest + 1):
            yield line
            rest = line
            while len(rest) > longest and not rest.endswith(b"\n"):
                rest = self._source.readline(longest + 1)

    def _not_utf8(self, line: bytes) -> int | None:
        """The index of the first byte that is not UTF-8. A character that is incomplete because its line was cut counts
        as UTF-8."""
        try:
            codecs.getincrementaldecoder("utf-8")().decode(line, final=len(line) <= self._longest_line)
        except UnicodeDecodeError as error:
            return error.start
        return None

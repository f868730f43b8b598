"""`postlog import FILE`: posts from a file of JSON lines into the log."""

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import click
import rich_click

from application.command_side.import_lines import BadLine
from application.command_side.import_posts import ImportedLine, UnfinishedLine
from entrypoints.cli import exit_codes
from entrypoints.cli.import_source import ImportSource
from entrypoints.cli.output import emit_json, json_option, one_line, say_places
from entrypoints.cli.progress import show_progress
from entrypoints.cli.running import run_job
from entrypoints.cli.settings_options import settings_from, settings_options
from entrypoints.settings.places import LOG, places

_MOST_SHOWN = 100
"""So many bad lines are named, the rest is counted."""


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
def command(ctx: click.Context, file: str, config_file: str | None, assignments: Sequence[str], as_json: bool) -> int:
    """Import posts from FILE (- for stdin), in UTF-8: on each line a JSON object with externalId, author, message,
    datePosted, likes. Run again, it finishes what was interrupted; a later dump of a post may have more likes.
    docs/importing.md has the format, and converters for exports of Mastodon, Twitter and Reddit."""
    from entrypoints.composition.jobs import with_post_import

    loaded = settings_from(ctx, config_file, assignments)

    async def job() -> int:
        tally, has_begun = _Tally(), False
        with _opened(file) as opened:
            source = ImportSource(opened, "stdin" if file == "-" else file)
            try:
                async with with_post_import(loaded, "import") as post_import:
                    has_begun = True
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
                has_begun = True  # or would have, a moment later
                raise
            finally:
                if has_begun:
                    tally.report(places(loaded.settings, LOG), as_json)
        return exit_codes.DATA if tally.bad else exit_codes.DONE

    return run_job(job)


@dataclass(slots=True)
class _Tally:
    """`present` lines stood in the log before, whole; of `unfinished` ones a part is in the log."""

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
        unfinished = f", {len(self.unfinished):,} are unfinished" if self.unfinished else ""
        click.echo(
            f"{self.lines:,} lines: {self.imported:,} posts imported ({self.events:,} events), "
            f"{self.present:,} were there before, {self.bad:,} lines are bad{unfinished}."
        )
        say_places(where)


@contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    if file == "-":
        yield sys.stdin.buffer
        return
    with Path(file).open("rb") as source:
        yield source

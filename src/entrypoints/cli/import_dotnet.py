"""`postlog import-dotnet MONGO_URL`: imports the history of the .NET course's system from its MongoDB collection."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
import rich_click

from application.imports.history_import import Deduplicated, Skipped
from application.maintenance.audit import AuditReport
from application.ports.history_source import DotnetEvent, UnrecognizedDocument
from domain.errors import PostlogError
from entrypoints.cli import exit_codes
from entrypoints.cli.options import load, settings_options
from entrypoints.cli.output import as_json_text, emit_json, instant, json_option, one_line, print_audit, print_places
from entrypoints.cli.progress import show_progress
from entrypoints.cli.running import run_job
from entrypoints.composition.imports import DotnetSource, HistoryImportTools, open_history_import
from entrypoints.settings.leaves import Problem, SettingsError, leaves
from entrypoints.settings.loading import LoadedSettings
from entrypoints.settings.rendering import LOG, READ_DB, places
from entrypoints.settings.secret import Secret, mask
from entrypoints.settings.sources import InvalidValue, RawValue, convert, read_secret

_ARGUMENT = "MONGO_URL"
_FILE_OPTION = "--url-file"
_VARIABLE = "POSTLOG_DOTNET__MONGO_URL"


@rich_click.command(
    "import-dotnet",
    epilog=exit_codes.epilog(
        "postlog import-dotnet mongodb://127.0.0.1:27017",
        done="all imported, and the rows match the log",
        data="done, but some posts were skipped, or rows differ",
        job=True,
    ),
)
@click.argument("mongo_url", required=False)
@click.option(
    _FILE_OPTION,
    metavar="FILE",
    help=f"File with the address of that MongoDB, to keep its password out of the command line (also {_VARIABLE}, "
    f"{_VARIABLE}_FILE).",
)
@click.option("--database", default="socialMedia", show_default=True, help="Database of that system.")
@click.option("--collection", default="eventStore", show_default=True, help="Collection of its events.")
@click.option(
    "--on-duplicate",
    type=click.Choice(("leave-out", "first")),
    default="leave-out",
    show_default=True,
    help="If two events of a post have the same version: skip the post (leave-out), or take the older event (first).",
)
@settings_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    mongo_url: str | None,
    url_file: str | None,
    database: str,
    collection: str,
    on_duplicate: str,
    as_json: bool,
) -> int:
    """Import all history of the .NET course's system at MONGO_URL, with its ids, times and order. Then audit the rows.
    The import can be run again."""
    loaded = load(ctx)
    url, given_by = source_address(os.environ, mongo_url, url_file)
    source = DotnetSource(url.reveal(), database, collection, given_by)
    return run_job(lambda: _import(loaded, source, on_duplicate == "first", as_json))


def source_address(environ: Mapping[str, str], argument: str | None, file: str | None) -> tuple[Secret, str]:
    """The address, and the option or variable that gives it. Raises `SettingsError`, and `click.UsageError` unless
    exactly one gives it."""
    in_file = f"{_VARIABLE}_FILE"
    given = {_ARGUMENT: argument, _FILE_OPTION: file, _VARIABLE: environ.get(_VARIABLE), in_file: environ.get(in_file)}
    found = [(name, text) for name, text in given.items() if text]
    if not found:
        raise click.UsageError(
            f"Name the MongoDB of that system: {_ARGUMENT}, or {_FILE_OPTION} FILE or {_VARIABLE} if its address "
            "contains a password."
        )
    if len(found) > 1:
        raise click.UsageError(f"{' and '.join(name for name, _ in found)} both give an address; remove one.")
    [(name, text)] = found
    if name == _ARGUMENT:
        url = Secret(text)
        if str(url) != text:
            sentence = "contains a password, and every user of this machine can read command lines; put it in a file"
            raise SettingsError([Problem(name, f"{sentence} ({_FILE_OPTION} FILE), or set {_VARIABLE}")])
        return url, name
    leaf = leaves()["event_store.mongo.url"]
    try:
        url = convert(leaf, RawValue(text, name)) if name == _VARIABLE else read_secret(leaf, text)
    except InvalidValue as error:
        raise SettingsError([Problem(name, str(error))]) from None
    return url, name


async def _import(loaded: LoadedSettings, source: DotnetSource, take_first: bool, as_json: bool) -> int:
    report = _Report(as_json, places(loaded.settings, LOG, READ_DB))
    async with open_history_import(loaded, source, take_first=take_first) as tools:
        documents = await tools.history_import.documents()
        if not documents:
            raise click.ClickException(
                f"{mask(source.url)} has no events in {source.database}.{source.collection}; select another one with "
                "--database and --collection."
            )
        await _read_and_check(tools, documents, report)
        try:
            await _append(tools, report)
        finally:
            report.summary()
        audited = await _audit(tools, report)
    differs = audited is not None and bool(audited.differences)
    return exit_codes.DATA if report.skipped or differs else exit_codes.DONE


async def _read_and_check(tools: HistoryImportTools, documents: int, report: "_Report") -> None:
    with show_progress("documents", documents) as progress:
        async for done, unrecognized in tools.history_import.read():
            report.documents = done
            progress.advance_to(done)
            for document in unrecognized:
                report.unrecognized(document)
    with show_progress("events checked", report.documents) as progress:
        async for done, found in tools.history_import.check():
            progress.advance_to(done)
            for each in found:
                report.found(each)


async def _append(tools: HistoryImportTools, report: "_Report") -> None:
    with show_progress("events", await tools.history_import.events()) as progress:
        async for page in tools.history_import.append():
            report.new += page.new
            report.present += page.present
            report.position = max(report.position, page.position)
            progress.advance_to(report.new + report.present)
            for skipped in page.skipped:
                report.found(skipped)


async def _audit(tools: HistoryImportTools, report: "_Report") -> AuditReport | None:
    """None when the rows are not available; the import itself is complete then."""
    try:
        with show_progress("commits projected", report.position) as progress:
            audited = await tools.audit(report.position, progress.advance_to)
    except PostlogError as error:
        click.echo(f"Not audited: {mask(error.message)} Run `postlog audit` when that is fixed.", err=True)
        return None
    print_audit(audited, report.where, report.as_json)
    return audited


@dataclass(slots=True)
class _Report:
    """`skipped` counts posts, and documents that belong to no post."""

    as_json: bool
    where: Mapping[str, str]
    documents: int = 0
    new: int = 0
    present: int = 0
    position: int = 0
    skipped: int = 0

    def unrecognized(self, document: UnrecognizedDocument) -> None:
        self.skipped += 1
        if self.as_json:
            emit_json({"documentId": document.document_id, "leftOut": True, "reason": document.problem})
        else:
            click.echo(one_line(f"document {document.document_id}  skipped: {document.problem}"))

    def found(self, found: Skipped | Deduplicated) -> None:
        if isinstance(found, Skipped):
            self.skipped += 1
            self._print(found.post_id, True, found.reason, found.events)
        else:
            reason = f"the oldest of {1 + len(found.dropped)} events with version {found.taken.version} was taken"
            self._print(found.post_id, False, reason, [found.taken, *found.dropped])

    def _print(self, post_id: str, skipped: bool, reason: str, events: Sequence[DotnetEvent]) -> None:
        if self.as_json:
            shown = [_plain(event) for event in events]
            emit_json({"postId": post_id, "leftOut": skipped, "reason": reason, "events": shown})
            return
        click.echo(f"{post_id}  {'skipped: ' if skipped else ''}{one_line(reason)}")
        for event in events:
            click.echo(f"    {one_line(as_json_text(_plain(event)))}")

    def summary(self) -> None:
        if self.as_json:
            emit_json(
                {
                    "documents": self.documents,
                    "imported": self.new,
                    "present": self.present,
                    "leftOut": self.skipped,
                    "position": self.position,
                    **self.where,
                }
            )
            return
        click.echo(
            f"{self.documents:,} documents: {self.new:,} events imported, {self.present:,} already present; "
            f"{self.skipped:,} posts or documents skipped."
        )
        print_places(self.where)


def _plain(event: DotnetEvent) -> dict[str, Any]:
    stored = event.event
    return {
        "documentId": event.document_id,
        "version": event.version or None,
        "recordedAt": instant(event.recorded_at) if event.recorded_at else None,
        "type": stored.type if stored else None,
        "data": dict(stored.data) if stored else None,
    }

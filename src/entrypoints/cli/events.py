"""`postlog events`: the history of one post (`show`), the readability of the whole log (`check`), and the way out of a
gap in the log when no backup has the missing commits (`cut`)."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self, TextIO

import click
import rich_click

from application.maintenance.events_check import Tally, Unreadable
from application.maintenance.log_cut import CommitsAfterGap
from application.ports.commit_log import StoredCommit
from application.query_side.history import ListEvents, PastEvent
from domain.ids import PostId
from entrypoints.cli import exit_codes
from entrypoints.cli.options import PostIdParameter, load, settings_options
from entrypoints.cli.output import as_json_text, emit_json, instant, json_option, one_line, print_places
from entrypoints.cli.progress import show_progress
from entrypoints.cli.running import run_job
from entrypoints.composition.cli_scopes import MOST_PROCESSES, open_events_check, open_history, open_log_cut
from entrypoints.settings.administrators import OPTION, administrators
from entrypoints.settings.loading import LoadedSettings
from entrypoints.settings.rendering import LOG, places

_PAGE = 500


@rich_click.group("events", epilog=exit_codes.epilog("postlog events show 0198c0de-0000-7000-8000-000000000001"))
def command() -> None:
    """Show the events of a post, check the log, or remove what follows a gap."""


@command.command(
    "show",
    epilog=exit_codes.epilog("postlog events show 0198c0de-0000-7000-8000-000000000001 --after 10", job=True),
)
@click.argument("post_id", type=PostIdParameter())
@click.option("--after", type=click.IntRange(min=0), default=0, metavar="VERSION", help="Print only later versions.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Print at most this many events.")
@settings_options
@json_option
@click.pass_context
def show(ctx: click.Context, post_id: PostId, after: int, limit: int | None, as_json: bool) -> int:
    """Print the events of a post, oldest first, also those of a removed post."""
    loaded = load(ctx)

    async def job() -> int:
        async with open_history(loaded, "events show") as queries:
            start, left = after, limit
            while True:
                page = await queries.ask(ListEvents(post_id=post_id, after=start, limit=min(_PAGE, left or _PAGE)))
                for event in page.events[:left]:
                    _print_event(event, as_json)
                left = None if left is None else left - len(page.events)
                if page.next_after is None or (left is not None and left <= 0):
                    return exit_codes.DONE
                start = page.next_after

    return run_job(job)


def _print_event(event: PastEvent, as_json: bool) -> None:
    recorded_at = instant(event.recorded_at)
    if as_json:
        emit_json(
            {
                "type": event.type,
                "schemaVersion": event.schema_version,
                "storedType": event.stored_type,
                "storedSchemaVersion": event.stored_schema_version,
                "version": event.version,
                "position": event.position,
                "recordedAt": recorded_at,
                "actor": event.actor,
                "correlationId": event.correlation_id,
                "data": dict(event.data),
            }
        )
        return
    head = f"{event.version:>6}  {recorded_at}  {event.type:<15} at {event.position}"
    actor = f"  by {one_line(event.actor)}" if event.actor else ""
    click.echo(f"{head}{actor}  {one_line(as_json_text(event.data))}")


@command.command(
    "check",
    epilog=exit_codes.epilog(
        "postlog events check",
        done="every event can be read",
        data="done, but some events can't be read, or are missing",
        job=True,
    ),
)
@click.option(
    "--places", type=click.IntRange(min=0), default=20, show_default=True, help="Print at most this many failures."
)
@click.option(
    "--processes",
    type=click.IntRange(1, MOST_PROCESSES),
    help="Processes that read in parallel; without it, one for each processor if the log is long.",
)
@settings_options
@json_option
@click.pass_context
def check(ctx: click.Context, places: int, processes: int | None, as_json: bool) -> int:
    """Read every event of the log with this version of Postlog, and change nothing. Meant to be run before a
    deployment."""
    loaded = load(ctx)

    async def job() -> int:
        async with open_events_check(loaded, processes, places) as (events_check, commits):
            with show_progress("commits", commits) as progress:
                tally = await events_check.run(progress.advance_to)
        (_print_tally_json if as_json else _print_tally)(tally, _log_of(loaded))
        return exit_codes.DATA if tally.unreadable or tally.damaged else exit_codes.DONE

    return run_job(job)


def _print_tally(tally: Tally, where: Mapping[str, str]) -> None:
    if tally.events:
        width = max(len(name) for name, _ in tally.events)
        click.echo(f"{'event':<{width}}  version  {'events':>13}  {'unreadable':>10}")
    for name, version in sorted(tally.events):
        events, unreadable = tally.events[name, version], tally.unreadable[name, version]
        click.echo(f"{one_line(name):<{width}}  {version:>7}  {events:>13,}  {unreadable:>10,}")
    failed = tally.unreadable.total()
    result = f"{_commits(failed)} can't be read by this version" if failed else "this version can read all of them"
    click.echo(f"{tally.events.total():,} events in {tally.commits:,} commits: {result}.")
    for place in tally.places:
        click.echo(f"position {place.position:,}: {one_line(place.reason)}")
    if failed > len(tally.places):
        click.echo(f"… and {failed - len(tally.places):,} more; --places prints more of them.")
    if tally.damaged:
        click.echo(f"{_commits(tally.damaged)} out of sequence with the ones before:")
    for damage in tally.damages:
        click.echo(f"position {damage.position:,}: {one_line(damage.reason)}")
    print_places(where)


def _commits(number: int) -> str:
    return f"{number:,} commit{'' if number == 1 else 's'}"


def _print_tally_json(tally: Tally, where: Mapping[str, str]) -> None:
    for name, version in sorted(tally.events):
        counts = {"events": tally.events[name, version], "unreadable": tally.unreadable[name, version]}
        emit_json({"type": name, "schemaVersion": version, **counts})
    for place in tally.places:
        emit_json(_place(place))
    for damage in tally.damages:
        emit_json({"position": damage.position, "postId": damage.post_id, "damaged": damage.reason})
    emit_json(
        {
            "commits": tally.commits,
            "events": tally.events.total(),
            "unreadable": tally.unreadable.total(),
            "damaged": tally.damaged,
            **where,
        }
    )


def _place(place: Unreadable) -> dict[str, object]:
    return {
        "position": place.position,
        "postId": place.post_id,
        "version": place.version,
        "type": place.type,
        "schemaVersion": place.schema_version,
        "reason": place.reason,
    }


_NEXT_STEPS = """Next steps:
1. Run `postlog doctor`. If it reports rows of a commit that the log does not have, run `postlog rebuild`.
2. If commits go over Kafka, delete the topic and run `postlog init`; projectors read missing commits from the log.
3. Start the processes. Clients must send the commands of the removed commits again, which they take for stored."""


@command.command(
    "cut",
    epilog=exit_codes.epilog(
        "postlog events cut --behind 5 --save removed.ndjson --admin-url-file /root/mongo-admin",
        done="no position is missing, or the commits after the gap are removed",
        data="positions are missing; the commits after the gap are printed",
        job=True,
    ),
)
@click.option(
    "--behind",
    type=click.IntRange(min=0),
    metavar="POSITION",
    help="Confirm: remove every commit after this position, where the gap begins.",
)
@click.option("--save", metavar="FILE", help="New file to save every removed commit to first, one JSON object a line.")
@click.option(
    OPTION,
    "admin_url_files",
    metavar="FILE",
    multiple=True,
    help="File with an administrator's address of MongoDB, used only now. POSTLOG_ADMIN__MONGO_URL_FILE does the same.",
)
@settings_options
@json_option
@click.pass_context
def cut(ctx: click.Context, behind: int | None, save: str | None, admin_url_files: Sequence[str], as_json: bool) -> int:
    """Show the commits after the first gap in the log, or remove them: with --behind to confirm the position and
    --save to name a file.

    Stop every process that takes commands or imports first. If a backup has the missing commits, restore it instead:
    then nothing needs to be removed."""
    if (behind is None) != (save is None):
        raise click.UsageError("Give both --behind POSITION and --save FILE, or neither to show the gap only.")
    loaded = load(ctx)
    admins = administrators(os.environ, admin_url_files)
    where = _log_of(loaded)

    async def job() -> int:
        async with open_log_cut(loaded, admins) as log_cut:
            if behind is None or save is None:
                found = await log_cut.find()
                _print_gap(found, where, as_json)
                return exit_codes.DATA if found else exit_codes.DONE
            with _NewFile(save) as file:
                removed = await log_cut.cut(behind, file.add)
        _print_removed(removed, behind, save, where, as_json)
        return exit_codes.DONE

    return run_job(job)


class _NewFile:
    """Created with the first commits; never replaces an existing file. An empty page asks to write it to the disk."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        if self._path.exists():
            raise click.UsageError(f"{self._path} exists already; name a new file (--save).")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, commits: Sequence[StoredCommit]) -> None:
        if self._file is None:
            self._file = self._path.open("x", encoding="utf-8")
        self._file.writelines(f"{commit.line}\n" for commit in commits)
        if not commits:
            self._file.flush()
            os.fsync(self._file.fileno())


def _print_gap(found: CommitsAfterGap | None, where: Mapping[str, str], as_json: bool) -> None:
    if as_json:
        emit_json({"gap": found is not None} | (_gap_record(found) if found else {}) | dict(where))
        return
    print_places(where)
    if found is None:
        click.echo("No position is missing from the log.")
        return
    click.echo(f"{found.gap.sentence}\n")
    for commit in found.first:
        click.echo(one_line(f"position {commit.position}  post {commit.stream_id}  version {commit.version}"))
        click.echo(f"    {one_line(commit.line)}")
    if found.commits > len(found.first):
        click.echo(f"… and {found.commits - len(found.first):,} more")
    click.echo(
        f"\n{_commits(found.commits)} after position {found.position}, up to position {found.tip}. To remove them, "
        f"stop every process that takes commands, and run\n"
        f"    postlog events cut --behind {found.position} --save FILE"
    )


def _gap_record(found: CommitsAfterGap) -> dict[str, object]:
    return {
        "behind": found.position,
        "firstMissing": found.gap.first_missing,
        "nextThere": found.gap.next_there,
        "commits": found.commits,
        "tip": found.tip,
    }


def _print_removed(removed: int, behind: int, save: str, where: Mapping[str, str], as_json: bool) -> None:
    if as_json:
        emit_json({"removed": removed, "behind": behind, "savedTo": save, **where})
        return
    print_places(where)
    click.echo(f"Removed {_commits(removed)} after position {behind}, where the log ends now; saved in {save}.")
    click.echo(_NEXT_STEPS)


def _log_of(loaded: LoadedSettings) -> Mapping[str, str]:
    return places(loaded.settings, LOG)

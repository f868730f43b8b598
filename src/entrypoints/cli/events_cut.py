"""`postlog events cut`: the way out of a gap in the log when there is no backup of what is missing."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self, TextIO

import click
import rich_click

from application.maintenance.log_cut import BehindTheHole
from application.ports.commit_log import StoredCommit
from entrypoints.cli import exit_codes
from entrypoints.cli.output import emit_json, json_option, one_line, say_places
from entrypoints.cli.running import run_job
from entrypoints.cli.settings_options import settings_from, settings_options
from entrypoints.settings.administrators import OPTION, administrators
from entrypoints.settings.places import LOG, places

_NEXT = """What to do now:
1. Run `postlog doctor`. If it says that the rows have seen a commit which the log does not have, run `postlog rebuild`.
2. Where commits go over Kafka, delete the topic and run `postlog init`; projectors read from the log what it lacks.
3. Start the processes. What the file has must be sent again by those who were answered that it is stored."""


@rich_click.command(
    "cut",
    epilog=exit_codes.epilog(
        "postlog events cut --behind 5 --save removed.ndjson --admin-url-file /root/mongo-admin",
        done="no position is missing, or what stood behind the gap is removed",
        data="positions are missing: what stands behind the gap is printed",
        job=True,
    ),
)
@click.option(
    "--behind",
    type=click.IntRange(min=0),
    metavar="POSITION",
    help="Confirm: remove everything behind this position, where the gap begins.",
)
@click.option("--save", metavar="FILE", help="New file that gets every removed commit first, one JSON object a line.")
@click.option(
    OPTION,
    "admin_url_files",
    metavar="FILE",
    multiple=True,
    help="File with an administrator's address of MongoDB, used this once; POSTLOG_ADMIN__MONGO_URL_FILE does the "
    "same.",
)
@settings_options
@json_option
@click.pass_context
def cut(
    ctx: click.Context,
    behind: int | None,
    save: str | None,
    admin_url_files: Sequence[str],
    config_file: str | None,
    assignments: Sequence[str],
    as_json: bool,
) -> int:
    """Show what stands behind the first gap in the log; remove it when the position is confirmed and a file is named.

    Stop every process that takes commands or imports first. If there is a backup that has what is missing, put that
    back instead: nothing has to be removed then."""
    from entrypoints.composition.events_cut import with_log_cut

    if (behind is None) != (save is None):
        raise click.UsageError("--behind POSITION and --save FILE belong together; without both, it only shows.")
    loaded = settings_from(ctx, config_file, assignments)
    admins = administrators(os.environ, admin_url_files)
    where = places(loaded.settings, LOG)

    async def job() -> int:
        async with with_log_cut(loaded, admins) as log_cut:
            if behind is None or save is None:
                found = await log_cut.look()
                _show(found, where, as_json)
                return exit_codes.DATA if found else exit_codes.DONE
            with _NewFile(save) as file:
                removed = await log_cut.cut(behind, file.add)
        _report(removed, behind, save, where, as_json)
        return exit_codes.DONE

    return run_job(job)


class _NewFile:
    """Made when the first commits come, and never in another one's place; an empty page: it must be on the disk."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        if self._path.exists():
            raise click.UsageError(f"{self._path} is there already; name a new file (--save).")
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


def _show(found: BehindTheHole | None, where: Mapping[str, str], as_json: bool) -> None:
    if as_json:
        emit_json({"gap": found is not None} | (_record(found) if found else {}) | dict(where))
        return
    say_places(where)
    if found is None:
        click.echo("No position is missing from the log.")
        return
    click.echo(f"{found.hole.sentence}\n")
    for commit in found.first:
        click.echo(one_line(f"position {commit.position}  post {commit.stream_id}  version {commit.version}"))
        click.echo(f"    {one_line(commit.line)}")
    if found.commits > len(found.first):
        click.echo(f"… and {found.commits - len(found.first):,} more")
    click.echo(
        f"\nBehind position {found.position} stand {found.commits:,} commits, up to position {found.tip}. To remove "
        f"them, stop every process that takes commands, and then:\n"
        f"    postlog events cut --behind {found.position} --save FILE"
    )


def _record(found: BehindTheHole) -> dict[str, object]:
    return {
        "behind": found.position,
        "firstMissing": found.hole.first_missing,
        "nextThere": found.hole.next_there,
        "commits": found.commits,
        "tip": found.tip,
    }


def _report(removed: int, behind: int, save: str, where: Mapping[str, str], as_json: bool) -> None:
    if as_json:
        emit_json({"removed": removed, "behind": behind, "savedTo": save, **where})
        return
    say_places(where)
    click.echo(f"Removed {removed:,} commits behind position {behind}, where the log ends now; they are in {save}.")
    click.echo(_NEXT)

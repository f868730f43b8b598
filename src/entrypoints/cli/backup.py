"""`postlog backup FILE`: a copy of the log, whole and at one moment.

`postlog restore FILE`: the log out of a backup.
"""

from collections.abc import Sequence
from pathlib import Path

import click
import rich_click

from entrypoints.cli import exit_codes
from entrypoints.cli.options import settings_from, settings_options
from entrypoints.cli.output import emit_json, json_option
from entrypoints.cli.running import run_job


@rich_click.command(
    "backup",
    epilog=exit_codes.epilog(
        "postlog backup /backups/log-monday.sqlite",
        done="the copy is on the disk, and sound",
        data="done, but commits are missing in the log",
        job=True,
    ),
)
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--overwrite", is_flag=True, help="Replace FILE when it is there.")
@settings_options
@json_option
@click.pass_context
def backup_command(
    ctx: click.Context, file: str, overwrite: bool, config_file: str | None, assignments: Sequence[str], as_json: bool
) -> int:
    """Copy the log, which is a SQLite file, to FILE, also while Postlog runs and writes. FILE is checked as a whole
    before it gets its name. The read database needs no backup: `postlog rebuild` computes it."""
    from entrypoints.composition.cli_scopes import log_backup

    backup = log_backup(settings_from(ctx, config_file, assignments), "backup")

    async def job() -> int:
        copy = await backup.backup(Path(file), overwrite=overwrite)
        size = copy.file.stat().st_size
        if as_json:
            emit_json(
                {
                    "log": copy.log_id,
                    "position": copy.position,
                    "file": str(copy.file),
                    "bytes": size,
                    "gaps": list(copy.gaps),
                }
            )
        else:
            click.echo(f"{copy.file} holds log {copy.log_id} up to position {copy.position:,} ({size:,} bytes).")
            for gap in copy.gaps:
                click.echo(f"The log is not whole: {gap}; `postlog doctor` tells more.", err=True)
        return exit_codes.DATA if copy.gaps else exit_codes.DONE

    return run_job(job)


@rich_click.command(
    "restore",
    epilog=exit_codes.epilog("postlog restore /backups/log-monday.sqlite", done="FILE is the log now", job=True),
)
@click.argument("file", type=click.Path(dir_okay=False))
@settings_options
@json_option
@click.pass_context
def restore_command(
    ctx: click.Context, file: str, config_file: str | None, assignments: Sequence[str], as_json: bool
) -> int:
    """Make FILE, which `postlog backup` has made, the log. Stop every process of Postlog before. The log that is there
    is kept under another name; run `postlog rebuild` afterwards, for the rows have seen more than the log has."""
    from entrypoints.composition.cli_scopes import log_backup

    loaded = settings_from(ctx, config_file, assignments)
    backup = log_backup(loaded, "restore")
    log = Path(loaded.settings.event_store.sqlite.path).absolute()

    async def job() -> int:
        copy = await backup.restore(Path(file))
        kept = None if copy.kept is None else str(copy.kept.absolute())
        if as_json:
            emit_json({"log": copy.log_id, "position": copy.position, "file": str(log), "kept": kept})
        else:
            click.echo(f"{log} is log {copy.log_id} up to position {copy.position:,} now, from {copy.file}.")
            if kept is not None:
                click.echo(f"The log that was there is kept as {kept}.")
            click.echo("Run `postlog rebuild` before you start Postlog: the rows may have seen more than the log has.")
        return exit_codes.DONE

    return run_job(job)

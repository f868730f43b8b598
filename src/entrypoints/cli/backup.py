"""`postlog backup FILE`: a consistent copy of the log. `postlog restore FILE`: the log from such a copy."""

from pathlib import Path

import click
import rich_click

from entrypoints.cli import exit_codes
from entrypoints.cli.options import load, settings_options
from entrypoints.cli.output import emit_json, json_option
from entrypoints.cli.running import run_job
from entrypoints.composition.cli_scopes import log_backup


@rich_click.command(
    "backup",
    epilog=exit_codes.epilog(
        "postlog backup /backups/log-monday.sqlite",
        done="the copy is on the disk and intact",
        data="done, but commits are missing in the log",
        job=True,
    ),
)
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@settings_options
@json_option
@click.pass_context
def backup(ctx: click.Context, file: str, overwrite: bool, as_json: bool) -> int:
    """Copy the log, which is a SQLite file, to FILE. Postlog may run and write meanwhile. The copy is checked
    completely before it is named FILE. The read database needs no backup: `postlog rebuild` computes it."""
    log = log_backup(load(ctx), "backup")

    async def job() -> int:
        copy = await log.backup(Path(file), overwrite=overwrite)
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
            click.echo(f"{copy.file} contains log {copy.log_id} up to position {copy.position:,} ({size:,} bytes).")
            for gap in copy.gaps:
                click.echo(f"The log has a gap: {gap}; `postlog doctor` says what to do.", err=True)
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
def restore(ctx: click.Context, file: str, as_json: bool) -> int:
    """Replace the log with FILE, a copy that `postlog backup` created. Stop every Postlog process first. The current
    log is kept under another name. Run `postlog rebuild` afterwards: the rows may contain more than the log."""
    loaded = load(ctx)
    log = log_backup(loaded, "restore")
    path = Path(loaded.settings.event_store.sqlite.path).absolute()

    async def job() -> int:
        copy = await log.restore(Path(file))
        kept = None if copy.kept is None else str(copy.kept.absolute())
        if as_json:
            emit_json({"log": copy.log_id, "position": copy.position, "file": str(path), "kept": kept})
        else:
            click.echo(f"{path} is now log {copy.log_id} up to position {copy.position:,}, from {copy.file}.")
            if kept is not None:
                click.echo(f"The previous log is kept as {kept}.")
            click.echo("Run `postlog rebuild` before you start Postlog: the rows may contain more than the log.")
        return exit_codes.DONE

    return run_job(job)

"""`postlog restore FILE`: the log out of a backup."""

from collections.abc import Sequence
from pathlib import Path

import click
import rich_click

from entrypoints.cli import exit_codes
from entrypoints.cli.output import emit_json, json_option
from entrypoints.cli.running import run_job
from entrypoints.cli.settings_options import settings_from, settings_options


@rich_click.command(
    "restore",
    epilog=exit_codes.epilog("postlog restore /backups/log-monday.sqlite", done="FILE is the log now", job=True),
)
@click.argument("file", type=click.Path(dir_okay=False))
@settings_options
@json_option
@click.pass_context
def command(ctx: click.Context, file: str, config_file: str | None, assignments: Sequence[str], as_json: bool) -> int:
    """Make FILE, which `postlog backup` has made, the log. Stop every process of Postlog before. The log that is there
    is kept under another name; run `postlog rebuild` afterwards, for the rows have seen more than the log has."""
    from entrypoints.composition.jobs import log_backup

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

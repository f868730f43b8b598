"""`postlog project`: a projector in a process of its own."""

from collections.abc import Sequence

import click
import rich_click

from entrypoints.cli import exit_codes
from entrypoints.cli.running import run_service_until_stopped
from entrypoints.cli.settings_options import option, settings_from, settings_options, worker_options
from entrypoints.composition.sides import Sides


@rich_click.command(
    "project", epilog=exit_codes.epilog("postlog project --read-db postgres", done="stopped by Ctrl-C or SIGTERM")
)
@click.option("--read-db", help="Database to keep up to date (read_db.adapter).")
@worker_options
@settings_options
@click.pass_context
def command(
    ctx: click.Context,
    read_db: str | None,
    host: str | None,
    port: str | None,
    config_file: str | None,
    assignments: Sequence[str],
) -> int:
    """Keep a read database up to date with the log; several share the work of one bus."""
    loaded = settings_from(
        ctx,
        config_file,
        assignments,
        option("read_db.adapter", read_db, "--read-db"),
        option("worker.host", host, "--host"),
        option("worker.port", port, "--port"),
        defaults={"worker.port": "8003"},
    )
    return run_service_until_stopped(loaded, "project", Sides(projector=True))

"""`postlog run`: the whole service in one process."""

from collections.abc import Sequence

import click
import rich_click

from entrypoints.cli import exit_codes
from entrypoints.cli.running import run_service_until_stopped
from entrypoints.cli.settings_options import listening_options, option, settings_from, settings_options
from entrypoints.composition.sides import Sides


@rich_click.command("run", epilog=exit_codes.epilog("postlog run --port 8080", done="stopped by Ctrl-C or SIGTERM"))
@listening_options
@settings_options
@click.pass_context
def command(
    ctx: click.Context, host: str | None, port: str | None, config_file: str | None, assignments: Sequence[str]
) -> int:
    """Run the whole service in one process: commands, queries and the projector."""
    loaded = settings_from(
        ctx, config_file, assignments, option("http.host", host, "--host"), option("http.port", port, "--port")
    )
    return run_service_until_stopped(loaded, "run", Sides(commands=True, queries=True, projector=True, relay=True))

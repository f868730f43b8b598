"""`postlog serve`: one side of the service in a process of its own."""

from collections.abc import Sequence

import click
import rich_click

from entrypoints.cli import exit_codes
from entrypoints.cli.running import run_service_until_stopped
from entrypoints.cli.settings_options import listening_options, option, settings_from, settings_options
from entrypoints.composition.sides import Sides


@rich_click.command(
    "serve", epilog=exit_codes.epilog("postlog serve query --port 8080", done="stopped by Ctrl-C or SIGTERM")
)
@click.argument("side", type=click.Choice(("command", "query")))
@listening_options
@settings_options
@click.pass_context
def command(
    ctx: click.Context,
    side: str,
    host: str | None,
    port: str | None,
    config_file: str | None,
    assignments: Sequence[str],
) -> int:
    """Serve the command side or the query side alone; `postlog project` keeps the rows up to date."""
    loaded = settings_from(
        ctx,
        config_file,
        assignments,
        option("http.host", host, "--host"),
        option("http.port", port, "--port"),
        defaults={"http.port": "8001"} if side == "query" else {},
    )
    return run_service_until_stopped(
        loaded, f"serve {side}", Sides(commands=side == "command", queries=side == "query")
    )

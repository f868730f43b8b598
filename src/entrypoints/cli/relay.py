"""`postlog relay`: publishes the log to the bus."""

from collections.abc import Sequence

import click
import rich_click

from entrypoints.cli import exit_codes
from entrypoints.cli.running import run_service_until_stopped
from entrypoints.cli.settings_options import option, settings_from, settings_options, worker_options
from entrypoints.composition.sides import Sides
from entrypoints.settings.checks import require_bus


@rich_click.command(
    "relay", epilog=exit_codes.epilog("postlog relay --set bus.adapter=kafka", done="stopped by Ctrl-C or SIGTERM")
)
@worker_options
@settings_options
@click.pass_context
def command(
    ctx: click.Context, host: str | None, port: str | None, config_file: str | None, assignments: Sequence[str]
) -> int:
    """Publish the log to the bus; of several relays one is active, and the others stand by."""
    loaded = settings_from(
        ctx, config_file, assignments, option("worker.host", host, "--host"), option("worker.port", port, "--port")
    )
    require_bus(loaded.settings, loaded.sources)
    return run_service_until_stopped(loaded, "relay", Sides(relay=True))

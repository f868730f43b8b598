"""`postlog run`: the whole service in one process.

`postlog serve`: one side of the service in a process of its own.

`postlog relay`: publishes the log to the bus.

`postlog project`: a projector in a process of its own.
"""

from collections.abc import Sequence

import click
import rich_click

from entrypoints.cli import exit_codes
from entrypoints.cli.options import listening_options, option, settings_from, settings_options, worker_options
from entrypoints.cli.running import run_service_until_stopped
from entrypoints.settings.loading import require_bus
from entrypoints.worker import ProcessRoles


@rich_click.command("run", epilog=exit_codes.epilog("postlog run --port 8080", done="stopped by Ctrl-C or SIGTERM"))
@listening_options
@settings_options
@click.pass_context
def run(
    ctx: click.Context, host: str | None, port: str | None, config_file: str | None, assignments: Sequence[str]
) -> int:
    """Run the whole service in one process: commands, queries and the projector."""
    loaded = settings_from(
        ctx, config_file, assignments, option("http.host", host, "--host"), option("http.port", port, "--port")
    )
    return run_service_until_stopped(
        loaded, "run", ProcessRoles(commands=True, queries=True, projector=True, relay=True)
    )


@rich_click.command(
    "serve", epilog=exit_codes.epilog("postlog serve query --port 8080", done="stopped by Ctrl-C or SIGTERM")
)
@click.argument("side", type=click.Choice(("command", "query")))
@listening_options
@settings_options
@click.pass_context
def serve(
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
        loaded, f"serve {side}", ProcessRoles(commands=side == "command", queries=side == "query")
    )


@rich_click.command(
    "relay", epilog=exit_codes.epilog("postlog relay --set bus.adapter=kafka", done="stopped by Ctrl-C or SIGTERM")
)
@worker_options
@settings_options
@click.pass_context
def relay(
    ctx: click.Context, host: str | None, port: str | None, config_file: str | None, assignments: Sequence[str]
) -> int:
    """Publish the log to the bus; of several relays one is active, and the others stand by."""
    loaded = settings_from(
        ctx, config_file, assignments, option("worker.host", host, "--host"), option("worker.port", port, "--port")
    )
    require_bus(loaded.settings, loaded.sources)
    return run_service_until_stopped(loaded, "relay", ProcessRoles(relay=True))


@rich_click.command(
    "project", epilog=exit_codes.epilog("postlog project --read-db postgres", done="stopped by Ctrl-C or SIGTERM")
)
@click.option("--read-db", help="Database to keep up to date (read_db.adapter).")
@worker_options
@settings_options
@click.pass_context
def project(
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
    return run_service_until_stopped(loaded, "project", ProcessRoles(projector=True))

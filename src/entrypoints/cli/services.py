"""The verbs that run until they are stopped: `postlog run`, the whole service in one process, and `serve`, `relay` and
`project`, its parts as separate processes."""

import asyncio
import logging
import os
import sys

import click
import rich_click
import uvloop

from entrypoints.cli import exit_codes
from entrypoints.cli.options import listening_options, load, setting_option, settings_options, worker_options
from entrypoints.cli.running import relax_gc
from entrypoints.composition.services import run_service
from entrypoints.settings.loading import LoadedSettings, require_bus
from entrypoints.worker import ProcessRoles

_STOPPED = "stopped by Ctrl-C or SIGTERM"

logger = logging.getLogger(__name__)


@rich_click.command("run", epilog=exit_codes.epilog("postlog run --port 8080", done=_STOPPED))
@listening_options
@settings_options
@click.pass_context
def run(ctx: click.Context) -> int:
    """Run the whole service in one process: commands, queries and the projector."""
    roles = ProcessRoles(commands=True, queries=True, projector=True, relay=True)
    return run_service_until_stopped(load(ctx), "run", roles)


@rich_click.command("serve", epilog=exit_codes.epilog("postlog serve query --port 8080", done=_STOPPED))
@click.argument("side", type=click.Choice(("command", "query")))
@listening_options
@settings_options
@click.pass_context
def serve(ctx: click.Context, side: str) -> int:
    """Serve the command side or the query side only. `postlog project` keeps the rows up to date."""
    loaded = load(ctx, {"http.port": "8001"} if side == "query" else {})
    return run_service_until_stopped(
        loaded, f"serve {side}", ProcessRoles(commands=side == "command", queries=side == "query")
    )


@rich_click.command("relay", epilog=exit_codes.epilog("postlog relay --set bus.adapter=kafka", done=_STOPPED))
@worker_options
@settings_options
@click.pass_context
def relay(ctx: click.Context) -> int:
    """Publish the log to the bus. Of several relays one is active, and the others stand by."""
    loaded = load(ctx)
    require_bus(loaded)
    return run_service_until_stopped(loaded, "relay", ProcessRoles(relay=True))


@rich_click.command("project", epilog=exit_codes.epilog("postlog project --read-db postgres", done=_STOPPED))
@setting_option("--read-db", "read_db.adapter", "Database to keep up to date")
@worker_options
@settings_options
@click.pass_context
def project(ctx: click.Context) -> int:
    """Keep a read database up to date with the log. Several projectors share the partitions of one bus."""
    return run_service_until_stopped(load(ctx, {"worker.port": "8003"}), "project", ProcessRoles(projector=True))


def run_service_until_stopped(loaded: LoadedSettings, verb: str, roles: ProcessRoles) -> int:
    """0 when a signal stopped it. Prints its address on stdout once it listens."""

    def announce(address: str) -> None:
        relax_gc()
        pages = f", pages at {address}/" if roles.queries and loaded.settings.web.enabled else ""
        docs = f", API documentation at {address}/docs" if roles.commands or roles.queries else ""
        _announce(f"Postlog ({verb}) listens on {address}{pages}{docs}")

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_service(loaded, verb, roles, announce))
    except KeyboardInterrupt:
        return exit_codes.DONE
    return exit_codes.DONE


def _announce(sentence: str) -> None:
    """Without ending the service when the reader of stdout is gone, or the disk of stdout is full."""
    try:
        click.echo(sentence)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # discards what is still in the buffer
        logger.warning("can't write to stdout (%s): %s", error.strerror, sentence)

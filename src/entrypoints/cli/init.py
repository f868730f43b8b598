"""`postlog init`: creates what the servers need before the first start."""

import os
from collections.abc import Sequence

import click
import rich_click

from entrypoints.cli import exit_codes
from entrypoints.cli.options import load, settings_options
from entrypoints.cli.output import emit_json, json_option, one_line, print_places
from entrypoints.cli.running import run_job
from entrypoints.composition.provisioning import NotMade, provisioned
from entrypoints.settings.administrators import OPTION, administrators
from entrypoints.settings.rendering import LOG, READ_DB, places
from entrypoints.settings.secret import mask


@rich_click.command("init", epilog=exit_codes.epilog("postlog init --config config/distributed.yaml", job=True))
@settings_options
@click.option(
    OPTION,
    "admin_url_files",
    metavar="FILE",
    multiple=True,
    help="File with an administrator's address of MongoDB, PostgreSQL or SQL Server, used only now to create the "
    "database and the service's own login. POSTLOG_ADMIN__MONGO_URL_FILE, …POSTGRES…, …SQLSERVER… do the same.",
)
@json_option
@click.pass_context
def command(ctx: click.Context, admin_url_files: Sequence[str], as_json: bool) -> int:
    """Create missing indexes, topics, tables and logins; existing data is kept."""
    loaded = load(ctx)
    admins = administrators(os.environ, admin_url_files)
    where = places(loaded.settings, LOG, READ_DB)

    async def job() -> int:
        made, missing = 0, []
        async for result in provisioned(loaded, admins):
            if isinstance(result, NotMade):
                missing.append(result.part)
                _print_missing(result, as_json)
                continue
            made += 1
            if as_json:
                emit_json({"made": result, **where})
            else:
                click.echo(result)
        if missing:
            parts = ", ".join(missing)
            click.echo(f"Incomplete: {parts}. Everything else exists; fix this and run `postlog init` again.", err=True)
            return exit_codes.COULD_NOT_RUN
        if not made and not as_json:
            click.echo("Everything exists already; nothing was changed.")
        if not as_json:
            print_places(where)
        return exit_codes.DONE

    return run_job(job)


def _print_missing(not_made: NotMade, as_json: bool) -> None:
    reason = mask(not_made.reason)
    if as_json:
        emit_json({"missing": not_made.part, "reason": reason})
    click.echo(f"Error: {not_made.part}: {one_line(reason)}", err=True)

"""`postlog init`: what the servers need before the first start."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import rich_click

from entrypoints.cli import exit_codes
from entrypoints.cli.options import settings_from, settings_options
from entrypoints.cli.output import emit_json, json_option, one_line, say_places
from entrypoints.cli.running import run_job
from entrypoints.settings.administrators import OPTION, administrators
from entrypoints.settings.rendering import LOG, READ_DB, places
from entrypoints.settings.secret import mask

if TYPE_CHECKING:
    from entrypoints.composition.provisioning import NotMade


@rich_click.command("init", epilog=exit_codes.epilog("postlog init --config config/distributed.yaml", job=True))
@settings_options
@click.option(
    OPTION,
    "admin_url_files",
    metavar="FILE",
    multiple=True,
    help="File with an administrator's address of MongoDB, PostgreSQL or SQL Server, used this once to make the "
    "database and the service's own login; POSTLOG_ADMIN__MONGO_URL_FILE, …POSTGRES…, …SQLSERVER… do the same.",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    config_file: str | None,
    assignments: Sequence[str],
    admin_url_files: Sequence[str],
    as_json: bool,
) -> int:
    """Make the indexes, topic, tables and logins that are missing; nothing that is there is lost."""
    from entrypoints.composition.provisioning import NotMade, provisioned

    loaded = settings_from(ctx, config_file, assignments)
    admins = administrators(os.environ, admin_url_files)

    async def job() -> int:
        made, missing = 0, []
        async for result in provisioned(loaded, admins):
            if isinstance(result, NotMade):
                missing.append(result.part)
                _print_missing(result, as_json)
                continue
            made += 1
            if as_json:
                emit_json({"made": result, **places(loaded.settings, LOG, READ_DB)})
            else:
                click.echo(result)
        if missing:
            click.echo(f"Not complete: {', '.join(missing)}. All else is there; run `postlog init` again.", err=True)
            return exit_codes.COULD_NOT_RUN
        if not made and not as_json:
            click.echo("Everything was there already.")
        if not as_json:
            say_places(places(loaded.settings, LOG, READ_DB))
        return exit_codes.DONE

    return run_job(job)


def _print_missing(what: "NotMade", as_json: bool) -> None:
    reason = mask(what.reason)
    if as_json:
        emit_json({"missing": what.part, "reason": reason})
    click.echo(f"Error: {what.part}: {one_line(reason)}", err=True)

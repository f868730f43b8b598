"""`postlog config`: the settings as they result."""

from collections.abc import Sequence

import click
import rich_click

from entrypoints.cli import exit_codes
from entrypoints.cli.options import settings_from, settings_options
from entrypoints.cli.output import emit_json, json_option


@rich_click.command("config", epilog=exit_codes.epilog("postlog config --config config/distributed.yaml"))
@settings_options
@json_option
@click.option("--defaults", is_flag=True, help="Print the defaults instead, each with what it is for.")
@click.pass_context
def command(
    ctx: click.Context, config_file: str | None, assignments: Sequence[str], as_json: bool, defaults: bool
) -> None:
    """Print the settings as they result, and where each value came from; secrets are masked."""
    from entrypoints.settings.rendering import as_records, as_yaml, defaults_as_yaml

    if defaults:
        click.echo(defaults_as_yaml(), nl=False)
        return
    loaded = settings_from(ctx, config_file, assignments)
    if as_json:
        for record in as_records(loaded):
            emit_json(record)
    else:
        click.echo(as_yaml(loaded), nl=False)

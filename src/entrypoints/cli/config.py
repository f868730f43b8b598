"""`postlog config`: the settings in use."""

import click
import rich_click

from entrypoints.cli import exit_codes
from entrypoints.cli.options import load, settings_options
from entrypoints.cli.output import emit_json, json_option
from entrypoints.settings.rendering import as_records, as_yaml, defaults_as_yaml


@rich_click.command("config", epilog=exit_codes.epilog("postlog config --config config/distributed.yaml"))
@settings_options
@json_option
@click.option("--defaults", is_flag=True, help="Print the defaults instead, each with a description.")
@click.pass_context
def command(ctx: click.Context, as_json: bool, defaults: bool) -> None:
    """Print the settings in use, each with its source. Secrets are masked."""
    if defaults:
        click.echo(defaults_as_yaml(), nl=False)
        return
    loaded = load(ctx)
    if as_json:
        for record in as_records(loaded):
            emit_json(record)
    else:
        click.echo(as_yaml(loaded), nl=False)

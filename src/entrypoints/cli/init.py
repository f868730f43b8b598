"""`postlog init`: what the servers need before the first start."""

from collections.abc import Sequence

import click
import rich_click

from entrypoints.cli import exit_codes
from entrypoints.cli.output import emit_json, json_option
from entrypoints.cli.running import run_job
from entrypoints.cli.settings_options import settings_from, settings_options


@rich_click.command("init", epilog=exit_codes.epilog("postlog init --config config/distributed.yaml", job=True))
@settings_options
@json_option
@click.pass_context
def command(ctx: click.Context, config_file: str | None, assignments: Sequence[str], as_json: bool) -> int:
    """Make the indexes, topic and tables that are missing; nothing that is there is lost."""
    from entrypoints.composition.jobs import provisioned

    loaded = settings_from(ctx, config_file, assignments)

    async def job() -> int:
        made = 0
        async for sentence in provisioned(loaded):
            made += 1
            if as_json:
                emit_json({"made": sentence})
            else:
                click.echo(sentence)
        if not made and not as_json:
            click.echo("Everything was there already.")
        return exit_codes.DONE

    return run_job(job)

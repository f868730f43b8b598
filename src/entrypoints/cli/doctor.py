"""`postlog doctor`: checks this installation."""

import click
import rich_click

from application.maintenance.doctor import Finding
from entrypoints.cli import exit_codes
from entrypoints.cli.options import load, settings_options
from entrypoints.cli.output import emit_json, json_option, one_line
from entrypoints.cli.running import run_job
from entrypoints.composition.cli_scopes import open_doctor
from entrypoints.settings.leaves import SettingsError
from entrypoints.settings.rendering import LOG, READ_DB, in_words, places
from entrypoints.settings.secret import mask


@rich_click.command(
    "doctor",
    epilog=exit_codes.epilog(
        "postlog doctor",
        done="no problems",
        data="it runs, but rows or the bus are behind, or posts are parked",
        job=True,
    ),
)
@settings_options
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> int:
    """Check settings, servers, schema, log and rows. Print a line for each check, with what to do about a problem."""

    async def job() -> int:
        worst = exit_codes.DONE
        async with open_doctor(loaded) as doctor:
            async for finding in doctor.examine():
                _print(finding, as_json)
                worst = max(worst, _status(finding))
        return worst

    try:
        loaded = load(ctx)
        where = in_words(places(loaded.settings, LOG, READ_DB))
        _print(Finding("settings", True, f"Settings are valid. {where}"), as_json)
        return run_job(job)
    except SettingsError as error:
        for problem in error.problems:
            _print(Finding("settings", False, f"{problem}."), as_json)
        return exit_codes.COULD_NOT_RUN


def _status(finding: Finding) -> int:
    if finding.ok:
        return exit_codes.DONE
    return exit_codes.DATA if finding.about_data else exit_codes.COULD_NOT_RUN


def _print(finding: Finding, as_json: bool) -> None:
    detail = mask(finding.detail)
    if as_json:
        emit_json({"check": finding.check, "ok": finding.ok, "detail": detail})
    else:
        click.echo(f"{'ok' if finding.ok else 'problem':<8} {finding.check}: {one_line(detail)}")

"""`postlog audit`: compares every row of the read database with the events, field by field."""

import asyncio

import click
import rich_click
from click.core import ParameterSource

from application.maintenance.audit import AuditProgress
from entrypoints.cli import exit_codes
from entrypoints.cli.options import load, setting_option, settings_options, worker_options
from entrypoints.cli.output import emit_json, json_option, one_line, print_audit
from entrypoints.cli.progress import show_progress
from entrypoints.cli.running import run_job
from entrypoints.cli.services import run_service_until_stopped
from entrypoints.composition.cli_scopes import open_audit
from entrypoints.settings.loading import LoadedSettings, require_files
from entrypoints.settings.rendering import LOG, READ_DB, places
from entrypoints.worker import ProcessRoles


@rich_click.command(
    "audit",
    epilog=exit_codes.epilog(
        "postlog audit --read-db postgres",
        done="no differences; or --continuous was stopped",
        data="rows differ (also if --repair has repaired them)",
        job=True,
    ),
)
@setting_option("--read-db", "read_db.adapter", "Database to audit")
@click.option("--sample", type=click.IntRange(min=1), help="Compare a sample of about this many posts.")
@click.option("--repair", is_flag=True, help="Rewrite the rows of differing posts from the log.")
@click.option("--continuous", is_flag=True, help="Run until stopped, at a low rate (audit.commits_per_second).")
@worker_options
@settings_options
@json_option
@click.pass_context
def command(ctx: click.Context, sample: int | None, repair: bool, continuous: bool, as_json: bool) -> int:
    """Compare the read database with the log, row by row and field by field. Print the differences. Commands may
    continue meanwhile."""
    if continuous and (sample is not None or repair or as_json):
        raise click.UsageError("--continuous logs its findings; it takes no --sample, --repair or --json.")
    if not continuous and any(ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in _LISTENING):
        raise click.UsageError("--host and --port are for --continuous, which serves its health and metrics there.")
    loaded = load(ctx, {"worker.port": "8004"})
    if continuous:
        exit_codes.end_cleanly_on_signals()
        require_files(loaded, "event_store", "read_db")
        return run_service_until_stopped(loaded, "audit", ProcessRoles(auditor=True))
    return run_job(lambda: _audit(loaded, sample, repair, as_json))


_LISTENING = ("host", "port")


async def _audit(loaded: LoadedSettings, sample: int | None, repair: bool, as_json: bool) -> int:
    async with open_audit(loaded, "audit") as tools:
        if sample is not None:
            report = await tools.audit.sample(sample)
        else:
            with show_progress("rows and commits", None) as progress:

                def show(done: AuditProgress) -> None:
                    progress.set_total(done.total)
                    progress.advance_to(done.done)

                report = await tools.audit.run(AuditProgress(report=show))
        print_audit(report, places(loaded.settings, LOG, READ_DB), as_json)
        if repair:
            for post_id in dict.fromkeys(difference.post_id for difference in report.differences):
                repaired = await tools.repair.repair(post_id)
                _print_repaired(post_id, repaired.problem, as_json)
                await asyncio.sleep(0)
    return exit_codes.DATA if report.differences else exit_codes.DONE


def _print_repaired(post_id: str, problem: str | None, as_json: bool) -> None:
    if as_json:
        emit_json({"postId": post_id, "repaired": problem is None, "problem": problem})
    else:
        click.echo(f"{post_id}  {'repaired' if problem is None else 'could not be repaired: ' + one_line(problem)}")

"""`postlog audit`: every row of the read database against the events, field by field."""

import asyncio
from collections.abc import Mapping, Sequence

import click
import rich_click

from application.maintenance.audit import AuditProgress, AuditReport
from entrypoints.cli import exit_codes
from entrypoints.cli.options import option, settings_from, settings_options, worker_options
from entrypoints.cli.output import emit_json, json_option, one_line, say_places
from entrypoints.cli.progress import show_progress
from entrypoints.cli.running import run_job, run_service_until_stopped
from entrypoints.settings.loading import LoadedSettings, require_files
from entrypoints.settings.rendering import LOG, READ_DB, places
from entrypoints.worker import ProcessRoles


@rich_click.command(
    "audit",
    epilog=exit_codes.epilog(
        "postlog audit --read-db postgres",
        done="every row is as the log says; or --continuous was stopped",
        data="rows differ (also when --repair has mended them)",
        job=True,
    ),
)
@click.option("--read-db", help="Database to audit (read_db.adapter).")
@click.option("--sample", type=click.IntRange(min=1), help="Look at about so many posts, not at all.")
@click.option("--repair", is_flag=True, help="Write the rows of those posts anew from the log.")
@click.option("--continuous", is_flag=True, help="Go on for ever, at a low rate (audit.commits_per_second).")
@worker_options
@settings_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    read_db: str | None,
    sample: int | None,
    repair: bool,
    continuous: bool,
    host: str | None,
    port: str | None,
    config_file: str | None,
    assignments: Sequence[str],
    as_json: bool,
) -> int:
    """Compare the read database with the log, row by row and field by field, also while writes go on; print what
    differs."""
    if continuous and (sample is not None or repair or as_json):
        raise click.UsageError("--continuous logs what it finds; leave --sample, --repair and --json out.")
    if not continuous and not (host is None and port is None):
        raise click.UsageError("--host and --port are for --continuous, which answers for its health there.")
    loaded = settings_from(
        ctx,
        config_file,
        assignments,
        option("read_db.adapter", read_db, "--read-db"),
        option("worker.host", host, "--host"),
        option("worker.port", port, "--port"),
        defaults={"worker.port": "8004"},
    )
    if continuous:
        require_files(loaded.settings, loaded.sources, "event_store", "read_db")
        return run_service_until_stopped(loaded, "audit", ProcessRoles(auditor=True))
    return run_job(lambda: _audit(loaded, sample, repair, as_json))


async def _audit(loaded: LoadedSettings, sample: int | None, repair: bool, as_json: bool) -> int:
    from entrypoints.composition.cli_scopes import open_audit

    async with open_audit(loaded, "audit") as tools:
        if sample is not None:
            report = await tools.audit.sample(sample)
        else:
            with show_progress("rows and commits", None) as progress:

                def note(done: AuditProgress) -> None:
                    progress.set_total(done.total)
                    progress.advance_to(done.done)

                report = await tools.audit.run(AuditProgress(note=note))
        print_report(report, places(loaded.settings, LOG, READ_DB), as_json)
        if repair:
            for post_id in dict.fromkeys(difference.post_id for difference in report.differences):
                repaired = await tools.repair.repair(post_id)
                _say_repaired(post_id, repaired.problem, as_json)
                await asyncio.sleep(0)
    return exit_codes.DATA if report.differences else exit_codes.DONE


def print_report(report: AuditReport, where: Mapping[str, str], as_json: bool) -> None:
    """What differs, a line each; then one line on the whole, and `where` it is."""
    for each in report.differences:
        if as_json:
            emit_json({"postId": each.post_id, "field": each.field, "expected": each.expected, "found": each.found})
        else:
            click.echo(one_line(f"{each.post_id}  {each.field}  expected {each.expected}, found {each.found}"))
    posts = len({each.post_id for each in report.differences})
    if as_json:
        emit_json(
            {
                "generation": report.generation,
                "position": report.position,
                "posts": report.posts,
                "postsThatDiffer": posts,
                "parked": list(report.parked),
                **where,
            }
        )
        return
    parked = f", {len(report.parked):,} parked posts left out" if report.parked else ""
    verdict = f"{posts:,} of them differ from the log" if posts else "all as the log says"
    click.echo(f"{report.posts:,} posts at position {report.position:,}{parked}: {verdict}.")
    say_places(where)


def _say_repaired(post_id: str, problem: str | None, as_json: bool) -> None:
    if as_json:
        emit_json({"postId": post_id, "repaired": problem is None, "problem": problem})
    else:
        click.echo(f"{post_id}  {'is mended' if problem is None else 'could not be mended: ' + one_line(problem)}")

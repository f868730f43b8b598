"""`postlog rebuild`: recomputes the read database from the log, in the idle slot, and swaps when it has caught up."""

import time
from collections.abc import Mapping
from contextlib import aclosing

import click
import rich_click

from application.ports.generations import UNFINISHED, Build, BuildState
from entrypoints.cli import exit_codes
from entrypoints.cli.options import load, setting_option, settings_options
from entrypoints.cli.output import emit_json, json_option, print_audit, print_places
from entrypoints.cli.progress import show_progress
from entrypoints.cli.running import lower_priority, run_job
from entrypoints.composition.cli_scopes import open_rebuild
from entrypoints.settings.loading import LoadedSettings
from entrypoints.settings.rendering import LOG, READ_DB, places


@rich_click.command(
    "rebuild",
    epilog=exit_codes.epilog(
        "postlog rebuild --into postgres",
        done="the new rows are live",
        data="done, but posts are parked, or (--dry-run) posts would differ",
        job=True,
    ),
)
@setting_option("--into", "read_db.adapter", "Database to fill, which may be another than the one that is served")
@setting_option("--batch", "rebuild.batch_events", "Approximate number of events in one transaction")
@setting_option("--workers", "rebuild.workers", "Processes that read and fold in parallel, up to 16")
@click.option("--restart", is_flag=True, help="Start from the beginning instead of resuming an interrupted rebuild.")
@click.option("--dry-run", is_flag=True, help="Build without swapping, and print which posts would differ.")
@click.option("--drop", is_flag=True, help="Only drop an unfinished build.")
@settings_options
@json_option
@click.pass_context
def command(ctx: click.Context, restart: bool, dry_run: bool, drop: bool, as_json: bool) -> int:
    """Recompute the read database from the log while it is being served. Readers see either the old rows or the new
    rows. An interrupted rebuild resumes when it is run again."""
    if drop and (restart or dry_run):
        raise click.UsageError("--drop only drops an unfinished build; it takes no --restart or --dry-run.")
    loaded = load(ctx)
    if drop:
        return run_job(lambda: _drop(loaded, as_json))
    lower_priority(loaded.settings.rebuild.niceness)
    return run_job(lambda: _rebuild(loaded, restart=restart, dry_run=dry_run, as_json=as_json))


async def _rebuild(loaded: LoadedSettings, *, restart: bool, dry_run: bool, as_json: bool) -> int:
    async with open_rebuild(loaded, "rebuild") as tools:
        started, seconds, first, build = time.monotonic(), 0.0, None, None
        with show_progress("commits", None) as progress:
            async with aclosing(tools.rebuild.run(restart=restart, swap=not dry_run)) as building:
                async for build in building:
                    first = first or build
                    progress.set_total(build.target)
                    progress.advance_to(build.position)
                    seconds = time.monotonic() - started
        assert build is not None and first is not None  # noqa: S101, PT018 (a rebuild yields its beginning at least)
        where = places(loaded.settings, LOG, READ_DB)
        _report(build, build.events - first.events, seconds, where, as_json)
        if not dry_run:
            parked = (await tools.views.stamp()).parked
            _report_parked(parked, as_json)
            return exit_codes.DATA if parked else exit_codes.DONE
        report = await tools.audit.run()
        await tools.generations.cancel(build, tools.clock.now())
        print_audit(report, where, as_json)
        return exit_codes.DATA if report.differences else exit_codes.DONE


async def _drop(loaded: LoadedSettings, as_json: bool) -> int:
    async with open_rebuild(loaded, "rebuild") as tools, tools.generations.lock():
        dropped = [build for build in await tools.generations.builds() if build.state in UNFINISHED]
        for build in dropped:
            await tools.generations.cancel(build, tools.clock.now())
    where = places(loaded.settings, LOG, READ_DB)
    for build in dropped:
        if as_json:
            emit_json({"generation": build.generation, "state": BuildState.CANCELLED.value, **where})
        else:
            click.echo(f"Dropped generation {build.generation}, which was built up to position {build.position:,}.")
    if not dropped and not as_json:
        click.echo("There is no unfinished build.")
    if not as_json:
        print_places(where)
    return exit_codes.DONE


def _report(build: Build, events: int, seconds: float, where: Mapping[str, str], as_json: bool) -> None:
    rate = events / seconds if seconds else 0.0
    if as_json:
        emit_json(
            {
                "generation": build.generation,
                "slot": build.slot,
                "state": build.state.value,
                "position": build.position,
                "events": events,
                "eventsPerSecond": round(rate),
                "seconds": round(seconds, 3),
                **where,
            }
        )
        return
    is_live = build.state is BuildState.LIVE
    click.echo(
        f"Generation {build.generation} in slot {build.slot} is {'live' if is_live else 'built'} at position "
        f"{build.position:,}: {events:,} events in {seconds:,.1f} s, {rate:,.0f} a second."
    )
    print_places(where)


def _report_parked(parked: int, as_json: bool) -> None:
    if parked and not as_json:
        click.echo(f"{parked:,} posts are parked; `postlog parked list` prints the reasons.", err=True)

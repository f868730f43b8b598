"""`postlog rebuild`: the read database anew from the log, in the idle slot, swapped when it has caught up."""

import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing

import click
import rich_click

from application.ports.generations import UNFINISHED, Build, BuildState
from entrypoints.cli import exit_codes
from entrypoints.cli.audit import print_report
from entrypoints.cli.options import option, settings_from, settings_options
from entrypoints.cli.output import emit_json, json_option, say_places
from entrypoints.cli.progress import show_progress
from entrypoints.cli.running import lower_priority, run_job
from entrypoints.settings.loading import LoadedSettings
from entrypoints.settings.rendering import LOG, READ_DB, places


@rich_click.command(
    "rebuild",
    epilog=exit_codes.epilog(
        "postlog rebuild --into postgres",
        done="the new rows are live",
        data="done, but posts are parked, or (--dry-run) posts would read differently",
        job=True,
    ),
)
@click.option("--into", help="Database to fill (read_db.adapter), beside the one that is served.")
@click.option("--batch", help="About how many events one transaction takes (rebuild.batch_events).")
@click.option("--workers", help="Processes that read and fold side by side, up to 16 (rebuild.workers).")
@click.option("--restart", is_flag=True, help="Begin afresh, instead of going on with one that was stopped.")
@click.option("--dry-run", is_flag=True, help="Build, but do not swap; print which posts would read differently.")
@click.option("--drop", is_flag=True, help="Only drop an unfinished build.")
@settings_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    into: str | None,
    batch: str | None,
    workers: str | None,
    restart: bool,
    dry_run: bool,
    drop: bool,
    config_file: str | None,
    assignments: Sequence[str],
    as_json: bool,
) -> int:
    """Compute the read database anew from the log while it is served; readers see the old rows or the new rows. One
    that was interrupted goes on when it is run again.
    """
    if drop and (restart or dry_run):
        raise click.UsageError("--drop only drops what is unfinished; leave --restart and --dry-run out.")
    loaded = settings_from(
        ctx,
        config_file,
        assignments,
        option("read_db.adapter", into, "--into"),
        option("rebuild.batch_events", batch, "--batch"),
        option("rebuild.workers", workers, "--workers"),
    )
    if drop:
        return run_job(lambda: _drop(loaded, as_json))
    lower_priority(loaded.settings.rebuild.niceness)
    return run_job(lambda: _rebuild(loaded, restart=restart, dry_run=dry_run, as_json=as_json))


async def _rebuild(loaded: LoadedSettings, *, restart: bool, dry_run: bool, as_json: bool) -> int:
    from entrypoints.composition.cli_scopes import open_rebuild

    async with open_rebuild(loaded, "rebuild") as tools:
        started, first, build = time.monotonic(), None, None
        with show_progress("commits", None) as progress:
            async with aclosing(tools.rebuild.run(restart=restart, swap=not dry_run)) as building:
                async for build in building:
                    first = first or build
                    progress.set_total(build.target)
                    progress.advance_to(build.position)
        assert build is not None and first is not None  # noqa: S101, PT018 (a rebuild yields its beginning at least)
        where = places(loaded.settings, LOG, READ_DB)
        _report(build, build.events - first.events, time.monotonic() - started, where, as_json)
        if not dry_run:
            still = [retried for retried in await tools.parked.retry_all() if retried.still is not None]
            _say_parked(len(still), as_json)
            return exit_codes.DATA if still else exit_codes.DONE
        report = await tools.audit.run()
        await tools.generations.cancel(build, tools.clock.now())
        print_report(report, where, as_json)
        return exit_codes.DATA if report.differences else exit_codes.DONE


async def _drop(loaded: LoadedSettings, as_json: bool) -> int:
    from entrypoints.composition.cli_scopes import open_rebuild

    async with open_rebuild(loaded, "rebuild") as tools, tools.generations.lock():
        dropped = [build for build in await tools.generations.builds() if build.state in UNFINISHED]
        for build in dropped:
            await tools.generations.cancel(build, tools.clock.now())
    where = places(loaded.settings, LOG, READ_DB)
    for build in dropped:
        if as_json:
            emit_json({"generation": build.generation, "state": BuildState.CANCELLED.value, **where})
        else:
            click.echo(f"Dropped generation {build.generation}, which stood at position {build.position:,}.")
    if not dropped and not as_json:
        click.echo("There is no unfinished build.")
    if not as_json:
        say_places(where)
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
        f"Generation {build.generation} in slot {build.slot} {'is live' if is_live else 'is built'}, "
        f"at position {build.position:,}: {events:,} events in {seconds:,.1f} s, {rate:,.0f} a second."
    )
    say_places(where)


def _say_parked(parked: int, as_json: bool) -> None:
    if parked and not as_json:
        click.echo(f"{parked:,} posts are parked; `postlog parked list` says why.", err=True)

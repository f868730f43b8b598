"""`postlog events check`: can this version read the whole log?"""

import os
from collections.abc import Mapping, Sequence

import click
import rich_click

from application.maintenance.events_check import Tally, Unreadable
from entrypoints.cli import exit_codes
from entrypoints.cli.output import emit_json, json_option, one_line, say_places
from entrypoints.cli.progress import show_progress
from entrypoints.cli.running import run_job
from entrypoints.cli.settings_options import settings_from, settings_options
from entrypoints.settings.places import LOG
from entrypoints.settings.places import places as log_place

_MOST_PROCESSES = 64


@rich_click.command(
    "check",
    epilog=exit_codes.epilog(
        "postlog events check",
        done="every event can be read",
        data="done, but some can't be read, or are missing",
        job=True,
    ),
)
@click.option("--places", type=click.IntRange(min=0), default=20, show_default=True, help="Failures to show at most.")
@click.option(
    "--processes",
    type=click.IntRange(1, _MOST_PROCESSES),
    help="Processes that read side by side; as many as processors when not given.",
)
@settings_options
@json_option
@click.pass_context
def check(
    ctx: click.Context,
    places: int,
    processes: int | None,
    config_file: str | None,
    assignments: Sequence[str],
    as_json: bool,
) -> int:
    """Read every event of the log with this version, and change nothing: to be tried before a deployment."""
    from entrypoints.composition.events_check import with_events_check

    loaded = settings_from(ctx, config_file, assignments)

    async def job() -> int:
        wanted = processes or min(os.cpu_count() or 1, _MOST_PROCESSES)
        async with with_events_check(loaded, wanted, places) as (events_check, commits):
            with show_progress("commits", commits) as progress:
                tally = await events_check.run(progress.advance_to)
        (_report_json if as_json else _report)(tally, log_place(loaded.settings, LOG))
        return exit_codes.DATA if tally.unreadable or tally.damaged else exit_codes.DONE

    return run_job(job)


def _report(tally: Tally, where: Mapping[str, str]) -> None:
    if tally.events:
        width = max(len(name) for name, _ in tally.events)
        click.echo(f"{'event':<{width}}  version  {'events':>13}  {'unreadable':>10}")
    for name, version in sorted(tally.events):
        events, unreadable = tally.events[name, version], tally.unreadable[name, version]
        click.echo(f"{one_line(name):<{width}}  {version:>7}  {events:>13,}  {unreadable:>10,}")
    failed = tally.unreadable.total()
    which = f"{failed:,} commit{'' if failed == 1 else 's'}"
    result = f"{which} can't be read by this version" if failed else "this version can read all of them"
    click.echo(f"{tally.events.total():,} events in {tally.commits:,} commits: {result}.")
    for place in tally.places:
        click.echo(f"position {place.position:,}: {one_line(place.reason)}")
    if failed > len(tally.places):
        click.echo(f"… and {failed - len(tally.places):,} more; --places shows more of them.")
    if tally.damaged:
        click.echo(f"{tally.damaged:,} commit{'' if tally.damaged == 1 else 's'} do not follow those before them:")
    for damage in tally.damages:
        click.echo(f"position {damage.position:,}: {one_line(damage.reason)}")
    say_places(where)


def _report_json(tally: Tally, where: Mapping[str, str]) -> None:
    for name, version in sorted(tally.events):
        counts = {"events": tally.events[name, version], "unreadable": tally.unreadable[name, version]}
        emit_json({"type": name, "schemaVersion": version, **counts})
    for place in tally.places:
        emit_json(_place(place))
    for damage in tally.damages:
        emit_json({"position": damage.position, "postId": damage.post_id, "damaged": damage.reason})
    emit_json(
        {
            "commits": tally.commits,
            "events": tally.events.total(),
            "unreadable": tally.unreadable.total(),
            "damaged": tally.damaged,
            **where,
        }
    )


def _place(place: Unreadable) -> dict[str, object]:
    return {
        "position": place.position,
        "postId": place.post_id,
        "version": place.version,
        "type": place.type,
        "schemaVersion": place.schema_version,
        "reason": place.reason,
    }

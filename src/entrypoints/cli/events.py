"""`postlog events`: the history of a post as the log has it, and the log as a whole."""

from collections.abc import Sequence

import click
import rich_click

from application.query_side.queries import ListEvents, PastEvent
from domain.ids import PostId
from entrypoints.cli import exit_codes
from entrypoints.cli.events_check import check
from entrypoints.cli.events_cut import cut
from entrypoints.cli.output import as_json_text, emit_json, json_option, one_line
from entrypoints.cli.post_id import PostIdParameter
from entrypoints.cli.running import run_job
from entrypoints.cli.settings_options import settings_from, settings_options

_PAGE = 500


@rich_click.group("events", epilog=exit_codes.epilog("postlog events show 0198c0de-0000-7000-8000-000000000001"))
def command() -> None:
    """Look at events in the log."""


command.add_command(check)
command.add_command(cut)


@command.command(
    "show",
    epilog=exit_codes.epilog("postlog events show 0198c0de-0000-7000-8000-000000000001 --after 10", job=True),
)
@click.argument("post_id", type=PostIdParameter())
@click.option("--after", type=click.IntRange(min=0), default=0, metavar="VERSION", help="Only later versions.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many events.")
@settings_options
@json_option
@click.pass_context
def show(
    ctx: click.Context,
    post_id: PostId,
    after: int,
    limit: int | None,
    config_file: str | None,
    assignments: Sequence[str],
    as_json: bool,
) -> int:
    """Print the events of a post, oldest first; a removed post's too."""
    from entrypoints.composition.jobs import with_history

    loaded = settings_from(ctx, config_file, assignments)

    async def job() -> int:
        async with with_history(loaded, "events show") as queries:
            start, left = after, limit
            while True:
                page = await queries.ask(ListEvents(post_id=post_id, after=start, limit=min(_PAGE, left or _PAGE)))
                for event in page.events[:left]:
                    _print(event, as_json)
                left = None if left is None else left - len(page.events)
                if page.next_after is None or (left is not None and left <= 0):
                    return exit_codes.DONE
                start = page.next_after

    return run_job(job)


def _print(event: PastEvent, as_json: bool) -> None:
    recorded_at = event.recorded_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if as_json:
        emit_json(
            {
                "type": event.type,
                "schemaVersion": event.schema_version,
                "storedType": event.stored_type,
                "storedSchemaVersion": event.stored_schema_version,
                "version": event.version,
                "position": event.position,
                "recordedAt": recorded_at,
                "actor": event.actor,
                "correlationId": event.correlation_id,
                "data": dict(event.data),
            }
        )
        return
    head = f"{event.version:>6}  {recorded_at}  {event.type:<15} at {event.position}"
    actor = f"  by {one_line(event.actor)}" if event.actor else ""
    click.echo(f"{head}{actor}  {one_line(as_json_text(event.data))}")

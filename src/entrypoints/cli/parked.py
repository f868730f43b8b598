"""`postlog parked`: the posts that wait because one of their events could not be projected."""

from collections.abc import Mapping

import click
import rich_click

from application.ports.read_db import ParkedStream
from domain.ids import PostId
from entrypoints.cli import exit_codes
from entrypoints.cli.options import PostIdParameter, load, settings_options
from entrypoints.cli.output import emit_json, instant, json_option, one_line, print_places
from entrypoints.cli.running import run_job
from entrypoints.composition.cli_scopes import open_parked_retry, open_parked_streams
from entrypoints.settings.rendering import LOG, READ_DB, places

_PAGE = 500
_SOME_PARKED = "done, but posts are parked"


@rich_click.group("parked", epilog=exit_codes.epilog("postlog parked list", data=_SOME_PARKED, job=True))
def command() -> None:
    """Show or retry posts with an event that could not be projected."""


@command.command(
    "list", epilog=exit_codes.epilog("postlog parked list", done="no post is parked", data=_SOME_PARKED, job=True)
)
@settings_options
@json_option
@click.pass_context
def list_all(ctx: click.Context, as_json: bool) -> int:
    """Print every parked post of the live rows, with the reason."""
    loaded = load(ctx)
    where = places(loaded.settings, READ_DB)

    async def job() -> int:
        status = exit_codes.DONE
        after: PostId | None = None
        async with open_parked_streams(loaded, "parked list") as parked_streams:
            while page := await parked_streams.parked(_PAGE, after):
                for parked in page:
                    _print_parked(parked, where, as_json)
                after, status = page[-1].post_id, exit_codes.DATA
        if status == exit_codes.DONE and not as_json:
            click.echo("No post is parked.")
        if not as_json:
            print_places(where)
        return status

    return run_job(job)


@command.command(
    "show",
    epilog=exit_codes.epilog(
        "postlog parked show 0198c0de-0000-7000-8000-000000000001",
        done="it is not parked",
        data="it is parked",
        job=True,
    ),
)
@click.argument("post_id", type=PostIdParameter())
@settings_options
@json_option
@click.pass_context
def show(ctx: click.Context, post_id: PostId, as_json: bool) -> int:
    """Print why a post is parked, and since when."""
    loaded = load(ctx)
    where = places(loaded.settings, READ_DB)

    async def job() -> int:
        async with open_parked_streams(loaded, "parked show") as parked_streams:
            parked = await parked_streams.parked_stream(post_id)
        if parked is not None:
            _print_parked(parked, where, as_json)
        else:
            _print_not_parked(post_id, where, as_json)
        if not as_json:
            print_places(where)
        return exit_codes.DONE if parked is None else exit_codes.DATA

    return run_job(job)


@command.command(
    "retry",
    epilog=exit_codes.epilog(
        "postlog parked retry", done="no post is parked any more", data="done, but posts are still parked", job=True
    ),
)
@click.argument("post_id", type=PostIdParameter(), required=False)
@settings_options
@json_option
@click.pass_context
def retry(ctx: click.Context, post_id: PostId | None, as_json: bool) -> int:
    """Try to project parked posts again: all of them, or one."""
    loaded = load(ctx)
    where = places(loaded.settings, LOG, READ_DB)

    async def job() -> int:
        async with open_parked_retry(loaded, "parked retry") as parked:
            results = await parked.retry_all() if post_id is None else [await parked.retry(post_id)]
        for result in results:
            if result.still is None:
                _print_not_parked(result.post_id, where, as_json)
            else:
                _print_parked(result.still, where, as_json)
        if not results and not as_json:
            click.echo("No post is parked.")
        if not as_json:
            print_places(where)
        return exit_codes.DATA if any(result.still for result in results) else exit_codes.DONE

    return run_job(job)


def _print_parked(parked: ParkedStream, where: Mapping[str, str], as_json: bool) -> None:
    parked_at = instant(parked.parked_at)
    if as_json:
        emit_json(
            {
                "postId": parked.post_id,
                "parked": True,
                "version": parked.version,
                "position": parked.position,
                "code": parked.code,
                "reason": parked.reason,
                "parkedAt": parked_at,
                **where,
            }
        )
        return
    since = f"since {parked_at}, from version {parked.version} at position {parked.position}"
    click.echo(one_line(f"{parked.post_id}  {since}  {parked.code}: {parked.reason}"))


def _print_not_parked(post_id: PostId, where: Mapping[str, str], as_json: bool) -> None:
    if as_json:
        emit_json({"postId": post_id, "parked": False, **where})
    else:
        click.echo(f"{post_id}  is not parked.")

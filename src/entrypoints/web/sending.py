"""A form's command on its way to the dispatcher, and back to a page that shows what it did."""

from typing import Any

from application.errors import IdempotencyKeyReused
from application.mediator import CommandContext, CommandDispatcher, CommandResult, IdempotencyKey
from application.query_side.queries import ListEvents
from domain.commands import PostCommand
from domain.errors import BlankText
from entrypoints.serving.answers import Answer, Headers
from entrypoints.serving.errors import RouteNotFound
from entrypoints.serving.request_digest import request_digest
from entrypoints.web.forms import Form
from entrypoints.web.visit import IN_EFFECT, Visit, see_other


def writer_of(visit: Visit, form: Form) -> str:
    """The name that the form gives, else the chosen one. Raises `BlankText`."""
    name = form.name("name") or visit.name
    if not name:
        raise BlankText("Say who you are: choose a name first.", path="name")
    return name


async def send(
    visit: Visit, command: PostCommand, form: Form, content: Any, *, expected_version: int | None = None
) -> CommandResult:
    """`content` is what the form says: with the same key, the same content has one effect. Raises what the command's
    handler raises."""
    key = IdempotencyKey(f"page:{form.key()}", request_digest("POST", visit.path, content))
    context = CommandContext(
        correlation_id=visit.exchange.correlation_id, idempotency_key=key, expected_version=expected_version
    )
    try:
        return await commands_of(visit).dispatch(command, context)
    except IdempotencyKeyReused as error:
        raise IdempotencyKeyReused(
            "This form was sent before, with another content. Load the page again, and send it from there."
        ) from error


def commands_of(visit: Visit) -> CommandDispatcher:
    """Raises `RouteNotFound` where this process serves queries alone."""
    if visit.services.commands is None:
        raise RouteNotFound("This process serves reading only; write through the one that takes commands.")
    return visit.services.commands


async def what_it_did(visit: Visit, result: CommandResult) -> str:
    """The query of the page to go to: the position to wait for, and whether anything was appended. The commit at the
    end of the stream is this request's own, unless the command was in effect already."""
    page = await visit.services.queries.ask(ListEvents(post_id=result.post_id, limit=1, after=result.version - 1))
    own = any(event.correlation_id == visit.exchange.correlation_id for event in page.events)
    return f"position={result.position}" if own else f"position={result.position}&did={IN_EFFECT}"


async def to_the_post(visit: Visit, result: CommandResult, headers: Headers | None = None) -> Answer:
    return see_other(f"/posts/{result.post_id}?{await what_it_did(visit, result)}", headers)

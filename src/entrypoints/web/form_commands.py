"""Commands that are sent by forms: dispatched with the form's idempotency key, and answered with a redirect to a page
that shows their effect.

An edit is based on the version that its author saw. If the post has a newer version, the log shows whether the same
text was changed since. If not (somebody liked the post), the edit applies to the newer version; otherwise both texts
are shown, and the author decides.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from application.errors import IdempotencyKeyReused, VersionMismatch
from application.mediator import CommandContext, CommandDispatcher, CommandResult, IdempotencyKey
from application.query_side.history import ListEvents, PastEvent
from domain.commands import EditComment, EditMessage, PostCommand
from domain.errors import BlankText
from entrypoints.serving.errors import RouteNotFound
from entrypoints.serving.request_context import request_digest
from entrypoints.serving.responses import Headers, RawResponse
from entrypoints.web.forms import Form
from entrypoints.web.page_request import IN_EFFECT, PageRequest, see_other
from entrypoints.web.text_diff import pieces

_ATTEMPTS = 5
_EVENTS = 500


def author_of(request: PageRequest, form: Form) -> str:
    """The name in the form, else the chosen one. Raises `BlankText`."""
    name = form.name("name") or request.username
    if not name:
        raise BlankText("Choose a name first.", path="name")
    return name


def commands_of(request: PageRequest) -> CommandDispatcher:
    """Raises `RouteNotFound` in a process that serves queries only."""
    if request.services.commands is None:
        raise RouteNotFound("This process is read-only; write through a process that takes commands.")
    return request.services.commands


async def send(
    request: PageRequest, command: PostCommand, form: Form, content: Any, *, expected_version: int | None = None
) -> CommandResult:
    """As the request's caller. `content` is what the form says: with the same key, the same content has one effect.
    Raises the errors of the command's handler."""
    key = IdempotencyKey(f"page:{form.key()}", request_digest("POST", request.path, content))
    context = CommandContext(
        correlation_id=request.context.correlation_id, idempotency_key=key, expected_version=expected_version
    )
    try:
        return await commands_of(request).dispatch(replace(command, caller=request.context.caller), context)
    except IdempotencyKeyReused as error:
        raise IdempotencyKeyReused(
            "This form was sent before with different content. Reload the page and send it from there."
        ) from error


async def redirect_to_post(request: PageRequest, result: CommandResult, headers: Headers | None = None) -> RawResponse:
    """The address has the position to wait for, and whether anything was written. The commit at the end of the stream
    belongs to this request, unless the command was in effect already."""
    page = await request.services.queries.ask(ListEvents(post_id=result.post_id, limit=1, after=result.version - 1))
    own = any(event.correlation_id == request.context.correlation_id for event in page.events)
    query = f"position={result.position}" if own else f"position={result.position}&did={IN_EFFECT}"
    return see_other(f"/posts/{result.post_id}?{query}", headers)


@dataclass(frozen=True, slots=True)
class Edit:
    """`field` names the text in the events that change it; `comment_id` is None for the message of the post."""

    command: EditMessage | EditComment
    content: Any
    field: Literal["message", "comment"]
    comment_id: str | None = None

    def is_changed_by(self, event: PastEvent) -> bool:
        if self.comment_id is None:
            return event.type == "MessageUpdated"
        return event.type == "CommentUpdated" and event.data.get("commentId") == self.comment_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """`theirs` is the text as `actor` left it. `version` is the post's version that the conflict page shows."""

    post_id: str
    theirs: str
    actor: str | None
    at: datetime
    changed_in: int
    version: int


async def submit_edit(request: PageRequest, form: Form, edit: Edit) -> RawResponse:
    """Redirects to the post, or shows both texts when they are in conflict."""
    result = await _send_edit(request, form, edit)
    if isinstance(result, CommandResult):
        return await redirect_to_post(request, result)
    mine = form.text("text")
    difference = pieces(result.theirs, mine)
    return await request.page("conflict.html", status=409, conflict=result, mine=mine, difference=difference)


async def _send_edit(request: PageRequest, form: Form, edit: Edit) -> CommandResult | Conflict:
    """The form's `version` is the one that its author saw; without one there can be no conflict."""
    seen = form.number("version")
    for _ in range(_ATTEMPTS):
        try:
            return await send(request, edit.command, form, edit.content, expected_version=seen)
        except VersionMismatch as mismatch:
            if seen is None or seen > mismatch.current_version:
                raise
            change, version = await _changed_since(request, edit, seen)
            if change is not None:
                return _conflict(edit, change, version)
            seen = version
    return await send(request, edit.command, form, edit.content, expected_version=seen)


async def _changed_since(request: PageRequest, edit: Edit, after: int) -> tuple[PastEvent | None, int]:
    """The newest change of the text, and the version up to which the events were read."""
    change, end = None, after
    more: int | None = after
    while more is not None:
        page = await request.services.queries.ask(ListEvents(post_id=edit.command.post_id, limit=_EVENTS, after=more))
        change = next((event for event in reversed(page.events) if edit.is_changed_by(event)), change)
        end = page.events[-1].version if page.events else end
        more = page.next_after
    return change, end


def _conflict(edit: Edit, change: PastEvent, version: int) -> Conflict:
    return Conflict(
        post_id=edit.command.post_id,
        theirs=str(change.data[edit.field]),
        actor=change.actor,
        at=change.recorded_at,
        changed_in=change.version,
        version=version,
    )

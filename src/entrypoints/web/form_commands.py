"""A form's command on its way to the dispatcher, and back to a page that shows what it did.

An edit rests on the version that its writer saw. When the post has moved on, the log tells whether the very text was
changed meanwhile. If it was not (somebody liked the post), the edit goes on upon what there is now; if it was, both
versions are shown, and the writer decides.
"""

from dataclasses import dataclass
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


def writer_of(visit: PageRequest, form: Form) -> str:
    """The name that the form gives, else the chosen one. Raises `BlankText`."""
    name = form.name("name") or visit.name
    if not name:
        raise BlankText("Say who you are: choose a name first.", path="name")
    return name


async def send(
    visit: PageRequest, command: PostCommand, form: Form, content: Any, *, expected_version: int | None = None
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


def commands_of(visit: PageRequest) -> CommandDispatcher:
    """Raises `RouteNotFound` where this process serves queries alone."""
    if visit.services.commands is None:
        raise RouteNotFound("This process serves reading only; write through the one that takes commands.")
    return visit.services.commands


async def what_it_did(visit: PageRequest, result: CommandResult) -> str:
    """The query of the page to go to: the position to wait for, and whether anything was appended. The commit at the
    end of the stream is this request's own, unless the command was in effect already."""
    page = await visit.services.queries.ask(ListEvents(post_id=result.post_id, limit=1, after=result.version - 1))
    own = any(event.correlation_id == visit.exchange.correlation_id for event in page.events)
    return f"position={result.position}" if own else f"position={result.position}&did={IN_EFFECT}"


async def to_the_post(visit: PageRequest, result: CommandResult, headers: Headers | None = None) -> RawResponse:
    return see_other(f"/posts/{result.post_id}?{await what_it_did(visit, result)}", headers)


_ATTEMPTS = 5
_EVENTS = 500


@dataclass(frozen=True, slots=True)
class Edit:
    """`content` is what the form says. `field` names the text in the events that change it; `comment_id` is that of a
    comment."""

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
    """`theirs` is the text as `actor` left it. `version` is the post's version up to which the writer has now seen
    everything."""

    post_id: str
    theirs: str
    actor: str | None
    at: datetime
    changed_in: int
    version: int

    async def page(self, visit: PageRequest, mine: str) -> RawResponse:
        return await visit.page(
            "conflict.html", status=409, conflict=self, mine=mine, difference=pieces(self.theirs, mine)
        )


async def send_edit(visit: PageRequest, form: Form, edit: Edit) -> CommandResult | Conflict:
    """The form's `version` is the one that its writer saw; without one nothing can be in conflict. Raises what the
    command's handler raises."""
    seen = form.number("version")
    for _ in range(_ATTEMPTS):
        try:
            return await send(visit, edit.command, form, edit.content, expected_version=seen)
        except VersionMismatch as mismatch:
            if seen is None or seen > mismatch.current_version:
                raise
            since = await _read_on(visit, edit, seen)
            if since.change is not None:
                return _conflict(edit, since.change, since.version)
            seen = since.version
    return await send(visit, edit.command, form, edit.content, expected_version=seen)


@dataclass(frozen=True, slots=True)
class _Since:
    """The newest change of the text, and the version up to which events were read."""

    change: PastEvent | None
    version: int


async def _read_on(visit: PageRequest, edit: Edit, after: int) -> _Since:
    change, end = None, after
    more: int | None = after
    while more is not None:
        page = await visit.services.queries.ask(ListEvents(post_id=edit.command.post_id, limit=_EVENTS, after=more))
        change = next((event for event in reversed(page.events) if edit.is_changed_by(event)), change)
        end = page.events[-1].version if page.events else end
        more = page.next_after
    return _Since(change, end)


def _conflict(edit: Edit, change: PastEvent, version: int) -> Conflict:
    return Conflict(
        post_id=edit.command.post_id,
        theirs=str(change.data[edit.field]),
        actor=change.actor,
        at=change.recorded_at,
        changed_in=change.version,
        version=version,
    )

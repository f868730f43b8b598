"""An edit rests on the version that its writer saw. When the post has moved on, the log tells whether the very text was
changed meanwhile. If it was not (somebody liked the post), the edit goes on upon what there is now; if it was, both
versions are shown, and the writer decides.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from application.errors import VersionMismatch
from application.mediator import CommandResult
from application.query_side.queries import ListEvents, PastEvent
from domain.commands import EditComment, EditMessage
from entrypoints.serving.answers import Answer
from entrypoints.web.differences import pieces
from entrypoints.web.forms import Form
from entrypoints.web.sending import send
from entrypoints.web.visit import Visit

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

    async def page(self, visit: Visit, mine: str) -> Answer:
        return await visit.page(
            "conflict.html", status=409, conflict=self, mine=mine, difference=pieces(self.theirs, mine)
        )


async def send_edit(visit: Visit, form: Form, edit: Edit) -> CommandResult | Conflict:
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


async def _read_on(visit: Visit, edit: Edit, after: int) -> _Since:
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

"""One post as another system has it: is its history whole, and does it make sense here?"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from application.envelopes import Commit, StoredEvent
from application.errors import EventNotApplicable
from application.ports.event_codec import EventCodec
from application.ports.history_source import DotnetEvent
from application.projections.whole_post import WholePost
from domain.errors import EventNotReadable
from domain.ids import PostId

_MOST_SHOWN = 100
"""So many documents of a post are shown at most whose version can't be read."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A post that is not imported, or not further. `reason` is a clause; `events` show it."""

    post_id: PostId
    reason: str
    events: Sequence[DotnetEvent]


@dataclass(frozen=True, slots=True)
class Healed:
    """Of several events with one version the oldest was taken, and these were not."""

    post_id: PostId
    taken: DotnetEvent
    dropped: Sequence[DotnetEvent]


@dataclass(slots=True)
class ForeignPost:
    """Fed with the events of one post, by version and time. `take_first`: of several events with one version, the
    oldest is taken; otherwise the post is left out."""

    post_id: PostId
    codec: EventCodec
    take_first: bool
    left_out: LeftOut | None = None
    healed: list[Healed] = field(default_factory=list)
    _same_version: list[DotnetEvent] = field(default_factory=list)
    _version: int = 0
    _folded: WholePost | None = None

    def feed(self, event: DotnetEvent) -> None:
        if self.left_out is not None:
            return
        if self._same_version and self._same_version[0].version != event.version:
            self.settle()
        if event.version or len(self._same_version) < _MOST_SHOWN:
            self._same_version.append(event)

    def settle(self) -> None:
        """What was fed is complete up to its last version."""
        same, self._same_version = self._same_version, []
        if not same or self.left_out is not None:
            return
        first, *others = same
        reason = self._obstacle(same)
        if reason is not None:
            self.left_out = LeftOut(self.post_id, reason, same)
            return
        self._version = first.version
        if others:
            self.healed.append(Healed(self.post_id, first, others))

    def _obstacle(self, same: Sequence[DotnetEvent]) -> str | None:
        """What can't be read may be the removal of the post, so nothing of the post is imported without it."""
        event = same[0]
        if not event.version:
            return f"document {event.document_id} of it can't be read: {event.problem}"
        if len(same) > 1 and not self.take_first:
            return f"{len(same)} events have the version {event.version}"
        if event.version != self._version + 1:
            return f"the event with version {self._version + 1} is missing"
        for each in same:
            if each.event is None:
                return f"the event with version {event.version} can't be read: {each.problem}"
        if event.event is None or event.recorded_at is None:
            return f"the event with version {event.version} has no time"
        try:
            self._apply(event, event.event, event.recorded_at)
        except (EventNotReadable, EventNotApplicable) as error:
            return f"the event with version {event.version} makes no sense: {error.message}"
        return None

    def _apply(self, event: DotnetEvent, stored: StoredEvent, recorded_at: datetime) -> None:
        commit = Commit(
            position=0,
            stream_id=self.post_id,
            version=event.version,
            commit_id="",
            recorded_at=recorded_at,
            metadata={},
            events=(stored,),
        )
        if self._folded is None:
            self._folded = WholePost(self.post_id)
        self._folded.apply(self.codec.decode(commit), event.version)

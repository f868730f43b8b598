"""Append events of another system as they are, each as one commit whose id is derived from post and version. What the
log holds already is compared, and never replaced.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID, uuid5

from application.command_side.foreign_posts import LeftOut
from application.envelopes import Commit, ProposedCommit
from application.errors import StoreUnavailable
from application.ports.event_store import Appended, AppendOutcome, EventStore, NotTried, Unsettled
from application.ports.history_source import DotnetEvent
from application.ports.system import Clock
from domain.ids import PostId

_IMPORTED_HISTORY = UUID("3d8b3c1e-3f57-5f0e-9d3a-0c9a3f2b7e61")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


@dataclass(slots=True)
class ImportedPage:
    """`new` events were appended, `present` ones stood in the log before; `position` is the highest of them."""

    new: int = 0
    present: int = 0
    position: int = 0
    left_out: list[LeftOut] = field(default_factory=list)


class _Pending(NamedTuple):
    event: DotnetEvent
    commit: ProposedCommit


class HistoryAppender:
    """While the log is away it is asked again for `patience` seconds."""

    def __init__(self, store: EventStore, clock: Clock, patience: float) -> None:
        self._store = store
        self._clock = clock
        self._patience = patience

    async def append(self, events: Sequence[DotnetEvent]) -> ImportedPage:
        """Those of one post by version. A post of which the log has another history is left out from there on. Raises
        `StoreUnavailable`."""
        page = ImportedPage()
        pending = [_Pending(event, _commit(event)) for event in events]
        pause, give_up = _FIRST_PAUSE, self._clock.monotonic() + self._patience
        while pending:
            outcomes = await self._store.append([each.commit for each in pending])
            left = await self._sort_out(pending, outcomes, page)
            if len(left) < len(pending):
                pause, give_up = _FIRST_PAUSE, self._clock.monotonic() + self._patience
            elif self._clock.monotonic() + pause > give_up:
                raise StoreUnavailable(f"{_reason(outcomes)} What was imported stays; run the same import again.")
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            pending = left
        return page

    async def _sort_out(
        self, pending: Sequence[_Pending], outcomes: Sequence[AppendOutcome], page: ImportedPage
    ) -> list[_Pending]:
        """Those that must be tried again, in their order."""
        again: set[tuple[PostId, int]] = set()
        stuck: dict[PostId, list[tuple[_Pending, AppendOutcome]]] = {}
        for each, outcome in zip(pending, outcomes, strict=True):
            if isinstance(outcome, Appended):
                page.new += 1
                page.position = max(page.position, outcome.position)
            elif isinstance(outcome, Unsettled):
                again.add((each.event.post_id, each.event.version))
            else:
                stuck.setdefault(each.event.post_id, []).append((each, outcome))
        for post_id, refused in stuck.items():
            again |= {(post_id, version) for version in await self._compare(post_id, refused, page)}
        return [each for each in pending if (each.event.post_id, each.event.version) in again]

    async def _compare(
        self, post_id: PostId, refused: Sequence[tuple[_Pending, AppendOutcome]], page: ImportedPage
    ) -> list[int]:
        """Look at what the log has in their place: the versions that it lacks, and that must be tried again."""
        first, outcome = refused[0]
        stored = await self._store.read_stream(post_id, first.event.version - 1, len(refused))
        for index, (each, _) in enumerate(refused):
            if index == len(stored) and (index or isinstance(outcome, NotTried)):
                return [later.event.version for later, _ in refused[index:]]
            if index == len(stored) or not _is_same(stored[index], each.commit):
                page.left_out.append(LeftOut(post_id, _conflict(each.event.version), [each.event]))
                return []
            page.present += 1
            page.position = max(page.position, stored[index].position)
        return []


def _commit(event: DotnetEvent) -> ProposedCommit:
    if event.event is None or event.recorded_at is None:
        raise ValueError(f"Event {event.version} of post {event.post_id} can't be read; its post must be left out.")
    actor = event.event.data.get("author") or event.event.data.get("username")
    return ProposedCommit(
        stream_id=event.post_id,
        version=event.version,
        commit_id=str(uuid5(_IMPORTED_HISTORY, f"{event.post_id}:{event.version}")),
        recorded_at=event.recorded_at,
        metadata={"actor": actor} if actor else {},
        events=(event.event,),
    )


def _is_same(stored: Commit, commit: ProposedCommit) -> bool:
    return (
        stored.commit_id == commit.commit_id
        and stored.version == commit.version
        and stored.recorded_at == commit.recorded_at
        and stored.events == commit.events
    )


def _conflict(version: int) -> str:
    return (
        f"the log has another history from version {version} on: the post was changed in Postlog, or something else "
        "was imported"
    )


def _reason(outcomes: Sequence[AppendOutcome]) -> str:
    reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, Unsettled)]
    return reasons[0] if reasons else "The event store kept refusing what it does not hold."

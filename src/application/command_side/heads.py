"""Where a stream stands: its state, version and last position; read from the log, and kept in a bounded cache.

The cache is droppable and never believed over the log: only an append may rest on it, because the log's keys check it.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from application.command_side.snapshotting import Snapshotting
from application.log_order import require_next
from application.ports.event_codec import EventCodec
from application.ports.event_store import EventStore
from domain.ids import PostId
from domain.post import INITIAL, LivePost, PostState, evolve

_COMMITS_A_READ = 100


@dataclass(frozen=True, slots=True)
class Head:
    """The state after the stream's event `version`, whose commit stands at `position` (0, 0 before the first)."""

    state: PostState
    version: int
    position: int

    @property
    def weight(self) -> int:
        """How many names and comments it keeps in memory."""
        return 1 + (len(self.state.likers) + len(self.state.comments) if isinstance(self.state, LivePost) else 0)


NOTHING = Head(INITIAL, 0, 0)


class HeadCache:
    """The most recently used heads, bounded by their weights together, so that popular posts can't fill the memory."""

    def __init__(self, max_weight: int) -> None:
        self._max_weight = max_weight
        self._heads: OrderedDict[PostId, Head] = OrderedDict()
        self._weight = 0

    def get(self, post_id: PostId) -> Head | None:
        head = self._heads.get(post_id)
        if head is not None:
            self._heads.move_to_end(post_id)
        return head

    def put(self, post_id: PostId, head: Head) -> None:
        self.drop(post_id)
        self._heads[post_id] = head
        self._weight += head.weight
        while self._weight > self._max_weight and len(self._heads) > 1:
            _, oldest = self._heads.popitem(last=False)
            self._weight -= oldest.weight

    def drop(self, post_id: PostId) -> None:
        head = self._heads.pop(post_id, None)
        if head is not None:
            self._weight -= head.weight


class HeadReader:
    """Reads heads from the log, beginning at a stored snapshot where there is a usable one."""

    def __init__(self, store: EventStore, codec: EventCodec, snapshotting: Snapshotting) -> None:
        self._store = store
        self._codec = codec
        self._snapshotting = snapshotting

    async def read(self, post_id: PostId) -> Head:
        """The head as the log has it now. Raises `StoreUnavailable`, `EventNotReadable`, `StreamDamaged`."""
        start = await self._snapshotting.load(post_id)
        head = Head(start.state, start.version, start.position) if start else NOTHING
        while commits := await self._store.read_stream(post_id, head.version, _COMMITS_A_READ):
            for commit in commits:
                require_next(commit, head.version)
                state = head.state
                for versioned in self._codec.decode(commit):
                    state = evolve(state, versioned.event)
                head = Head(state, commit.last_version, commit.position)
            await asyncio.sleep(0)
        return head

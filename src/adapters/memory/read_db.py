"""A read database in this process's memory: gone when the process ends. For tests, and for trying Postlog out."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from application.ports.generations import Build, BuildState
from application.ports.read_db import Checkpoint, CheckpointMoved, LiveGeneration, ParkedStream, Slot
from application.rows import CommentRow, PostRow, PostStatus
from domain.ids import CommentId, PostId


@dataclass(slots=True)
class SlotRows:
    posts: dict[PostId, PostRow] = field(default_factory=dict)
    comments: defaultdict[PostId, dict[CommentId, CommentRow]] = field(default_factory=lambda: defaultdict(dict))

    def live_post(self, post_id: PostId) -> PostRow | None:
        post = self.posts.get(post_id)
        return post if post is not None and post.status is PostStatus.LIVE else None


_BEGINNING = datetime.fromtimestamp(0, UTC)
_FIRST_BUILD = Build(
    generation=1,
    slot="a",
    state=BuildState.LIVE,
    log_id=None,
    position=0,
    commit_id="",
    target=0,
    events=0,
    started_at=_BEGINNING,
    updated_at=_BEGINNING,
)


class MemoryReadDb:
    """What the adapters of this folder share. Belongs to one event loop. Who holds `writing` has the one transaction
    that writes rows.
    """

    def __init__(self) -> None:
        self.id = uuid4().hex
        self.live = LiveGeneration(generation=1, slot="a", log_id=None, partitions=1, ready=False)
        self.slots: dict[Slot, SlotRows] = {"a": SlotRows(), "b": SlotRows()}
        self.checkpoints: defaultdict[int, dict[int, Checkpoint]] = defaultdict(dict)
        self.writing = asyncio.Lock()
        self.builds: dict[int, Build] = {1: _FIRST_BUILD}
        self.parked: defaultdict[int, dict[PostId, ParkedStream]] = defaultdict(dict)

    @property
    def live_rows(self) -> SlotRows:
        return self.slots[self.live.slot]

    @property
    def live_parked(self) -> dict[PostId, ParkedStream]:
        return self.parked[self.live.generation]

    def require_live(self, generation: int, partitions: int | None = None) -> None:
        if self.live.generation != generation:
            raise CheckpointMoved(f"Generation {self.live.generation} is live, not {generation}.")
        if partitions not in (None, self.live.partitions):
            raise CheckpointMoved(f"The read database has {self.live.partitions} partitions now, not {partitions}.")

"""Looks at the read database now and then, whether there is anything to write or not.

Is it filled enough to answer queries? It is once every partition, whoever projects it, stands at the tip that was found
at the beginning. And does it still stand where this projector left it? A swap, or a projector that divides the posts in
another way, moves checkpoints; who has nothing to write would not notice.
"""

import asyncio
import logging
from collections.abc import Mapping

from application.pipeline.projector import Projector
from application.ports.read_db import Checkpoint, CheckpointMoved, LiveGeneration

logger = logging.getLogger(__name__)

_SECONDS_UNTIL_READY = 0.2
_SECONDS = 5.0


class RowsWatch:
    """`fill_until` is the position that every partition must reach before queries are answered."""

    def __init__(self, projector: Projector, live: LiveGeneration, fill_until: int) -> None:
        self._projector = projector
        self._live = live
        self._fill_until = fill_until
        self._ready = live.ready
        self._look_at = 0.0

    def due_in(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._look_at - asyncio.get_running_loop().time())

    async def look(self, stored: Mapping[int, Checkpoint | None]) -> bool:
        """Whether it was time to look. `stored` are this projector's checkpoints, as it left them. Raises
        `CheckpointMoved`, `Unavailable`, `WrongLog`."""
        if self.due_in():
            return False
        live, checkpoints = await self._projector.open(self._live.partitions)
        if live.generation != self._live.generation or any(checkpoints.get(p) != at for p, at in stored.items()):
            raise CheckpointMoved
        if not live.ready and self._lowest(checkpoints) >= self._fill_until:
            await self._projector.mark_ready(live.generation)
            logger.info("the read database is filled and answers queries now")
            self._ready = True
        self._ready = self._ready or live.ready
        pause = _SECONDS if self._ready else _SECONDS_UNTIL_READY
        self._look_at = asyncio.get_running_loop().time() + pause
        return True

    def _lowest(self, checkpoints: Mapping[int, Checkpoint]) -> int:
        at = [checkpoints.get(partition) for partition in range(self._live.partitions)]
        return min(checkpoint.position if checkpoint else 0 for checkpoint in at)

"""When is an empty read database filled enough to answer queries? Once every partition, whoever projects it, stands at
the tip that was found at the beginning."""

import asyncio
import logging

from application.pipeline.projector import Projector
from application.ports.projection_store import LiveGeneration

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.2


class Readiness:
    """`fill_until` is the position that every partition must reach."""

    def __init__(self, projector: Projector, live: LiveGeneration, fill_until: int) -> None:
        self._projector = projector
        self._live = live
        self._fill_until = fill_until
        self._ready = live.ready
        self._looked_at = 0.0

    async def look(self, *, busy: bool) -> None:
        """Mark the database ready when it is. `busy`: this projector's own share is not filled yet."""
        now = asyncio.get_running_loop().time()
        if self._ready or busy or now - self._looked_at < _SECONDS_BETWEEN_LOOKS:
            return
        self._looked_at = now
        live, checkpoints = await self._projector.open(self._live.partitions)
        lowest = min((checkpoints[p].position if p in checkpoints else 0) for p in range(self._live.partitions))
        if not live.ready and lowest >= self._fill_until:
            await self._projector.mark_ready(self._live.generation)
            logger.info("the read database is filled up to position %d and answers queries now", lowest)
        self._ready = live.ready or lowest >= self._fill_until

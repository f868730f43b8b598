"""Follows the log, or the bus, for ever: session after session, each from the checkpoints until anything goes wrong.

A server that is away is asked again with growing pauses. A database that belongs to another log ends it, because no
retry can mend that.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Never

from application.errors import Unavailable
from application.pipeline.backoff import Backoff
from application.ports.metrics import Metrics
from application.ports.projection_store import CheckpointMoved

logger = logging.getLogger(__name__)


class TopicChanged(Exception):
    """The topic was made anew, or has another number of partitions."""


async def follow(session: Callable[[Backoff], Awaitable[Never]], metrics: Metrics) -> Never:
    """Until cancelled. A session resets the backoff when it gets on. Raises `WrongLog`."""
    backoff = Backoff()
    while True:
        try:
            await session(backoff)
        except CheckpointMoved:
            logger.info("another projector or a swap moved a checkpoint; going on from the checkpoints")
        except TopicChanged:
            logger.warning("the topic was made anew or divided anew; going on from the checkpoints")
            metrics.count("projector_interruptions", code="topic-changed")
        except Unavailable as error:
            pause = backoff.next()
            logger.warning("projecting stopped, again in %.1f s: %s", pause, error.message)
            metrics.count("projector_interruptions", code=error.code)
            await asyncio.sleep(pause)

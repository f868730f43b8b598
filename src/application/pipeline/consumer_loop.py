"""What every projector has: the gauges of its partitions, and the loop of its sessions, each from the checkpoints until
anything goes wrong.

Whatever interrupts a session (a server that is unavailable, an unexpected answer, a bug), the next one begins after a
pause, and pauses grow. Only a database that belongs to another log ends the loop.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Never

from application.backoff import Backoff, log_interruption
from application.errors import WrongLog
from application.ports.read_db import CheckpointMoved
from application.ports.system import Metrics

logger = logging.getLogger(__name__)


_GOOD_SECONDS = 15.0


class TopicChanged(Exception):
    """The topic was recreated, or has another number of partitions."""


async def run_sessions(session: Callable[[Backoff], Awaitable[Never]], metrics: Metrics) -> Never:
    """Until cancelled. A session resets the backoff when it makes progress. Raises `WrongLog`."""
    backoff = Backoff()
    while True:
        try:
            await session(backoff)
        except CheckpointMoved:
            logger.info("another projector or a swap moved a checkpoint; resuming from the checkpoints")
        except TopicChanged:
            logger.warning("the topic was recreated or repartitioned; resuming from the checkpoints")
            metrics.count("projector_interruptions", code="topic-changed")
        except WrongLog:
            raise
        except Exception as error:
            pause = backoff.next()
            code = log_interruption(logger, "projecting", error, pause)
            metrics.count("projector_interruptions", code=code)
            await asyncio.sleep(pause)


def gauge_partitions(metrics: Metrics, assigned: int, partitions: int) -> None:
    """Called again and again while a session works. A projector that does not work exports no assigned partitions; how
    many there are stays known."""
    metrics.gauge("projector_partitions_assigned", assigned, good_for=_GOOD_SECONDS)
    metrics.gauge("projector_partitions", partitions)

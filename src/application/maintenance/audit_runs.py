"""Audits that an operator begins and watches: one at a time, in this process. The last result is kept until the next.

A whole audit reads the whole log. It takes turns with everything else that this process does; for a long log
`postlog audit` does the same in a process of its own.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime

from application.errors import AuditRunning
from application.maintenance.audit import Audit, AuditProgress, AuditReport
from application.ports.system import Clock
from domain.errors import PostlogError

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class AuditRun:
    """`sample` is about how many posts it looks at, None: every one. While it runs, `ended_at` is None. Then it has a
    `report`, or an `error` that stopped it, or it was `cancelled`."""

    sample: int | None
    started_at: datetime
    progress: AuditProgress = field(default_factory=AuditProgress)
    ended_at: datetime | None = None
    report: AuditReport | None = None
    error: str | None = None
    cancelled: bool = False

    @property
    def is_running(self) -> bool:
        return self.ended_at is None


class AuditRuns:
    def __init__(self, audit: Audit, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self.last: AuditRun | None = None

    def begin(self, sample: int | None) -> AuditRun:
        """Raises `AuditRunning`."""
        if self.last is not None and self.last.is_running:
            raise AuditRunning("An audit is running already. Wait for it, or cancel it.")
        run = self.last = AuditRun(sample, self._clock.now())
        self._task = asyncio.create_task(self._run(run), name="audit")
        return run

    async def cancel(self) -> None:
        """And return when it has ended. No effect when none runs."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self.last is not None and self.last.is_running:  # cancelled before it had begun
            self.last.cancelled, self.last.ended_at = True, self._clock.now()

    async def _run(self, run: AuditRun) -> None:
        try:
            if run.sample is None:
                run.report = await self._audit.run(run.progress)
            else:
                run.report = await self._audit.sample(run.sample)
        except asyncio.CancelledError:
            run.cancelled = True
        except PostlogError as error:
            run.error = error.message
        except Exception as error:
            logger.exception("an audit failed")
            run.error = f"It failed by a fault of Postlog, {type(error).__name__}; the service's log tells more."
        finally:
            run.ended_at = self._clock.now()

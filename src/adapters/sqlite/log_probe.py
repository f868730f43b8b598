"""Does the event log's file answer?"""

import asyncio

from adapters.sqlite.commit_log import SqliteCommitLog
from adapters.sqlite.log_database import SqliteLog
from adapters.sqlite.log_schema import SETTING
from application.errors import Unavailable
from application.ports.provisioning import ProbeResult

_SECONDS = 2.0


class SqliteLogProbe:
    name = "event_store"

    def __init__(self, log: SqliteLog) -> None:
        self._log = log

    async def probe(self) -> ProbeResult:
        try:
            async with asyncio.timeout(_SECONDS):
                await self._log.prove()
                tip = await SqliteCommitLog(self._log).tip()
        except Unavailable as error:
            return ProbeResult(self.name, ok=False, detail=error.message)
        except TimeoutError:
            detail = f"The event log {self._log.path} ({SETTING}) did not answer within {_SECONDS:g} seconds."
            return ProbeResult(self.name, ok=False, detail=f"{detail} Is its disk busy or gone?")
        return ProbeResult(self.name, ok=True, detail=f"The event log {self._log.path} stands at position {tip:,}.")

"""A worker of a rebuild that lives in this process."""

from concurrent.futures import Future
from datetime import datetime

from application.maintenance.shares import Cut, ShareFold
from application.ports.read_db import RowChanges, Rows


class InThisProcess:
    def __init__(self, work: ShareFold) -> None:
        self._work = work

    async def read(self, after: int, until: int) -> int:
        return await self._work.read(after, until)

    async def cut(self, after: int, until: int) -> Cut:
        return self._work.cut(after, until)

    def fold(self, after: int, rows: Rows, now: datetime) -> Future[RowChanges]:
        done = Future[RowChanges]()
        done.set_result(self._work.fold(after, rows, now))
        return done

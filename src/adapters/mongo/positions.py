"""Where the next commit may go: directly behind a position that is known to be majority-committed.

Nothing else may ever be built on. A commit that the primary has and the majority has not can vanish in a failover, and
what stands behind it would then stand behind a gap.
"""

from pymongo.read_concern import ReadConcern

from adapters.mongo.database import MAJORITY, MongoDatabase


class Positions:
    """`tip_read_concern` is majority; another one is for the test that shows why."""

    def __init__(self, database: MongoDatabase, tip_read_concern: ReadConcern = MAJORITY) -> None:
        self._database = database
        self._concern = tip_read_concern
        self._base: int | None = None

    async def committed(self) -> int:
        """A majority-committed position, or 0, as near to the tip as is known without asking. The store is asked the
        first time, and again after `doubt`."""
        if self._base is None:
            self._base = await self._read_tip()
        return max(self._base, self._database.known_tip.position)

    def doubt(self) -> None:
        """Another writer was first, or what became of a write is unknown."""
        self._base = None

    async def _read_tip(self) -> int:
        # No linearizable read: a position that was majority-committed once stays so, and only costs a lost attempt
        # when it is not the newest. A primary that was deposed without knowing it can't commit what is built on it.
        commits = self._database.commits.with_options(read_concern=self._concern)
        tip = await self._database.call(
            lambda session: commits.find_one({}, {"_id": 1}, sort=[("_id", -1)], session=session)
        )
        return int(tip["_id"]) if tip else 0

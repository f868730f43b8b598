"""Where the next commit may go: directly behind a position that is known to be majority-committed.

Nothing else may ever be built on. A commit that the primary has and the majority has not can vanish in a failover, and
what stands behind it would then stand behind a gap.
"""

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.read_concern import ReadConcern

from adapters.mongo.database import MAJORITY, MongoDatabase
from adapters.mongo.known_tip import START, Place

_POSITIONS = {"_id": {"$gt": 0, "$type": ["int", "long"]}}
"""Documents with another kind of `_id` are none of the log's."""


async def read_tip(database: MongoDatabase, session: AsyncClientSession, read_concern: ReadConcern = MAJORITY) -> Place:
    """Raises what the driver raises."""
    commits = database.commits.with_options(read_concern=read_concern)
    tip = await commits.find_one(_POSITIONS, {"commitId": 1}, sort=[("_id", -1)], session=session)
    return Place(int(tip["_id"]), tip.get("commitId")) if tip else START


class Positions:
    """`tip_read_concern` is majority; another one is for the test that shows why."""

    def __init__(self, database: MongoDatabase, tip_read_concern: ReadConcern = MAJORITY) -> None:
        self._database = database
        self._concern = tip_read_concern
        self._base: Place | None = None

    async def committed(self) -> Place:
        """A majority-committed commit, or position 0, as near to the tip as is known without asking. The store is
        asked the first time, and again after `doubt`."""
        if self._base is None:
            # No linearizable read: a position that was majority-committed once stays so, and only costs a lost attempt
            # when it is not the newest. A primary that was deposed without knowing it can't commit what is built on it.
            self._base = await self._database.call(lambda session: read_tip(self._database, session, self._concern))
        known = self._database.known_tip.place
        return known if known.position > self._base.position else self._base

    def doubt(self) -> None:
        """Another writer was first, or what became of a write is unknown."""
        self._base = None

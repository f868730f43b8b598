"""Read one stream, in pages."""

from adapters.mongo.database import Document, MongoDatabase
from adapters.mongo.stream_ends import EVENTS_COUNTED, stream_end_of
from adapters.wire.commit_bson import commit_from_document
from application.envelopes import Commit
from domain.ids import PostId


class MongoPastEvents:
    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def read_stream(self, stream_id: PostId, after_version: int = 0, limit: int = 1_000) -> list[Commit]:
        """As `EventStore.read_stream`."""
        commits = await self._page({"streamId": stream_id, "version": {"$gt": after_version}}, limit)
        if after_version <= 0 or (commits and commits[0].version == after_version + 1):
            return commits
        return [*await self._around(stream_id, after_version), *commits][:limit]

    async def find_commit(self, commit_id: str) -> Commit | None:
        """As `EventStore.find_commit`."""
        document = await self._database.answer(
            lambda session: self._database.whole_commits.find_one({"commitId": commit_id}, session=session)
        )
        return commit_from_document(document) if document else None

    async def last_version(self, stream_id: PostId) -> int:
        last = await self._database.answer(
            lambda session: self._database.commits.find_one(
                {"streamId": stream_id}, EVENTS_COUNTED, sort=[("version", -1)], session=session
            )
        )
        return stream_end_of(last).version if last else 0

    async def _around(self, stream_id: PostId, version: int) -> list[Commit]:
        """The commit that begins at or before `version` and ends behind it, if there is one."""
        before = await self._page({"streamId": stream_id, "version": {"$lte": version}}, limit=1, newest_first=True)
        return [commit for commit in before if commit.last_version > version]

    async def _page(self, wanted: Document, limit: int, *, newest_first: bool = False) -> list[Commit]:
        """One answer of the server, which is at most 16 MB: a negative limit asks for no second one."""
        commits, order = self._database.whole_commits, [("version", -1 if newest_first else 1)]
        found = await self._database.answer(
            lambda session: commits.find(wanted, sort=order, limit=-limit, batch_size=limit, session=session).to_list()
        )
        return [commit_from_document(document) for document in found]

"""Removes commits from MongoDB's collection `commits`, with a login that may do so; the service's own may not."""

from collections.abc import AsyncIterator, Sequence

from bson.json_util import RELAXED_JSON_OPTIONS, dumps
from pymongo.errors import OperationFailure

from adapters.mongo.database import Document, MongoDatabase
from application.errors import CutRefused, StoreUnavailable
from application.ports.commit_log import StoredCommit

_PAGE = 1_000
_NOT_ALLOWED = 13


class MongoCommitRemoval:
    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def commits_after(self, position: int) -> AsyncIterator[Sequence[StoredCommit]]:
        while page := await self._page({"_id": {"$gt": position}}):
            yield page
            position = page[-1].position

    async def remove(self, commits: Sequence[StoredCommit], position: int) -> None:
        for end in range(len(commits), 0, -_PAGE):
            await self._remove(commits[max(0, end - _PAGE) : end])
        await self._database.execute(lambda session: self._database.snapshots.delete_many({}, session=session))
        set_back = {"$min": {"position": position}}
        await self._database.execute(
            lambda session: self._database.relay.update_one({"_id": "lease"}, set_back, session=session)
        )

    async def _page(self, wanted: Document) -> list[StoredCommit]:
        found = await self._database.execute(
            lambda session: self._database.commits.find(
                wanted, sort=[("_id", 1)], limit=-_PAGE, batch_size=_PAGE, session=session
            ).to_list()
        )
        return [_stored(document) for document in found]

    async def _remove(self, commits: Sequence[StoredCommit]) -> None:
        these = {
            "_id": {"$in": [commit.position for commit in commits]},
            "commitId": {"$in": [commit.commit_id for commit in commits]},
        }
        try:
            removed = await self._database.execute(
                lambda session: self._database.commits.delete_many(these, session=session)
            )
        except StoreUnavailable as error:
            if isinstance(error.__cause__, OperationFailure) and error.__cause__.code == _NOT_ALLOWED:
                raise CutRefused(
                    "The login in event_store.mongo.url may not remove commits, as it should be; pass the address of "
                    "an administrator in a file (--admin-url-file FILE)."
                ) from error
            raise
        if removed.deleted_count != len(commits):
            raise StoreUnavailable("Another process changes the log. Stop it, and run this again with another file.")


def _stored(document: Document) -> StoredCommit:
    line = dumps(document, json_options=RELAXED_JSON_OPTIONS, ensure_ascii=False)
    return StoredCommit(
        int(document["_id"]), document["commitId"], document["streamId"], int(document["version"]), line
    )

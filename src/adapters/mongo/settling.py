"""What became of a commit, asked by its id: the one question that a lost answer leaves."""

from collections.abc import Sequence

from adapters.mongo.database import Document, MongoDatabase
from adapters.wire.commit_bson import commit_from_document
from application.envelopes import Commit, ProposedCommit
from application.ports.event_store import AlreadyStored, Appended, VersionTaken


async def stored_commits(database: MongoDatabase, commit_ids: Sequence[str]) -> dict[str, Commit]:
    """Those that are majority-committed, by commit id. One that is missing may still arrive."""
    return {commit.commit_id: commit for commit in await _found(database, {"commitId": {"$in": list(commit_ids)}})}


async def refusal(database: MongoDatabase, commit: ProposedCommit) -> AlreadyStored | VersionTaken | None:
    """Why the log holds something in this commit's place; a repeated id wins over a taken version. None when there is
    nothing of the kind: what refused it has vanished in a failover."""
    same_version = {"streamId": commit.stream_id, "version": commit.version}
    rivals = await _found(database, {"$or": [{"commitId": commit.commit_id}, same_version]})
    for rival in rivals:
        if rival.commit_id == commit.commit_id:
            return AlreadyStored(rival)
    return VersionTaken() if rivals else None


def outcome_of(commit: ProposedCommit, stored: Commit) -> Appended | AlreadyStored:
    """For a commit that was sent and not answered: is it what stands in the log, or did somebody use its id before?"""
    return Appended(stored.position) if _same(commit, stored) else AlreadyStored(stored)


def _same(commit: ProposedCommit, stored: Commit) -> bool:
    return (
        commit.stream_id == stored.stream_id
        and commit.version == stored.version
        and commit.recorded_at == stored.recorded_at
        and commit.metadata == stored.metadata
        and commit.events == stored.events
    )


async def _found(database: MongoDatabase, wanted: Document) -> list[Commit]:
    documents = await database.call(lambda session: database.whole_commits.find(wanted, session=session).to_list())
    return [commit_from_document(document) for document in documents]

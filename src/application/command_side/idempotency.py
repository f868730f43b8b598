"""From an idempotency key to a commit id, and from a stored commit back to the answer that it was given.

The commit id is unique in the log, so the same key can't have two effects: not at the same time, not in two processes,
not after a restart. No table of keys is kept beside the log.
"""

from uuid import UUID, uuid5

from application.envelopes import Commit
from application.errors import IdempotencyKeyReused
from application.mediator import CommandResult, IdempotencyKey
from application.ports.event_codec import EventCodec
from domain.events import CommentAdded

REQUEST_DIGEST = "requestDigest"

_KEYS = UUID("6f2bc35e-6c6f-5a3c-9a53-0d8c2c8a4f0e")


def commit_id_of(key: str) -> str:
    """UUIDv5 of the key: the same key gives the same commit id, everywhere."""
    return str(uuid5(_KEYS, key))


def answer_from(commit: Commit, key: IdempotencyKey | None, codec: EventCodec) -> CommandResult:
    """The answer to the request that made `commit`. Raises `IdempotencyKeyReused` when `key` came with another
    request.
    """
    if key is not None and commit.metadata.get(REQUEST_DIGEST) != key.request_digest:
        raise IdempotencyKeyReused(
            "This idempotency key was spent by another request; send a new key with a new request.",
            path="Idempotency-Key",
        )
    comment_ids = [e.event.comment_id for e in codec.decode(commit) if isinstance(e.event, CommentAdded)]
    return CommandResult(
        post_id=commit.stream_id,
        version=commit.last_version,
        position=commit.position,
        comment_id=comment_ids[0] if comment_ids else None,
        replayed=True,
    )

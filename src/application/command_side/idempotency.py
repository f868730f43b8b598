"""From an idempotency key to a commit id, and from what is stored back to the result that was reported.

The commit id is unique in the log, so one key can't have two effects: not at the same time, not in two processes, not
after a restart. A request that changed nothing has no commit. A receipt is stored for it, so that it still changes
nothing when it is delivered again later, when it could.
"""

from uuid import UUID, uuid5

from application.envelopes import Commit
from application.errors import IdempotencyKeyReused
from application.mediator import CommandResult, IdempotencyKey
from application.ports.event_codec import EventCodec
from application.ports.event_store import Receipt
from domain.events import CommentAdded

REQUEST_DIGEST = "requestDigest"

_KEYS = UUID("6f2bc35e-6c6f-5a3c-9a53-0d8c2c8a4f0e")


def commit_id_of(key: str) -> str:
    """UUIDv5 of the key: the same key gives the same commit id, everywhere."""
    return str(uuid5(_KEYS, key))


def result_of_commit(commit: Commit, key: IdempotencyKey | None, codec: EventCodec) -> CommandResult:
    """The result of the request that made `commit`. Raises `IdempotencyKeyReused` if `key` came
    with another request.
    """
    _require_same_request(commit.metadata.get(REQUEST_DIGEST), key)
    comment_ids = [event.comment_id for event in codec.decode(commit) if isinstance(event, CommentAdded)]
    return CommandResult(
        post_id=commit.stream_id,
        version=commit.last_version,
        position=commit.position,
        comment_id=comment_ids[0] if comment_ids else None,
        replayed=True,
    )


def result_of_receipt(receipt: Receipt, key: IdempotencyKey | None) -> CommandResult:
    """The result that the receipt records. Raises `IdempotencyKeyReused` if `key` came with another request."""
    _require_same_request(receipt.request_digest, key)
    return CommandResult(post_id=receipt.stream_id, version=receipt.version, position=receipt.position, replayed=True)


def _require_same_request(digest: str | None, key: IdempotencyKey | None) -> None:
    if key is not None and digest != key.request_digest:
        raise IdempotencyKeyReused(
            "This idempotency key was used by another request; send a new key with a new request.",
            path="Idempotency-Key",
        )

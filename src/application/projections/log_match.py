"""A read database belongs to one log, in one state of it: the log must have the commits that its checkpoints name."""

from collections.abc import Iterable

from application.envelopes import Commit
from application.errors import WrongLog
from application.ports.commit_log import CommitLog
from application.ports.read_db import Checkpoint, LiveGeneration

_REMEDY = "Point read_db at its own database, or fill this one anew with `postlog rebuild`."


async def require_match(live: LiveGeneration, checkpoints: Iterable[Checkpoint], log: CommitLog) -> None:
    """Raises `WrongLog` if the rows of these checkpoints can not have come from `log` as it is now."""
    log_id = await log.log_id()
    if live.log_id not in (None, log_id):
        raise WrongLog(
            f"The read database was filled from log {live.log_id}, but the event store holds log {log_id}. {_REMEDY}"
        )
    for checkpoint in checkpoints:
        if not checkpoint.commit_position:
            continue
        found = await commit_at(checkpoint.commit_position, log)
        if found is None or found.commit_id != checkpoint.commit_id:
            raise WrongLog(
                f"The read database has seen commit {checkpoint.commit_id} at position {checkpoint.commit_position}, "
                f"which the log does not have there: the log was restored to an older state. {_REMEDY}"
            )


async def commit_at(position: int, log: CommitLog) -> Commit | None:
    """None only when the log has lost it, or never had it: a read straight after a failover may lag, so before a commit
    is believed to be gone, the log has to prove where it ends."""
    found = await log.read(position - 1, 1)
    if not found and await log.proven_tip() >= position:
        found = await log.read(position - 1, 1)
    return found[0] if found else None

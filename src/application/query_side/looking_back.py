"""The log, or one stream of it, from the end to the beginning: pages of commits, each oldest first, each right before
the one that came before it. None takes more memory than one read of the log may.
"""

from collections.abc import AsyncGenerator, Sequence

from application.envelopes import Commit
from application.ports.commit_log import CommitLog
from application.ports.event_store import PastEvents
from domain.ids import PostId


async def log_backwards(log: CommitLog, below: int, size: int) -> AsyncGenerator[Sequence[Commit]]:
    """Below the position `below`, about `size` commits a page. Raises `StoreUnavailable`."""
    while below > 1:
        after = max(0, below - 1 - size)
        page = await log.read(after, below - 1 - after)
        while page and page[-1].position < below - 1:  # large commits: a read ended early, and the newest are wanted
            page = await log.read(page[-1].position, below - 1 - page[-1].position)
        if not page:
            return
        yield page
        below = page[0].position


async def stream_backwards(
    past_events: PastEvents, stream_id: PostId, below: int, size: int
) -> AsyncGenerator[Sequence[Commit]]:
    """The stream's commits below the position `below`, at most `size` a page. Raises `StoreUnavailable`."""
    version = await _last_version_below(past_events, stream_id, below)
    while version > 0:
        after = max(0, version - size)
        page = await past_events.read_stream(stream_id, after, size)
        while page and page[-1].last_version < version:  # large commits, as above
            page = await past_events.read_stream(stream_id, page[-1].last_version, size)
        page = [commit for commit in page if commit.last_version <= version]
        if not page:
            return
        yield page
        version = page[0].version - 1


async def _last_version_below(past_events: PastEvents, stream_id: PostId, below: int) -> int:
    """The last version of the stream's last commit below a position; 0: there is none. Found by doubling, then by
    halving: a handful of short reads, however long the stream is."""
    found, step = 0, 1
    while (commit := await _commit_behind(past_events, stream_id, found + step - 1, below)) is not None:
        found = commit.last_version
        step *= 2
    high = found + step - 1
    while found < high:
        middle = (found + high) // 2
        commit = await _commit_behind(past_events, stream_id, middle, below)
        if commit is None:
            high = middle
        else:
            found = commit.last_version
    return found


async def _commit_behind(past_events: PastEvents, stream_id: PostId, version: int, below: int) -> Commit | None:
    """The commit that holds the version after this one, if it stands below the position."""
    commits = await past_events.read_stream(stream_id, version, 1)
    return commits[0] if commits and commits[0].position < below else None

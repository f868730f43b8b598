"""A commit as people are shown it, readable or not."""

from application.envelopes import Commit
from application.ports.event_codec import EventCodec
from application.query_side.log_queries import LoggedCommit
from domain.errors import EventNotReadable


def logged_commit(commit: Commit, codec: EventCodec) -> LoggedCommit:
    try:
        codec.decode(commit)
    except EventNotReadable as error:
        return LoggedCommit(commit=commit, events=codec.describe(commit), unreadable=error.message)
    return LoggedCommit(commit=commit, events=codec.describe(commit), unreadable=None)

"""Given / when / then for decisions: `given(events).when(command).then(events)` or `.then_refused(error)`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from domain.commands import PostCommand
from domain.errors import PostlogError
from domain.events import CommentAdded, PostCreated, PostEvent
from domain.ids import CommentId, PostId
from domain.limits import Limits
from domain.post import decide, fold

POST = PostId("0198c0de-0000-7000-8000-000000000001")
COMMENT = CommentId("0198c0de-0000-7000-8000-00000000000c")
OTHER_COMMENT = CommentId("0198c0de-0000-7000-8000-00000000000d")
NOON = datetime(2026, 11, 23, 12, 0, 0, 123000, tzinfo=UTC)
LATER = datetime(2026, 11, 23, 13, 30, 0, 0, tzinfo=UTC)
LIMITS = Limits(name=20, message=100, comment=50)

CREATED = PostCreated(author="Ann", message="Hello", date_posted=NOON)
COMMENTED = CommentAdded(comment_id=COMMENT, comment="Nice", username="Bob", comment_date=NOON)


@dataclass(frozen=True)
class _When:
    events: Sequence[PostEvent]
    command: PostCommand

    def then(self, *expected: PostEvent) -> None:
        assert decide(self.command, fold(self.events), LIMITS) == list(expected)

    def then_nothing(self) -> None:
        self.then()

    def then_refused(self, error: type[PostlogError], path: str | None = None) -> None:
        with pytest.raises(error) as caught:
            decide(self.command, fold(self.events), LIMITS)
        assert type(caught.value) is error
        assert caught.value.path == path


@dataclass(frozen=True)
class _Given:
    events: Sequence[PostEvent]

    def when(self, command: PostCommand) -> _When:
        return _When(self.events, command)


def given(*events: PostEvent) -> _Given:
    return _Given(events)

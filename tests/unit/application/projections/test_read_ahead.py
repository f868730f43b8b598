"""Reading ahead pays for pages in the middle of a log, not at its end."""

import pytest

from application.envelopes import CommitEvents, StoredEvent
from application.projections.read_ahead import is_worth_reading_ahead
from given import POST

LIKED = StoredEvent("PostLiked", 2, {"username": None})


def page(commits: int, events: int) -> list[CommitEvents]:
    return [CommitEvents(number, POST, 1, f"commit-{number}", (LIKED,) * events) for number in range(commits)]


@pytest.mark.parametrize(
    ("commits", "events", "worth"),
    [(0, 0, False), (1, 1, False), (99, 5, False), (100, 1, True), (1, 499, False), (1, 500, True), (50, 10, True)],
)
def test_a_page_of_few_commits_probably_ended_at_the_logs_end(commits: int, events: int, worth: bool) -> None:
    assert is_worth_reading_ahead(page(commits, events), limit=100) is worth

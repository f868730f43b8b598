"""Positions and versions count 1, 2, 3 … without gaps and duplicates; the errors for logs where they don't."""

from collections.abc import Sequence
from typing import NamedTuple

from application.envelopes import AnyCommit
from application.errors import LogDamaged, StreamDamaged


class LogGap(NamedTuple):
    """The log has commits up to `first_missing - 1` and at `next_there`, and none in between."""

    first_missing: int
    next_there: int

    @property
    def sentence(self) -> str:
        missing = _numbers("position", self.first_missing, self.next_there - 1)
        return (
            f"The log has no commit at {missing}, but one at {self.next_there}: commits were removed, or a backup was "
            f"restored under running processes. Restore the missing commits from a backup; if there is none, "
            f"`postlog events cut` removes the commits after the gap."
        )


def require_dense(commits: Sequence[AnyCommit], after: int) -> None:
    """For a page of the log. Raises `LogDamaged` if a position is missing after `after` or between two commits."""
    if not commits or commits[-1].position == after + len(commits):
        return
    for expected, commit in enumerate(commits, after + 1):
        require_position(commit.position, expected)


def require_position(position: int, expected: int) -> None:
    """Raises `LogDamaged`."""
    if position != expected:
        raise LogDamaged(LogGap(expected, position).sentence)


def require_next(commit: AnyCommit, version: int) -> None:
    """The commit must begin with the version after `version`, the last one of its stream. Raises `StreamDamaged`."""
    if commit.version == version + 1 and commit.events:
        return
    raise StreamDamaged(
        f"The log is damaged at post {commit.stream_id}: {_what_is_wrong(commit, version)}. Nothing is written to the "
        f"post; restore its commits from a backup, and then run `postlog parked retry {commit.stream_id}`.",
        retry_after=60,
    )


def _what_is_wrong(commit: AnyCommit, version: int) -> str:
    if commit.version > version + 1:
        missing = _numbers("version", version + 1, commit.version - 1)
        return f"{missing} {'is' if commit.version == version + 2 else 'are'} missing before position {commit.position}"
    if not commit.events:
        return f"version {commit.version} is missing: the commit at position {commit.position} has no event"
    return (
        f"the commit at position {commit.position} begins with version {commit.version}, but an earlier one ends with "
        f"version {version}"
    )


def _numbers(what: str, first: int, last: int) -> str:
    return f"{what} {first}" if first == last else f"{what}s {first} to {last}"

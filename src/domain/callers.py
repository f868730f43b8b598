"""Who sends a command, as the process verified it, and which roles let a caller act for others.

A command carries its caller, so that it is decided again without a token: stored events need no caller to be replayed.
"""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    OPERATOR = "operator"
    """May read the state of the service and start its jobs."""
    MODERATOR = "moderator"
    """May remove every post and comment."""
    IMPORTER = "importer"
    """May act in the name of others, and like without a name."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated user."""

    name: str
    roles: frozenset[Role] = frozenset()

    def has(self, role: Role) -> bool:
        return role in self.roles

"""Tokens that prove who is calling."""

from typing import Protocol

from domain.callers import Caller


class TokenVerifier(Protocol):
    async def verify(self, token: str) -> Caller:
        """The user whom the token was issued to. Raises `InvalidToken`, whose message has nothing of the token, and
        `IdentityUnavailable` when there are no keys to verify it with.
        """
        ...

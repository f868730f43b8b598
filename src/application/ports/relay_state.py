"""Who may publish the log to the bus, and how far it has been published. One relay is active at a time, by a lease.

A lease ends by the store's clock, never by the caller's. Its token grows with every lease that is granted, so whatever
a relay does that was paused beyond its lease is refused as soon as another lease was granted.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right of `owner` to publish, for `ttl_seconds` from the grant or the last renewal. `position` is the
    checkpoint at the grant: every commit up to it was published and acknowledged by the bus; 0 before the first.
    """

    owner: str
    token: int
    position: int
    ttl_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayStatus:
    """For people and for lag: the checkpoint, and who holds the lease by now (None: nobody)."""

    owner: str | None
    token: int
    position: int


class RelayState(Protocol):
    async def acquire(self, owner: str, ttl_seconds: float) -> Lease | None:
        """A lease with a new, higher token, if none stands or the one that stands is this owner's; None while
        another's stands. Raises `StoreUnavailable`.
        """
        ...

    async def renew(self, lease: Lease) -> bool:
        """The lease runs from now again. False when it was released or another was granted since: stop publishing.
        A lease that ran out and that nobody took can be renewed. Raises `StoreUnavailable`.
        """
        ...

    async def advance(self, lease: Lease, position: int) -> bool:
        """Move the checkpoint to `position`, never backwards. False, and nothing moved, when the lease was released or
        another was granted since. Raises `StoreUnavailable`.
        """
        ...

    async def set_back(self, lease: Lease, position: int) -> bool:
        """Move the checkpoint back to `position` if it is beyond: the log ends there, though it was longer once. False,
        and nothing moved, when the lease was released or another was granted since. Raises `StoreUnavailable`.
        """
        ...

    async def release(self, lease: Lease) -> None:
        """Give the lease back, so that another relay need not wait for its end. No effect when it is not this one that
        stands. Raises `StoreUnavailable`.
        """
        ...

    async def state(self) -> RelayStatus | None:
        """None when no lease was ever granted. Raises `StoreUnavailable`."""
        ...

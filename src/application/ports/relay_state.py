"""The lease that lets one relay at a time publish the log to the bus, and the checkpoint of what is published.

A lease expires by the store's clock, never by the caller's. Its token grows with every granted lease (a fencing token),
so a relay that was paused beyond its lease is refused as soon as another lease was granted.
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
    """For monitoring: the checkpoint, and the current holder of the lease (None: nobody)."""

    owner: str | None
    token: int
    position: int


class RelayState(Protocol):
    async def acquire(self, owner: str, ttl_seconds: float) -> Lease | None:
        """A lease with a new, higher token, if there is no valid lease or it is this owner's; None while another
        owner's is valid. Raises `StoreUnavailable`.
        """
        ...

    async def renew(self, lease: Lease) -> bool:
        """Extend the lease from now. False if it was released or another was granted since: stop publishing. An
        expired lease can be renewed if no other was granted. Raises `StoreUnavailable`.
        """
        ...

    async def advance(self, lease: Lease, position: int) -> bool:
        """Move the checkpoint to `position`, never backwards. False, and not moved, if the lease was released or
        another was granted since. Raises `StoreUnavailable`.
        """
        ...

    async def set_back(self, lease: Lease, position: int) -> bool:
        """Move the checkpoint back to `position` if it is beyond, because the log now ends there. False, and not moved,
        if the lease was released or another was granted since. Raises `StoreUnavailable`.
        """
        ...

    async def release(self, lease: Lease) -> None:
        """Give the lease back, so that another relay need not wait for its expiry. No effect if another lease was
        granted since. Raises `StoreUnavailable`.
        """
        ...

    async def state(self) -> RelayStatus | None:
        """None if no lease was ever granted. Raises `StoreUnavailable`."""
        ...

"""Lease and checkpoint of the relay in memory. The store's clock is the process's monotonic one."""

import time

from adapters.memory.log import MemoryLog
from application.ports.relay_state import Lease, RelayStatus


class MemoryRelayState:
    def __init__(self, log: MemoryLog) -> None:
        self._relay = log.relay

    async def acquire(self, owner: str, ttl_seconds: float) -> Lease | None:
        relay = self._relay
        if relay.stands(time.monotonic()) and relay.owner != owner:
            return None
        relay.owner = owner
        relay.token += 1
        relay.ends_at = time.monotonic() + ttl_seconds
        return Lease(owner=owner, token=relay.token, position=relay.position, ttl_seconds=ttl_seconds)

    async def renew(self, lease: Lease) -> bool:
        if not self._relay.belongs_to(lease):
            return False
        self._relay.ends_at = time.monotonic() + lease.ttl_seconds
        return True

    async def advance(self, lease: Lease, position: int) -> bool:
        if not self._relay.belongs_to(lease):
            return False
        self._relay.position = max(self._relay.position, position)
        return True

    async def set_back(self, lease: Lease, position: int) -> bool:
        if not self._relay.belongs_to(lease):
            return False
        self._relay.position = min(self._relay.position, position)
        return True

    async def release(self, lease: Lease) -> None:
        if self._relay.belongs_to(lease):
            self._relay.owner = None

    async def state(self) -> RelayStatus | None:
        relay = self._relay
        if relay.token == 0:
            return None
        owner = relay.owner if relay.stands(time.monotonic()) else None
        return RelayStatus(owner=owner, token=relay.token, position=relay.position)

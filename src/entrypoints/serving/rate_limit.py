"""How many requests one caller may send: a token bucket for each."""

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, ip_network
from math import ceil

from entrypoints.serving.errors import TooManyRequests
from entrypoints.serving.request_context import RequestContext
from entrypoints.settings.addresses import address_in

_MOST_CALLERS = 50_000
"""Whoever was longest away is forgotten first, and has a full bucket again."""

_NETWORK_BITS = 64
"""A provider gives a household that much of IPv6."""


class RateLimiter:
    """`per_second` requests of one caller, after `burst` of them at once; 0: any number. `monotonic` is a clock in
    seconds."""

    def __init__(self, per_second: float, burst: int, monotonic: Callable[[], float]) -> None:
        self._seconds = 1 / per_second if per_second else 0.0
        self._burst_seconds = self._seconds * (burst - 1)
        self._monotonic = monotonic
        self._full_at: dict[str, float] = {}
        """By caller: when the bucket would be full if they sent nothing more. The last caller is the last entry."""

    def take(self, caller: str) -> None:
        """Count one request. Raises `TooManyRequests`."""
        if not self._seconds:
            return
        now = self._monotonic()
        full_at = max(now, self._full_at.pop(caller, now))
        wait = full_at - now - self._burst_seconds
        self._full_at[caller] = full_at if wait > 0 else full_at + self._seconds
        if len(self._full_at) > _MOST_CALLERS:
            del self._full_at[next(iter(self._full_at))]
        if wait > 0:
            raise TooManyRequests(
                f"This caller may send {1 / self._seconds:g} requests per second to this process "
                "(http.requests_per_second), and sent more.",
                retry_after=ceil(wait),
            )


def key_of(context: RequestContext) -> str:
    """Identifies the caller: an authenticated one by name, every other one by address."""
    return f"user {context.caller.name}" if context.caller else network_of(context.peer[0])


@lru_cache(1_024)
def network_of(host: str) -> str:
    """The address; in IPv6 the network of the household."""
    address = address_in(host)
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), _NETWORK_BITS), strict=False))
    return host if address is None else str(address)

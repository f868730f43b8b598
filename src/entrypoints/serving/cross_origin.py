"""What pages of other sites may do through the browser of somebody who reaches this service: nothing, unless
`http.allowed_origins` lists their origin.

- A request is answered only for a known host. Else a page could point a name of its own at this service's address (DNS
  rebinding), and the browser would take the service for that page's own site. Addresses are always known, because a
  name is what such a page needs.
- A request that may change something must not come from a page of another origin. No token is needed, because the
  browser names the origin in headers that pages can't forge: `Sec-Fetch-Site` (all current browsers, where the address
  is https or loopback) and `Origin` (all browsers since 2020). Another port of this machine is another origin, though
  browsers call it the same site.
- Pages of the listed origins may read responses, too (CORS).
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from entrypoints.serving.errors import HostNotAllowed, OriginNotAllowed
from entrypoints.serving.request_context import RequestContext
from entrypoints.settings.addresses import address_in

Headers = list[tuple[bytes, bytes]]

_SAFE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+?)\.?)(?::[0-9]*)?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_LIVENESS = "/health/live"
"""Tells nothing. A wrong setting must not make a supervisor restart the process."""

_REMEMBERED = 1_024
_VARY = (b"vary", b"origin")
_EXPOSED = b"Allow, ETag, Location, Postlog-Parked, Retry-After, WWW-Authenticate, X-Correlation-ID"
_SENT = (
    b"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Postlog-Min-Position, "
    b"traceparent, X-Correlation-ID"
)
_PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"DELETE, GET, HEAD, POST, PUT"),
    (b"access-control-allow-headers", _SENT),
    (b"access-control-max-age", b"600"),
]


class CrossOriginPolicy:
    """`hosts` are names without port, beside addresses and `localhost`; `*.example.com` stands for all names below it,
    `*` for any. `origins` are those whose pages may use the service: `https://app.example.com`."""

    def __init__(self, hosts: Sequence[str] = (), origins: Sequence[str] = ()) -> None:
        names = {host.lower().rstrip(".") for host in hosts}
        self._hosts = {"localhost", *names}
        self._endings = tuple(name[1:] for name in names if name.startswith("*."))
        self._any_host = "*" in names
        self._origins = {origin.lower() for origin in origins}
        self._is_known_host = lru_cache(_REMEMBERED)(self._names_known_host)

    def require_known_host(self, context: RequestContext, scope: Any) -> None:
        """Raises `HostNotAllowed`."""
        host = context.headers.get(b"host", b"")
        if self._is_known_host(host) or scope["path"] == _LIVENESS:
            return
        if not host and scope.get("http_version") != "1.1":  # HTTP/1.0 needs no Host, and no browser speaks it
            return
        raise HostNotAllowed(
            f"The header Host names {host.decode('latin-1')!r}, and this process does not serve that name. Use its IP "
            "address, localhost on the same machine, or a name listed in http.allowed_hosts.",
            path="Host",
        )

    def require_own_origin(self, context: RequestContext) -> None:
        """For a request that may change something. Programs send none of the two headers. Raises `OriginNotAllowed`."""
        if context.method in _SAFE:
            return
        headers = context.headers
        if b"origin" not in headers and b"sec-fetch-site" not in headers:
            return
        origin, site = context.header(b"origin"), context.header(b"sec-fetch-site")
        if origin is not None and origin.lower() in self._origins:
            return
        if site in (None, "none", "same-origin") and _is_own(origin, site, context.header(b"host")):
            return
        raise not_from_here(context)

    def headers(self, context: RequestContext) -> Headers:
        """What every response needs so that a page of a listed origin may read it."""
        if not self._origins:
            return []
        origin = context.headers.get(b"origin")
        if origin is None or origin.decode("latin-1").lower() not in self._origins:
            return [_VARY]
        return [_VARY, (b"access-control-allow-origin", origin), (b"access-control-expose-headers", _EXPOSED)]

    def preflight(self, context: RequestContext) -> Headers | None:
        """The answer to a browser that asks whether a page of a listed origin may send a request; else None."""
        if context.method != "OPTIONS" or b"access-control-request-method" not in context.headers:
            return None
        is_listed = (context.header(b"origin") or "").lower() in self._origins
        return _PREFLIGHT if is_listed else None

    def _names_known_host(self, given: bytes) -> bool:
        found = _HOST.fullmatch(given.decode("latin-1").strip(" \t").lower())
        if found is None:
            return False
        host = found["name"] or found["ipv6"]
        return self._any_host or host in self._hosts or host.endswith(self._endings) or address_in(host) is not None


def not_from_here(context: RequestContext) -> OriginNotAllowed:
    named = [
        f"{shown} {context.header(name)}"
        for shown, name in (("Origin", b"origin"), ("Sec-Fetch-Site", b"sec-fetch-site"))
        if context.header(name)
    ]
    return OriginNotAllowed(
        f"This request was not sent from a page of this service ({', '.join(named) or 'it names no origin'}), so it "
        "was refused. If the page is to be trusted, list its origin in http.allowed_origins. Programs use the API "
        "under /api/v1, without the headers Origin and Sec-Fetch-Site."
    )


def _is_own(origin: str | None, site: str | None, host: str | None) -> bool:
    """Browsers send `null` where a page hides its origin; then the other header decides."""
    if origin is None:
        return True
    if origin == "null":
        return site == "same-origin"
    try:
        parts = urlsplit(origin.lower())
    except ValueError:  # such as "http://[", which no browser sends
        return False
    port = _DEFAULT_PORTS.get(parts.scheme)
    return bool(parts.netloc) and host is not None and port is not None and _is_same(parts.netloc, host.lower(), port)


def _is_same(netloc: str, host: str, default_port: str) -> bool:
    return netloc.removesuffix(default_port) == host.removesuffix(default_port)

"""Errors of the tree (`domain.errors`) that only an HTTP client can get.

PostlogError
├── InvalidInput
│   └── MalformedRequest
│       └── InvalidFields       malformed-request        several fields or parameters at once
├── BodyIncomplete              body-incomplete
├── BodyTooSlow                 body-too-slow
├── BodyTooLarge                body-too-large
├── UnsupportedMediaType        unsupported-media-type
├── TooManyRequests             too-many-requests
├── HostNotAllowed              host-not-allowed
├── NotAllowed
│   └── OriginNotAllowed        origin-not-allowed
├── RouteNotFound               route-not-found
├── MethodNotAllowed            method-not-allowed
├── ClientGone                  client-gone              no one reads this response
├── Unavailable
│   └── TooManyStreams          too-many-streams
└── InternalError               internal-error           a bug in Postlog; does not reveal its cause
"""

from collections.abc import Sequence

from application.errors import MalformedRequest, Unavailable
from domain.errors import NotAllowed, PostlogError


class InvalidFields(MalformedRequest):
    """`fields` are pairs of path and message, at least one."""

    def __init__(self, message: str, fields: Sequence[tuple[str, str]]) -> None:
        super().__init__(message, path=fields[0][0])
        self.fields = tuple(fields)


class BodyIncomplete(PostlogError):
    code = "body-incomplete"


class BodyTooSlow(PostlogError):
    code = "body-too-slow"


class ClientGone(PostlogError):
    """The client closed the connection before there was a response."""

    code = "client-gone"


class TooManyStreams(Unavailable):
    code = "too-many-streams"


class TooManyRequests(PostlogError):
    """`retry_after` is in seconds, 1 or more."""

    code = "too-many-requests"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BodyTooLarge(PostlogError):
    code = "body-too-large"


class UnsupportedMediaType(PostlogError):
    code = "unsupported-media-type"


class HostNotAllowed(PostlogError):
    """The request names a host that this process does not serve."""

    code = "host-not-allowed"


class OriginNotAllowed(NotAllowed):
    """A page of another site sent the request."""

    code = "origin-not-allowed"


class RouteNotFound(PostlogError):
    code = "route-not-found"


class MethodNotAllowed(PostlogError):
    """`allowed` are the methods of this path, as in the header Allow."""

    code = "method-not-allowed"

    def __init__(self, message: str, *, allowed: str) -> None:
        super().__init__(message)
        self.allowed = allowed


class InternalError(PostlogError):
    code = "internal-error"

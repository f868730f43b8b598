"""Who may use a route: each declares its `Access`, and `AccessControl` admits callers to it before its handler runs.

With `auth.mode: none` there is no access control: names in requests are believed, and every route is open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeVar

from application.errors import InvalidToken, NotAuthenticated
from domain.callers import Caller, Role
from domain.errors import RoleRequired
from entrypoints.serving.request_context import RequestContext

_ACCESS = "access"
_IS_PAGE = "is_page"


class Access(Enum):
    OPEN = "open"
    """Everybody: health, metrics, and what describes the API."""
    READ = "read"
    """Queries: everybody if `auth.anonymous_reads` is on, else every user."""
    WRITE = "write"
    """Commands: every user. The domain decides what a user may do."""
    IMPORT = "import"
    OPERATE = "operate"

    @property
    def role(self) -> Role | None:
        """The role that it needs."""
        return _ROLES.get(self)


_ROLES = {Access.IMPORT: Role.IMPORTER, Access.OPERATE: Role.OPERATOR}


class _RouteHandler(Protocol):
    """Litestar's, which jobs of the command line do not load."""

    opt: dict[str, Any]


RouteHandler = TypeVar("RouteHandler", bound=_RouteHandler)


class Authenticator(Protocol):
    @property
    def scheme(self) -> Mapping[str, Any]:
        """The security scheme, in OpenAPI's words."""
        ...

    async def caller_of(self, context: RequestContext, *, is_page: bool) -> Caller | None:
        """None when the request does not say who sends it. Raises `NotAuthenticated` when what it says can't be
        verified, and `IdentityUnavailable`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessControl:
    """`sign_in_url` is where pages send people to sign in, if there is such a place."""

    authenticator: Authenticator
    anonymous_reads: bool
    sign_in_url: str | None = None

    def admits(self, caller: Caller | None, access: Access) -> bool:
        """Whether the caller, None for an anonymous one, may use routes of this access."""
        if caller is None:
            return access is Access.OPEN or (access is Access.READ and self.anonymous_reads)
        return access.role is None or caller.has(access.role)

    async def admit(self, context: RequestContext, handler: _RouteHandler) -> None:
        """Sets the context's caller, if the handler's route needs to know. Raises `NotAuthenticated`,
        `IdentityUnavailable` and `RoleRequired`."""
        access: Access = handler.opt[_ACCESS]
        if access is Access.OPEN:
            return
        caller = context.caller = await self.authenticator.caller_of(context, is_page=handler.opt[_IS_PAGE])
        if self.admits(caller, access):
            return
        if caller is None:
            raise NotAuthenticated("This needs a user who is signed in, and the request names none.")
        raise RoleRequired(f"This needs the role {access.role}.")


def challenge(error: NotAuthenticated) -> tuple[bytes, bytes]:
    """The header of a 401, which says how to authenticate (RFC 6750)."""
    reason = b', error="invalid_token"' if isinstance(error, InvalidToken) else b""
    return (b"www-authenticate", b'Bearer realm="postlog"' + reason)


def declare(access: Access, handlers: Sequence[RouteHandler], *, is_page: bool = False) -> list[RouteHandler]:
    """The handlers, each declared to need `access`."""
    for handler in handlers:
        handler.opt |= {_ACCESS: access, _IS_PAGE: is_page}
    return list(handlers)

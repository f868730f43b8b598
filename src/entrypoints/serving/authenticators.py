"""Where a request says who sends it: in the headers of a gateway, or in a signed token."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any, Final

from application.errors import MalformedRequest, NotAuthenticated
from application.ports.tokens import TokenVerifier
from domain.callers import Caller, Role
from entrypoints.serving.request_context import RequestContext
from entrypoints.settings.addresses import Network, is_in

_SEPARATORS = re.compile(r"[\s,;]+")
_BEARER: Final = b"bearer "


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayHeaders:
    """Believes the headers of requests that have the gateway's secret, or come from its addresses. `roles` turns
    the gateway's names of roles into ours."""

    user_header: str
    roles_header: str
    secret_header: str
    secret: str | None = field(repr=False)
    addresses: tuple[Network, ...]
    roles: Callable[[Collection[str]], frozenset[Role]]

    @property
    def scheme(self) -> Mapping[str, Any]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": self.user_header,
            "description": "Set by the gateway, which proves itself by its secret or its address.",
        }

    async def caller_of(self, context: RequestContext, *, is_page: bool) -> Caller | None:  # noqa: ARG002
        name = _only(context, self.user_header)
        if not name:
            return None
        if not self._is_from_gateway(context):
            raise NotAuthenticated(
                f"The header {self.user_header} did not come from the gateway: the request has neither its secret nor "
                "its address. Send the request to the gateway."
            )
        return Caller(name, self.roles(_SEPARATORS.split(_only(context, self.roles_header) or "")))

    def _is_from_gateway(self, context: RequestContext) -> bool:
        if is_in(context.peer[0], self.addresses):
            return True
        given = _only(context, self.secret_header)
        return self.secret is not None and given is not None and compare_digest(given.encode(), self.secret.encode())


@dataclass(frozen=True, slots=True)
class BearerTokens:
    """In the header Authorization; for pages also in the cookie, if one is named. The API ignores cookies, since pages
    of other sites can make a browser send them."""

    verifier: TokenVerifier
    cookie: str | None

    @property
    def scheme(self) -> Mapping[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}

    async def caller_of(self, context: RequestContext, *, is_page: bool) -> Caller | None:
        token = _bearer(context) or (self._in_cookie(context) if is_page else None)
        return None if token is None else await self.verifier.verify(token)

    def _in_cookie(self, context: RequestContext) -> str | None:
        return None if self.cookie is None else cookie_of(context, self.cookie) or None


def _bearer(context: RequestContext) -> str | None:
    """Raises `NotAuthenticated` for credentials of another kind."""
    given = context.headers.get(b"authorization")
    if given is None:
        return None
    if given[: len(_BEARER)].lower() != _BEARER:
        raise NotAuthenticated("The header Authorization has no Bearer token.")
    return given[len(_BEARER) :].strip().decode("latin-1")


def cookie_of(context: RequestContext, name: str) -> str | None:
    for pair in (context.header(b"cookie") or "").split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return value
    return None


def _only(context: RequestContext, name: str) -> str | None:
    """The header's value as text; None when it is absent. Raises `MalformedRequest` when it was sent twice: a gateway
    that adds its header to the client's would let the client choose."""
    key = name.lower().encode("latin-1")
    if key not in context.headers:
        return None
    values = [value for each, value in context.header_lines if each == key]
    if len(values) > 1:
        raise MalformedRequest(f"The header {name} was sent {len(values)} times; send it once.", path=name)
    try:
        return values[0].decode().strip(" \t")
    except UnicodeDecodeError as error:
        raise MalformedRequest(f"The header {name} is not UTF-8.", path=name) from error

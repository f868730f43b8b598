"""Where a request says who sends it: which headers of a gateway are believed, and where a token is looked for."""

import pytest

from application.errors import MalformedRequest, NotAuthenticated
from domain.callers import Caller, Role
from entrypoints.serving.authenticators import BearerTokens, GatewayHeaders
from entrypoints.serving.request_context import InFlight, RequestContext
from entrypoints.settings.addresses import networks
from identities import COOKIE, roles_of, token, verifier

SECRET = "the gateway's secret"
GATEWAY = GatewayHeaders(
    user_header="X-Forwarded-User",
    roles_header="X-Forwarded-Groups",
    secret_header="X-Gateway-Secret",
    secret=SECRET,
    addresses=networks("10.0.0.5, 10.1.0.0/16, fd00::/8"),
    roles=roles_of,
)
USER, PROOF = (b"x-forwarded-user", b"ann"), (b"x-gateway-secret", SECRET.encode())


def request(*lines: tuple[bytes, bytes], peer: str = "192.0.2.1") -> RequestContext:
    return RequestContext("GET", dict(lines), lines, "1", InFlight(), (peer, "1"))


async def by_gateway(*lines: tuple[bytes, bytes], peer: str = "192.0.2.1") -> Caller | None:
    return await GATEWAY.caller_of(request(*lines, peer=peer), is_page=False)


async def test_the_gateway_names_the_user_and_roles() -> None:
    groups = (b"x-forwarded-groups", b"staff, operator;moderator")
    found = await by_gateway(USER, groups, PROOF)
    assert found == Caller("ann", frozenset({Role.OPERATOR, Role.MODERATOR}))
    assert await by_gateway((b"x-forwarded-user", "Zoë".encode()), PROOF) == Caller("Zoë")
    assert await by_gateway(PROOF) is None
    assert await by_gateway((b"x-forwarded-user", b" "), PROOF) is None


@pytest.mark.parametrize("peer", ["10.0.0.5", "10.1.2.3", "::ffff:10.0.0.5", "fd00::1"])
async def test_a_gateway_at_a_listed_address_needs_no_secret(peer: str) -> None:
    assert await by_gateway(USER, peer=peer) == Caller("ann")


@pytest.mark.parametrize("peer", ["10.0.0.6", "127.0.0.1", "::1", "fe80::1", "", "unix"])
async def test_headers_from_elsewhere_are_refused(peer: str) -> None:
    with pytest.raises(NotAuthenticated, match="did not come from the gateway"):
        await by_gateway(USER, peer=peer)


@pytest.mark.parametrize("secret", [b"", b"the gateway's secre", b"the gateway's secret2", b"THE GATEWAY'S SECRET"])
async def test_a_wrong_secret_is_refused_and_not_repeated(secret: bytes) -> None:
    with pytest.raises(NotAuthenticated) as caught:
        await by_gateway(USER, (b"x-gateway-secret", secret))
    assert SECRET not in caught.value.message
    assert SECRET not in repr(GATEWAY)


@pytest.mark.parametrize("twice", [USER, PROOF, (b"x-forwarded-groups", b"operator")])
async def test_a_header_that_was_sent_twice_is_refused(twice: tuple[bytes, bytes]) -> None:
    """A gateway that adds its header to the client's would let the client choose its user or roles."""
    with pytest.raises(MalformedRequest, match="was sent 2 times"):
        await by_gateway(USER, (b"x-forwarded-groups", b"staff"), PROOF, twice)


async def test_a_name_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(MalformedRequest, match="X-Forwarded-User is not UTF-8"):
        await by_gateway((b"x-forwarded-user", b"\xff"), PROOF)


ANN = token("ann").encode()


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER  "])
async def test_the_api_takes_the_token_from_the_header(scheme: bytes) -> None:
    tokens = BearerTokens(verifier(), COOKIE)
    assert await tokens.caller_of(request((b"authorization", scheme + ANN)), is_page=False) == Caller("ann")
    assert await tokens.caller_of(request(), is_page=False) is None


@pytest.mark.parametrize("given", [b"Basic YW5uOmFubg==", b"Bearer", b"", ANN])
async def test_other_credentials_are_refused(given: bytes) -> None:
    with pytest.raises(NotAuthenticated, match="has no Bearer token"):
        await BearerTokens(verifier(), COOKIE).caller_of(request((b"authorization", given)), is_page=False)


async def test_pages_take_it_from_the_cookie_too() -> None:
    cookie = request((b"cookie", b"a=b; " + COOKIE.encode() + b"=" + ANN + b"; c"))
    assert await BearerTokens(verifier(), COOKIE).caller_of(cookie, is_page=True) == Caller("ann")
    assert await BearerTokens(verifier(), COOKIE).caller_of(cookie, is_page=False) is None
    assert await BearerTokens(verifier(), None).caller_of(cookie, is_page=True) is None

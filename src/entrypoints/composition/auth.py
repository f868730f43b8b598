"""Builders of the access control, one for each value of `auth.mode` that has one. PyJWT is imported by its builder
only."""

from collections.abc import Callable, Collection
from pathlib import Path

from application.ports.system import Clock
from domain.callers import Role
from entrypoints.serving.access import AccessControl, Authenticator
from entrypoints.serving.authenticators import BearerTokens, GatewayHeaders
from entrypoints.settings.addresses import networks
from entrypoints.settings.model import Auth, Jwt, Roles


def by_gateway(auth: Auth) -> AccessControl:
    settings = auth.gateway
    headers = GatewayHeaders(
        user_header=settings.user_header,
        roles_header=settings.roles_header,
        secret_header=settings.secret_header,
        secret=settings.secret.reveal() if settings.secret else None,
        addresses=networks(settings.addresses),
        roles=_roles(auth.roles),
    )
    return _access_control(auth, headers)


def by_jwt(auth: Auth, clock: Clock) -> AccessControl:
    """Raises `CannotOpen`."""
    from adapters.jwt.keys import Keys, KeysAtUrl, keys_in_file, secret_key
    from adapters.jwt.tokens import Expected, JwtVerifier

    settings = auth.jwt
    keys: Keys
    match settings:
        case Jwt(jwks_url=str(url)):
            keys = KeysAtUrl(url, clock)
        case Jwt(jwks_file=str(file)):
            keys = keys_in_file(Path(file), "auth.jwt.jwks_file")
        case Jwt(secret=secret):
            keys = secret_key(secret.reveal() if secret else "")
    expected = Expected(
        issuer=settings.issuer or "",
        audience=settings.audience or "",
        leeway_seconds=settings.leeway_seconds,
        user_claim=settings.user_claim,
        roles_claim=settings.roles_claim,
        roles=_roles(auth.roles),
    )
    return _access_control(auth, BearerTokens(JwtVerifier(expected, keys, clock), settings.cookie))


def _roles(settings: Roles) -> Callable[[Collection[str]], frozenset[Role]]:
    names = {role: getattr(settings, role.value) for role in Role}
    return lambda given: frozenset(role for role, name in names.items() if name in given)


def _access_control(auth: Auth, authenticator: Authenticator) -> AccessControl:
    return AccessControl(
        authenticator=authenticator, anonymous_reads=auth.anonymous_reads, sign_in_url=auth.sign_in_url
    )

"""What the settings of `auth` need of each other."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from entrypoints.settings.addresses import is_loopback, networks
from entrypoints.settings.model import Auth, Jwt, Settings

_SHORTEST_GATEWAY_SECRET: Final = 16
_SHORTEST_HS256_SECRET: Final = 32
"""RFC 7518, section 3.2: as long as the hash."""


def auth_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """Path and sentence of each problem."""
    check = _CHECKS[settings.auth.mode]
    for path, sentence in check(settings.auth):
        yield f"auth.{path}", sentence
    if (url := settings.auth.sign_in_url) is not None and not url.startswith(("/", "https://", "http://")):
        yield "auth.sign_in_url", "must begin with / or https:// or http://"


def _of_none(_: Auth) -> Iterator[tuple[str, str]]:
    return iter(())


def _of_gateway(auth: Auth) -> Iterator[tuple[str, str]]:
    gateway = auth.gateway
    if gateway.secret is None and gateway.addresses is None:
        yield "mode", "is gateway, which needs auth.gateway.secret_file (or secret) or auth.gateway.addresses"
    if gateway.secret is not None and len(gateway.secret.reveal()) < _SHORTEST_GATEWAY_SECRET:
        yield "gateway.secret", f"is too short; use {_SHORTEST_GATEWAY_SECRET} random characters or more"
    try:
        networks(gateway.addresses)
    except ValueError as error:
        yield "gateway.addresses", f"must be addresses or networks, separated by commas: {error}"
    names = [gateway.user_header, gateway.roles_header, gateway.secret_header]
    if len({name.lower() for name in names}) < len(names):
        yield "gateway.user_header", "and the other headers must have different names"


def _of_jwt(auth: Auth) -> Iterator[tuple[str, str]]:
    jwt = auth.jwt
    for name in ("issuer", "audience"):
        if getattr(jwt, name) is None:
            yield f"jwt.{name}", "is missing; without it, tokens that are meant for other services would be accepted"
    given = [jwt.jwks_url is not None, jwt.jwks_file is not None, jwt.secret is not None]
    if sum(given) != 1:
        yield "mode", "is jwt, which needs one of auth.jwt.jwks_url, auth.jwt.jwks_file and auth.jwt.secret_file"
    yield from _of_keys(jwt)


def _of_keys(jwt: Jwt) -> Iterator[tuple[str, str]]:
    if jwt.jwks_url is not None and jwt.jwks_url.startswith("http://"):
        host = urlsplit(jwt.jwks_url).hostname
        if host is None or not is_loopback(host):
            yield "jwt.jwks_url", "must begin with https://, since others could replace the keys on the way"
    if jwt.jwks_url is not None and "@" in jwt.jwks_url:
        yield "jwt.jwks_url", "must not contain a user or a password"
    if jwt.jwks_file is not None and not Path(jwt.jwks_file).is_file():
        yield "jwt.jwks_file", f"is {jwt.jwks_file}, which is not a file"
    if jwt.secret is not None and len(jwt.secret.reveal().encode()) < _SHORTEST_HS256_SECRET:
        yield "jwt.secret", f"is too short; use {_SHORTEST_HS256_SECRET} random characters or more"


_CHECKS: dict[str, Callable[[Auth], Iterator[tuple[str, str]]]] = {
    "none": _of_none,
    "gateway": _of_gateway,
    "jwt": _of_jwt,
}

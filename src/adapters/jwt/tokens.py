"""Verifies JSON Web Tokens: signature, issuer, audience, expiry, not-before; and reads name and roles from claims."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import jwt
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuerError,
    MissingRequiredClaimError,
    PyJWTError,
)

from adapters.jwt.keys import Keys
from application.errors import InvalidToken
from application.ports.system import Clock
from domain.callers import Caller, Role

_MOST_CACHED: Final = 10_000
_LONGEST: Final = 16_384
_SEPARATORS = re.compile(r"[\s,]+")

_REASONS: tuple[tuple[type[PyJWTError], str], ...] = (
    (ExpiredSignatureError, "The token has expired; sign in again."),
    (ImmatureSignatureError, "The token is not valid yet; check the clocks of this service and of the issuer."),
    (InvalidAudienceError, "The token was issued for another service (auth.jwt.audience)."),
    (InvalidIssuerError, "The token comes from another issuer (auth.jwt.issuer)."),
)
_UNKNOWN_KEY = "The token is not signed with a key of the issuer."
_MALFORMED = "The token is not a signed JSON Web Token (JWS)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a token must say, and where it says the rest. `roles` turns the issuer's names of roles into
    ours."""

    issuer: str
    audience: str
    leeway_seconds: float
    user_claim: str
    roles_claim: str
    roles: Callable[[Collection[str]], frozenset[Role]]


class JwtVerifier:
    """Remembers verified tokens by their hash, until they expire or the keys change."""

    def __init__(self, expected: Expected, keys: Keys, clock: Clock) -> None:
        self._expected = expected
        self._keys = keys
        self._clock = clock
        self._cached: dict[bytes, tuple[Caller, float]] = {}
        self._generation = keys.generation

    async def verify(self, token: str) -> Caller:
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._remembered(digest)
        if known is not None:
            return known
        claims = await self._verified(token)
        roles = self._expected.roles(_texts(_claim(claims, self._expected.roles_claim)))
        caller = Caller(_name(claims, self._expected.user_claim), roles)
        self._remember(digest, caller, int(claims["exp"]) + self._expected.leeway_seconds)
        return caller

    def _remembered(self, digest: bytes) -> Caller | None:
        if self._generation != self._keys.generation:
            self._generation = self._keys.generation
            self._cached.clear()
        found = self._cached.get(digest)
        if found is None:
            return None
        caller, until = found
        if self._clock.now().timestamp() < until:
            return caller
        del self._cached[digest]
        return None

    def _remember(self, digest: bytes, caller: Caller, until: float) -> None:
        if len(self._cached) >= _MOST_CACHED:
            del self._cached[next(iter(self._cached))]
        self._cached[digest] = (caller, until)

    async def _verified(self, token: str) -> dict[str, Any]:
        key_id, algorithm = _header_of(token)
        problem = _UNKNOWN_KEY
        for key in await self._keys.fitting(key_id, algorithm):
            try:
                return self._decoded(token, key.material, key.algorithm)
            except PyJWTError as error:
                problem = _reason(error)
            except (ValueError, TypeError, OverflowError) as error:  # a time that is no number
                raise InvalidToken(_MALFORMED) from error
        raise InvalidToken(problem)

    def _decoded(self, token: str, material: Any, algorithm: str) -> dict[str, Any]:
        expected = self._expected
        claims: dict[str, Any] = jwt.decode(
            token,
            material,
            algorithms=[algorithm],
            audience=expected.audience,
            issuer=expected.issuer,
            leeway=expected.leeway_seconds,
            options={"require": ["exp", "iss", "aud"]},
        )
        return claims


def _header_of(token: str) -> tuple[str | None, str]:
    """Key id and algorithm, neither of them verified. Raises `InvalidToken`."""
    if len(token) > _LONGEST:
        raise InvalidToken(f"The token is longer than {_LONGEST:,} characters.")
    try:
        header = jwt.get_unverified_header(token)
    except (PyJWTError, ValueError) as error:
        raise InvalidToken(_MALFORMED) from error
    key_id, algorithm = header.get("kid"), header.get("alg")
    if not isinstance(algorithm, str):
        raise InvalidToken(_MALFORMED)
    return (key_id if isinstance(key_id, str) else None), algorithm


def _reason(error: PyJWTError) -> str:
    if isinstance(error, MissingRequiredClaimError):
        return f"The token has no claim {error.claim}."
    return next((sentence for kind, sentence in _REASONS if isinstance(error, kind)), _UNKNOWN_KEY)


def _name(claims: Mapping[str, Any], claim: str) -> str:
    name = _claim(claims, claim)
    if not isinstance(name, str) or not name:
        raise InvalidToken(f"The token has no user name in its claim {claim} (auth.jwt.user_claim).")
    return name


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """By its name, else along the dots in it. None when there is none."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _texts(value: Any) -> Collection[str]:
    if isinstance(value, str):
        return _SEPARATORS.split(value)
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []

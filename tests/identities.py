"""Users with tokens, for the tests of who may do what; and tokens that must not be accepted."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from adapters.jwt.keys import FixedKeys, Keys, parsed
from adapters.jwt.tokens import Expected, JwtVerifier
from adapters.system.clock_and_ids import SystemClock
from domain.callers import Caller, Role
from entrypoints.serving.access import AccessControl
from entrypoints.serving.authenticators import BearerTokens

ISSUER, AUDIENCE, COOKIE = "https://id.postlog.test", "postlog", "id_token"

RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

ROLES: Mapping[str, Collection[str]] = {
    "rita": [],
    "olaf": [],
    "ann": [],
    "mona": ["moderator"],
    "otto": ["operator"],
    "iris": ["importer"],
}
EVERYTHING = ["importer", "moderator", "operator"]
"""Users, by their roles: a reader, the author of another post, the author, a moderator, an operator, an importer."""


def key_set(*kinds: str) -> bytes:
    """The JSON Web Key Set with the public keys of these algorithms, all of them by default."""
    keys = {
        "RS256": RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True),
        "ES256": ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True),
        "EdDSA": OKPAlgorithm.to_jwk(ED_KEY.public_key(), as_dict=True),
    }
    return json.dumps({"keys": [keys[kind] | {"kid": kind} for kind in kinds or keys]}).encode()


def claims(name: str, **changes: Any) -> dict[str, Any]:
    """None removes a claim."""
    now = int(time.time())
    found = {"iss": ISSUER, "aud": AUDIENCE, "sub": name, "roles": ROLES.get(name, []), "iat": now, "exp": now + 86_400}
    return {key: value for key, value in (found | changes).items() if value is not None}


def token(name: str, *, key: Any = RSA_KEY, algorithm: str = "RS256", kid: str | None = None, **changes: Any) -> str:
    headers = {"kid": kid or algorithm}
    return jwt.encode(claims(name, **changes), key, algorithm, headers=headers)


def unsigned_token(name: str) -> str:
    return jwt.encode(claims(name), None, "none", headers={"kid": "RS256"})


def confused_token(name: str) -> str:
    """Signed by HS256 with the issuer's public key as the secret: the attack that PyJWT's own `encode` refuses."""
    parts = [json.dumps({"alg": "HS256", "kid": "RS256", "typ": "JWT"}), json.dumps(claims(name))]
    head = ".".join(_base64(part.encode()) for part in parts)
    return f"{head}.{_base64(hmac.digest(PEM, head.encode(), sha256))}"


def _base64(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


HOUR_AGO = int(time.time()) - 3_600
BAD_TOKENS = {
    "expired": token("otto", exp=HOUR_AGO),
    "audience": token("otto", aud="another"),
    "key": token("otto", key=OTHER_RSA_KEY),
    "none": unsigned_token("otto"),
    "confusion": confused_token("otto"),
}
"""All in the name of an operator."""


def roles_of(names: Collection[str]) -> frozenset[Role]:
    return frozenset(role for role in Role if role in names)


def verifier(keys: Keys | None = None, **changes: Any) -> JwtVerifier:
    expected: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "leeway_seconds": 10.0,
        "user_claim": "sub",
        "roles_claim": "roles",
        "roles": roles_of,
    }
    return JwtVerifier(Expected(**(expected | changes)), keys or FixedKeys(parsed(key_set())), SystemClock())


def access_control(*, anonymous_reads: bool = True, sign_in_url: str | None = None) -> AccessControl:
    return AccessControl(
        authenticator=BearerTokens(verifier(), COOKIE), anonymous_reads=anonymous_reads, sign_in_url=sign_in_url
    )


def caller(name: str) -> Caller:
    return Caller(name, roles_of(ROLES[name]))

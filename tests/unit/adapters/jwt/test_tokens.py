"""Which tokens are accepted, and what is read from them."""

import time
from typing import Any

import jwt
import pytest

from adapters.jwt import tokens
from adapters.jwt.keys import FixedKeys, Key, parsed, secret_key
from application.errors import InvalidToken
from domain.callers import Caller, Role
from identities import (
    BAD_TOKENS,
    EC_KEY,
    ED_KEY,
    HOUR_AGO,
    ISSUER,
    OTHER_RSA_KEY,
    PEM,
    RSA_KEY,
    claims,
    confused_token,
    key_set,
    token,
    verifier,
)

SECRET = "a secret of thirty-two characters"


@pytest.mark.parametrize(("key", "algorithm"), [(RSA_KEY, "RS256"), (EC_KEY, "ES256"), (ED_KEY, "EdDSA")])
async def test_a_token_signed_with_a_key_of_the_issuer_names_its_user_and_roles(key: Any, algorithm: str) -> None:
    given = token("mona", key=key, algorithm=algorithm)
    assert await verifier().verify(given) == Caller("mona", frozenset({Role.MODERATOR}))


async def test_a_token_signed_with_the_shared_secret_is_accepted_where_the_settings_name_a_secret() -> None:
    given = token("ann", key=SECRET, algorithm="HS256")
    assert await verifier(secret_key(SECRET)).verify(given) == Caller("ann")
    with pytest.raises(InvalidToken):
        await verifier().verify(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (BAD_TOKENS["expired"], "The token has expired; sign in again."),
        (BAD_TOKENS["audience"], "The token was issued for another service (auth.jwt.audience)."),
        (BAD_TOKENS["key"], "The token is not signed with a key of the issuer."),
        (BAD_TOKENS["none"], "The token is not signed with a key of the issuer."),
        (BAD_TOKENS["confusion"], "The token is not signed with a key of the issuer."),
        (token("ann", iss="https://elsewhere.test"), "The token comes from another issuer (auth.jwt.issuer)."),
        (
            token("ann", nbf=HOUR_AGO + 7_200),
            "The token is not valid yet; check the clocks of this service and of the issuer.",
        ),
        (token("ann", exp=None), "The token has no claim exp."),
        (token("ann", aud=None), "The token has no claim aud."),
        (token("ann", iss=None), "The token has no claim iss."),
        (token("ann", sub=None), "The token has no user name in its claim sub (auth.jwt.user_claim)."),
        (token(""), "The token has no user name in its claim sub (auth.jwt.user_claim)."),
        (token("ann", kid="unknown"), "The token is not signed with a key of the issuer."),
        (token("ann", key=EC_KEY, algorithm="ES256", kid="RS256"), "The token is not signed with a key of the issuer."),
        ("", "The token is not a signed JSON Web Token (JWS)."),
        ("a.b.c", "The token is not a signed JSON Web Token (JWS)."),
        ("\ud800", "The token is not a signed JSON Web Token (JWS)."),
        ("a" * 20_000, "The token is longer than 16,384 characters."),
        (token("ann")[:-21], "The token is not a signed JSON Web Token (JWS)."),
        (
            ".".join([*token("otto").split(".")[:2], token("ann").split(".")[2]]),
            "The token is not signed with a key of the issuer.",
        ),
    ],
)
async def test_every_other_token_is_refused_with_a_reason_and_nothing_of_the_token(given: str, message: str) -> None:
    with pytest.raises(InvalidToken) as caught:
        await verifier().verify(given)
    assert caught.value.message == message


@pytest.mark.parametrize("material", [PEM, PEM.decode()])
async def test_a_public_key_is_no_secret_even_if_the_library_would_take_it(material: Any) -> None:
    """The key's kind decides on the algorithm. With the algorithm of the token's header, this token would verify."""
    keys = FixedKeys([Key("RS256", "RS256", material)])
    with pytest.raises(InvalidToken):
        await verifier(keys).verify(confused_token("otto"))


async def test_times_are_checked_with_leeway() -> None:
    late = token("ann", exp=int(time.time()) - 5)
    early = token("ann", nbf=int(time.time()) + 5, iat=None)
    for given in (late, early):
        assert await verifier(leeway_seconds=60.0).verify(given) == Caller("ann")
        with pytest.raises(InvalidToken):
            await verifier(leeway_seconds=0.0).verify(given)


@pytest.mark.parametrize(
    ("claim", "given"),
    [
        ("roles", {"roles": ["operator", "other", 1]}),
        ("roles", {"roles": "other operator"}),
        ("roles", {"roles": "other,operator"}),
        ("realm_access.roles", {"roles": None, "realm_access": {"roles": ["operator"]}}),
        ("https://a.b/roles", {"roles": None, "https://a.b/roles": ["operator"]}),
    ],
)
async def test_roles_are_read_from_lists_and_texts_and_from_objects(claim: str, given: dict[str, Any]) -> None:
    found = await verifier(roles_claim=claim).verify(token("ann", **given))
    assert found == Caller("ann", frozenset({Role.OPERATOR}))


@pytest.mark.parametrize("roles", [{}, {"operator": True}, 7, None, [["operator"]]])
async def test_other_claims_give_no_role(roles: Any) -> None:
    assert await verifier().verify(token("ann", roles=roles)) == Caller("ann")
    assert await verifier(roles_claim="roles.deeper").verify(token("ann", roles=roles)) == Caller("ann")


class CountedKeys(FixedKeys):
    def __init__(self) -> None:
        super().__init__(parsed(key_set()))
        self.asked = 0

    async def fitting(self, key_id: str | None, algorithm: str):
        self.asked += 1
        return await super().fitting(key_id, algorithm)


async def test_a_verified_token_is_remembered_until_the_keys_change() -> None:
    keys = CountedKeys()
    remembering = verifier(keys)
    given = token("ann")
    for _ in range(3):
        await remembering.verify(given)
    assert keys.asked == 1
    keys.generation += 1
    keys._keys = []
    with pytest.raises(InvalidToken):
        await remembering.verify(given)


async def test_a_remembered_token_expires() -> None:
    remembering = verifier(leeway_seconds=0.0)
    given = token("ann", exp=int(time.time()) + 2)
    await remembering.verify(given)
    deadline = time.time() + 5
    while await outcome(remembering, given) == Caller("ann"):
        assert time.time() < deadline
    assert await outcome(remembering, given) == "The token has expired; sign in again."


async def test_only_so_many_tokens_are_remembered_and_none_that_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_MOST_CACHED", 3)
    remembering = verifier()
    for number in range(10):
        await remembering.verify(token(f"user {number}"))
    with pytest.raises(InvalidToken):
        await remembering.verify(token("ann", key=OTHER_RSA_KEY))
    assert [caller.name for caller, _ in remembering._cached.values()] == ["user 7", "user 8", "user 9"]


async def test_a_remembered_caller_is_the_one_that_was_verified() -> None:
    """The cached path and the plain one agree, for good and bad tokens."""
    remembering = verifier()
    for given in (token("ann"), token("otto"), *BAD_TOKENS.values()):
        first, second = [await outcome(remembering, given) for _ in range(2)]
        assert first == second == await outcome(verifier(), given)


async def outcome(checked: tokens.JwtVerifier, given: str) -> object:
    try:
        return await checked.verify(given)
    except InvalidToken as error:
        return error.message


async def test_a_time_that_is_no_number_is_refused() -> None:
    given = jwt.encode(claims("ann") | {"iss": ISSUER, "exp": "soon"}, RSA_KEY, "RS256", headers={"kid": "RS256"})
    with pytest.raises(InvalidToken):
        await verifier().verify(given)

"""Tokens of a real identity provider: its keys rotate, are withdrawn, and can't be reached while the service runs."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest

from integration.conftest import got
from integration.identity.provider import Provider
from running import Running, ticks

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

A_MINUTE = 75.0
"""Between two reads of the keys, and what a busy machine adds."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    with got(Provider) as provider:
        yield provider


@pytest.fixture
def address(provider: Provider, tmp_path: Path) -> Iterator[str]:
    settings = {
        "POSTLOG_DATA": str(tmp_path),
        "PORT": "0",
        "POSTLOG__AUTH__MODE": "jwt",
        "POSTLOG__AUTH__JWT__ISSUER": provider.issuer,
        "POSTLOG__AUTH__JWT__AUDIENCE": "postlog",
        "POSTLOG__AUTH__JWT__JWKS_URL": provider.jwks_url,
        "POSTLOG__AUTH__JWT__ROLES_CLAIM": "realm_access.roles",
    }
    with Running(tmp_path, "run", env=settings) as running:
        yield running.address(90)


def posted(address: str, token: str) -> httpx.Response:
    return httpx.post(
        f"{address}/api/v1/posts",
        json={"message": "Hello"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )


def status_of(address: str, path: str, token: str) -> int:
    return httpx.get(f"{address}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=30).status_code


def test_its_tokens_name_users_and_roles_while_its_keys_rotate(provider: Provider, address: str) -> None:
    first = {name: provider.token(name) for name in ("ann", "olaf", "mona", "otto")}
    created = posted(address, first["ann"])
    assert created.status_code == 201, created.text
    post = f"{address}{created.headers['location']}"
    assert httpx.delete(post, headers={"Authorization": f"Bearer {first['olaf']}"}).json()["code"] == "not-the-author"
    assert httpx.delete(post, headers={"Authorization": f"Bearer {first['mona']}"}).status_code == 200
    assert status_of(address, "/api/v1/read-db", first["otto"]) == 200
    assert status_of(address, "/api/v1/read-db", first["mona"]) == 403

    used: set[str] = {jwt.get_unverified_header(first["ann"])["kid"]}
    for _ in range(2):  # from RS256 to ES256 and back
        provider.rotate()
        newest = provider.token("ann")
        used.add(jwt.get_unverified_header(newest)["kid"])
        for _ in ticks(A_MINUTE, "tokens signed with the new key are refused"):
            if posted(address, newest).status_code == 201:
                break
            time.sleep(0.5)
        assert posted(address, first["olaf"]).status_code == 201, "the old key is still published"
    assert len(used) == 3


def test_while_it_can_not_be_reached_the_keys_read_before_are_used(provider: Provider, address: str) -> None:
    ann, olaf = provider.token("ann"), provider.token("olaf")
    assert posted(address, ann).status_code == 201
    provider.rotate()
    newest = provider.token("ann")
    time.sleep(61)
    with provider.frozen():
        began = time.monotonic()
        assert posted(address, newest).status_code == 401
        assert time.monotonic() - began < 20
        assert posted(address, olaf).status_code == 201, "a token that it has not seen before"
        assert httpx.get(f"{address}/health/ready", timeout=30).status_code == 200
    for _ in ticks(A_MINUTE, "the new key was not read"):
        if posted(address, newest).status_code == 201:
            break
        time.sleep(0.5)


def test_tokens_of_another_provider_are_refused(provider: Provider, address: str) -> None:
    with got(Provider) as other:
        assert posted(address, other.token("ann")).status_code == 401
    assert posted(address, provider.token("ann")).status_code == 201

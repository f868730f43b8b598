"""The issuer's keys: which are used, and when they are read from their URL."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from adapters.jwt.keys import OUTDATED_SECONDS, REFRESH_SECONDS, KeysAtUrl, keys_in_file, parsed
from application.errors import CannotOpen, IdentityUnavailable, InvalidToken
from identities import RSA_KEY, key_set, token, verifier
from unit.entrypoints.http.fakes import FakeClock

URL = "https://id.postlog.test/jwks"


class Issuer:
    """Publishes `keys`; an error is raised."""

    def __init__(self, keys: bytes | Exception) -> None:
        self.keys = keys
        self.reads = 0
        self.gate = threading.Event()
        self.gate.set()

    def read(self, url: str) -> bytes:
        assert url == URL
        self.reads += 1
        self.gate.wait(5)
        if isinstance(self.keys, Exception):
            raise self.keys
        return self.keys


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def settled() -> None:
    """Reads that are under way have ended."""
    while any(task.get_name() == "keys of the token issuer" for task in asyncio.all_tasks()):
        await asyncio.sleep(0.001)


async def test_keys_are_read_once_when_they_are_first_needed(clock: FakeClock) -> None:
    issuer = Issuer(key_set("RS256"))
    keys = KeysAtUrl(URL, clock, issuer.read)
    found = await asyncio.gather(*(keys.fitting("RS256", "RS256") for _ in range(20)))
    assert ({len(each) for each in found}, issuer.reads) == ({1}, 1)


async def test_an_unknown_key_id_reads_them_again_at_most_once_a_minute(clock: FakeClock) -> None:
    issuer = Issuer(key_set("RS256"))
    keys = KeysAtUrl(URL, clock, issuer.read)
    await keys.fitting("RS256", "RS256")
    issuer.keys = key_set("RS256", "ES256")
    for _ in range(5):
        assert await keys.fitting("ES256", "ES256") == []
    assert issuer.reads == 1
    clock.seconds += REFRESH_SECONDS
    assert [key.id for key in await keys.fitting("ES256", "ES256")] == ["ES256"]
    for _ in range(5):
        assert await keys.fitting("nobody's", "ES256") == []
    assert issuer.reads == 2


async def test_when_a_read_fails_the_old_keys_stay_and_the_log_says_so(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = Issuer(key_set("RS256"))
    keys = KeysAtUrl(URL, clock, issuer.read)
    await keys.fitting("RS256", "RS256")
    for failure in (OSError("refused"), b"<html>", b"[]", b'{"keys": []}', b'{"keys": 1}', b"[" * 100_000):
        issuer.keys = failure
        clock.seconds += REFRESH_SECONDS
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert await keys.fitting("unknown", "RS256") == []
        assert "the 1 keys read before stay in use" in caplog.text
        assert len(await keys.fitting("RS256", "RS256")) == 1


async def test_without_any_key_the_answer_is_to_try_again_later(clock: FakeClock) -> None:
    issuer = Issuer(OSError("refused"))
    keys = KeysAtUrl(URL, clock, issuer.read)
    for _ in range(3):
        with pytest.raises(IdentityUnavailable):
            await keys.fitting("RS256", "RS256")
    assert issuer.reads == 1
    issuer.keys = key_set("RS256")
    clock.seconds += 3
    assert len(await keys.fitting("RS256", "RS256")) == 1


async def test_keys_that_the_issuer_withdrew_are_dropped_after_an_hour_with_the_tokens_they_verified(
    clock: FakeClock,
) -> None:
    issuer = Issuer(key_set("RS256"))
    remembering = verifier(KeysAtUrl(URL, clock, issuer.read))
    given = token("ann")
    await remembering.verify(given)
    issuer.keys = key_set("ES256")
    clock.seconds += OUTDATED_SECONDS + 1
    await remembering.verify(token("ben"))  # does not wait for the keys that it causes to be read
    await settled()
    with pytest.raises(InvalidToken):
        await remembering.verify(given)


async def test_a_slow_issuer_blocks_nobody_else(clock: FakeClock) -> None:
    issuer = Issuer(key_set("RS256"))
    keys = KeysAtUrl(URL, clock, issuer.read)
    await keys.fitting("RS256", "RS256")
    clock.seconds += REFRESH_SECONDS
    issuer.gate.clear()
    waiting = asyncio.create_task(keys.fitting("unknown", "RS256"))
    while issuer.reads < 2:
        await asyncio.sleep(0.001)
    assert len(await asyncio.wait_for(keys.fitting("RS256", "RS256"), 1)) == 1
    waiting.cancel()
    issuer.gate.set()
    await settled()


def test_only_signing_keys_of_the_three_algorithms_are_used() -> None:
    usable = json.loads(key_set())["keys"]
    weak = RSAAlgorithm.to_jwk(rsa.generate_private_key(65_537, 1_024).public_key(), as_dict=True)
    other_curve = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True)
    others: list[Any] = [
        {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"},
        usable[0] | {"use": "enc"},
        usable[0] | {"alg": "RS512"},
        usable[0] | {"n": 7},
        {"kty": "EC", "crv": "P-256"},
        weak,
        other_curve,
        "text",
    ]
    found = parsed(json.dumps({"keys": [*others, *usable]}).encode())
    assert [(key.id, key.algorithm) for key in found] == [("RS256", "RS256"), ("ES256", "ES256"), ("EdDSA", "EdDSA")]


def test_a_file_without_keys_is_refused_with_its_setting(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text("{}")
    for path in (file, tmp_path / "missing"):
        with pytest.raises(CannotOpen, match=r"^auth.jwt.jwks_file: .* can't be used as a JSON Web Key Set: "):
            keys_in_file(path, "auth.jwt.jwks_file")
    file.write_bytes(key_set())
    assert keys_in_file(file, "auth.jwt.jwks_file")


@contextmanager
def serving(status: int, body: bytes, location: str = "") -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


async def test_keys_are_read_over_http(clock: FakeClock) -> None:
    with serving(200, key_set("RS256")) as url:
        [key] = await KeysAtUrl(url, clock).fitting("RS256", "RS256")
    assert key.material == RSA_KEY.public_key()


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_redirects_and_errors_give_no_keys(clock: FakeClock, status: int) -> None:
    with (
        serving(200, key_set()) as elsewhere,
        serving(status, key_set(), elsewhere) as url,
        pytest.raises(IdentityUnavailable),
    ):
        await KeysAtUrl(url, clock).fitting("RS256", "RS256")

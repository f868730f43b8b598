"""S22: creating posts through `postlog serve command` that verifies tokens, compared with one that believes names: with
64 connections, each with a token of its own, and with one.
"""

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from benchmarks.bench import Bench, provision
from benchmarks.figures import Figure, rate
from benchmarks.rounds import in_turn
from benchmarks.serving import Call, load, serve_postlog
from benchmarks.writing import MESSAGE
from entrypoints.settings.model import Settings

ROWS = ("S22",)
_CONNECTIONS, _REQUESTS, _LONE_REQUESTS = 64, 8_000, 500
_ISSUER, _AUDIENCE = "https://id.bench.test", "postlog"
_POST = Call(method="POST", path="/api/v1/posts", body={"message": MESSAGE}, status=201)
_NAMED = replace(_POST, body={"author": "ann", "message": MESSAGE})


def measure(bench: Bench) -> list[Figure]:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    settings, believing = _settings(bench), _settings(bench)
    folders = [bench.folder / name for name in ("verifying", "believing")]
    for folder in folders:
        folder.mkdir()
    verifying = serve_postlog(bench.stack, folders[0], settings, "command", _auth(bench.folder, key))
    open_to_all = serve_postlog(bench.stack, folders[1], believing, "command")
    calls = [replace(_POST, headers={"Authorization": f"Bearer {_token(key, n)}"}) for n in range(_CONNECTIONS)]
    each, alone = bench.size(_REQUESTS) // _CONNECTIONS, bench.size(_LONE_REQUESTS)
    verified = [[call] * each for call in calls]
    believed = [[_NAMED] * each for _ in calls]
    many, many_believed = in_turn(
        bench.rounds,
        lambda: rate(each * _CONNECTIONS, load(verifying, verified).seconds),
        lambda: rate(each * _CONNECTIONS, load(open_to_all, believed).seconds),
    )
    one, one_believed = in_turn(
        bench.rounds,
        lambda: rate(alone, load(verifying, [[calls[0]] * alone]).seconds),
        lambda: rate(alone, load(open_to_all, [[_NAMED] * alone]).seconds),
    )
    note = "RS256 tokens of 64 users, each verified once and then remembered"
    return [
        Figure(line="S22 64", ours=many, theirs=many_believed, unit="commands/s", note=note),
        Figure(line="S22 1", ours=one, theirs=one_believed, unit="commands/s"),
    ]


def _settings(bench: Bench) -> Settings:
    settings = Settings(event_store=bench.empty_mongo(), read_db=bench.sqlite("unused").read_db)
    asyncio.run(provision(settings))
    return settings


def _auth(folder: Path, key: rsa.RSAPrivateKey) -> dict[str, str]:
    """The settings of a service that verifies tokens of this key."""
    keys = folder / "jwks.json"
    keys.write_text(json.dumps({"keys": [RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "1"}]}))
    return {
        "POSTLOG__AUTH__MODE": "jwt",
        "POSTLOG__AUTH__JWT__ISSUER": _ISSUER,
        "POSTLOG__AUTH__JWT__AUDIENCE": _AUDIENCE,
        "POSTLOG__AUTH__JWT__JWKS_FILE": str(keys),
    }


def _token(key: rsa.RSAPrivateKey, number: int) -> str:
    claims = {"iss": _ISSUER, "aud": _AUDIENCE, "sub": f"user {number}", "exp": int(time.time()) + 36_000}
    return jwt.encode(claims, key, "RS256", headers={"kid": "1"})

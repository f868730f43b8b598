"""The keys that verify tokens: one shared secret, or the public keys of the issuer, from a file or from a URL.

Each key verifies with one algorithm, which its kind decides and never the token: a public key is no secret of HS256,
and `none` is no algorithm.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol
from urllib.request import HTTPRedirectHandler, Request, build_opener

from jwt import PyJWK
from jwt.exceptions import PyJWTError

from application.errors import CannotOpen, IdentityUnavailable
from application.ports.system import Clock

REFRESH_SECONDS = 60.0
"""Between two reads of the URL that unknown keys cause."""

OUTDATED_SECONDS = 3_600.0
"""Keys that are older are read again: the issuer may have withdrawn one."""

_RETRY_SECONDS = 2.0
"""Between two reads while there are no keys at all."""

_TIMEOUT_SECONDS = 5.0
_MOST_BYTES = 1_000_000

_SHORTEST_RSA = 2_048

_ALGORITHMS: Mapping[tuple[Any, Any], str] = {
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}
"""By kind and curve. Secrets (oct) in a key set are ignored."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Key:
    """`id` is None for a key without one, which is tried for every token."""

    id: str | None
    algorithm: str
    material: Any

    def fits(self, key_id: str | None, algorithm: str) -> bool:
        return self.algorithm == algorithm and (None in (self.id, key_id) or self.id == key_id)


def _fitting(keys: Sequence[Key], key_id: str | None, algorithm: str) -> Sequence[Key]:
    return [key for key in keys if key.fits(key_id, algorithm)]


class Keys(Protocol):
    generation: int
    """Changes when the keys do."""

    async def fitting(self, key_id: str | None, algorithm: str) -> Sequence[Key]:
        """Those that may have signed the token. Raises `IdentityUnavailable` when no keys are known."""
        ...


class FixedKeys:
    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = keys
        self.generation = 0

    async def fitting(self, key_id: str | None, algorithm: str) -> Sequence[Key]:
        return _fitting(self._keys, key_id, algorithm)


def secret_key(secret: str) -> Keys:
    return FixedKeys([Key(None, "HS256", secret.encode())])


def keys_in_file(path: Path, setting: str) -> Keys:
    """Raises `CannotOpen`."""
    try:
        return FixedKeys(parsed(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise CannotOpen(f"{setting}: {path} can't be used as a JSON Web Key Set: {error}.", path=setting) from error


class KeysAtUrl:
    """Read when they are first needed, when a token has an unknown key, and every hour; in a thread. When a read fails,
    the old keys stay in use. Unknown keys cause one read a minute at most, whoever sends them."""

    def __init__(self, url: str, clock: Clock, read: Callable[[str], bytes] | None = None) -> None:
        self._url = url
        self._clock = clock
        self._read = read or _get
        self._keys: Sequence[Key] = ()
        self._reading: asyncio.Task[None] | None = None
        self._tried_at = self._read_at = float("-inf")
        self.generation = 0

    async def fitting(self, key_id: str | None, algorithm: str) -> Sequence[Key]:
        found = _fitting(self._keys, key_id, algorithm)
        if not found and self._may_read():
            await asyncio.shield(self._refresh())
            found = _fitting(self._keys, key_id, algorithm)
        elif self._clock.monotonic() - self._read_at > OUTDATED_SECONDS and self._may_read():
            self._refresh()  # this request does not wait for it
        if not self._keys:
            raise IdentityUnavailable(
                "The keys that verify tokens can't be read; the log has the reason (auth.jwt.jwks_url).",
                retry_after=5,
            )
        return found

    def _may_read(self) -> bool:
        """Also while a read is under way, which is then waited for."""
        pause = REFRESH_SECONDS if self._keys else _RETRY_SECONDS
        return self._reading is not None or self._clock.monotonic() - self._tried_at >= pause

    def _refresh(self) -> "asyncio.Task[None]":
        if self._reading is None:
            self._tried_at = self._clock.monotonic()
            self._reading = asyncio.create_task(self._read_keys(), name="keys of the token issuer")
        return self._reading

    async def _read_keys(self) -> None:
        try:
            keys = parsed(await asyncio.to_thread(self._read, self._url))
        except (OSError, ValueError, HTTPException, RecursionError) as error:
            kept = f"; the {len(self._keys)} keys read before stay in use" if self._keys else ""
            logger.warning("the keys at %s can't be read%s: %s (auth.jwt.jwks_url)", self._url, kept, error)
        else:
            if keys != self._keys:
                self.generation += 1
                logger.info("%d keys read from %s", len(keys), self._url)
            self._keys, self._read_at = keys, self._clock.monotonic()
        finally:
            self._reading = None


class _NoRedirects(HTTPRedirectHandler):
    """The keys come from the address in the settings, which is https unless it is on this machine."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _get(url: str) -> bytes:
    """Blocks. Raises `OSError`, `ValueError` and `HTTPException`."""
    request = Request(url, headers={"Accept": "application/json"})  # noqa: S310 (the settings allow http and https)
    with build_opener(_NoRedirects).open(request, timeout=_TIMEOUT_SECONDS) as response:
        content: bytes = response.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES:,} bytes")
    return content


def parsed(content: bytes) -> Sequence[Key]:
    """The usable keys of a JSON Web Key Set. Raises `ValueError` when there are none."""
    document = json.loads(content)
    listed = document.get("keys") if isinstance(document, dict) else None
    found = [key for each in listed if (key := _key(each)) is not None] if isinstance(listed, list) else []
    if not found:
        raise ValueError('no usable key; it must be {"keys": [...]} with keys for RS256, ES256 or EdDSA')
    return found


def _key(described: Any) -> Key | None:
    """None for keys of other kinds, and for those that encrypt."""
    if not isinstance(described, dict) or described.get("use", "sig") != "sig":
        return None
    algorithm = _ALGORITHMS.get((described.get("kty"), described.get("crv")))
    if algorithm is None or described.get("alg", algorithm) != algorithm:
        return None
    try:
        material = PyJWK(described, algorithm).key
    except PyJWTError:
        return None
    if algorithm == "RS256" and material.key_size < _SHORTEST_RSA:
        return None
    key_id = described.get("kid")
    return Key(key_id if isinstance(key_id, str) else None, algorithm, material)

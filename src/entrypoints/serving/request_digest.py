"""What was asked for with an idempotency key, as a digest that is kept beside the commit."""

from hashlib import sha256
from typing import Any

from msgspec import json


def request_digest(method: str, path: str, content: Any) -> str:
    """`content` is anything that msgspec encodes. The same for every spelling of one request: white space and the order
    of keys in its body do not count."""
    canonical = json.encode(content, order="sorted")
    return sha256(b"\n".join((method.encode(), path.encode(), canonical))).hexdigest()

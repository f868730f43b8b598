"""Settings as one line of JSON, passwords included, from a process to one that it starts: over a pipe, never as
arguments or variables, which others can see."""

import msgspec

from entrypoints.settings.loading import LoadedSettings
from entrypoints.settings.model import Settings
from entrypoints.settings.tree import leaves

SOURCE = "the service that began this"


def to_line(settings: Settings) -> bytes:
    return msgspec.json.encode(settings)


def from_line(line: bytes) -> LoadedSettings:
    """Raises `msgspec.DecodeError`."""
    return LoadedSettings(msgspec.json.decode(line, type=Settings), dict.fromkeys(leaves(), SOURCE))

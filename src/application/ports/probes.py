"""Is a server that we need there? Asked by readiness and by `postlog doctor`."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """`detail` is one sentence: what answers, or what is wrong, with the setting's path, and what to do."""

    name: str
    ok: bool
    detail: str


class Probe(Protocol):
    @property
    def name(self) -> str:
        """What it asks for; its results carry the same name."""
        ...

    async def probe(self) -> ProbeResult:
        """Never raises for a server that is away. Returns as soon as that is known; a server that is merely slow, as on
        a first connection to a busy machine, gets about five seconds."""
        ...

"""Which faults a run has: drawn from its seed beforehand, so that the run can be repeated with fewer of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

LOG, READ_DB, BUS = "log", "read database", "bus"

CALL_FAULTS = {
    "request lost": (LOG, READ_DB, BUS),
    "answer lost": (LOG, READ_DB, BUS),
    "acknowledged late": (LOG, READ_DB, BUS),
    "takes effect after the error": (LOG, BUS),
    "stored in part": (LOG, BUS),
    "server away": (LOG, READ_DB, BUS),
    "disk full": (LOG, READ_DB),
    "transaction refused": (READ_DB,),
    "transaction repeated": (READ_DB,),
    "message lost": (BUS,),
    "message duplicated": (BUS,),
    "message late": (BUS,),
}
"""They happen to calls of these servers, for a while, with some probability."""

EVENTS = {
    "failover": 3,
    "killed": 5,
    "killed between two awaits": 5,
    "paused": 5,
    "clock jumped": 2,
    "topic recreated": 1,
    "topic repartitioned": 1,
    "messages expired": 2,
    "rebalanced": 2,
    "sessions cut": 2,
    "lease expired": 1,
    "snapshots dropped": 1,
}
"""They happen once, at their time. The number is how often, relatively."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """From `at` on for `seconds`. `target` is a server, or the number of a process. `share` of the calls is affected;
    `seed` decides which."""

    kind: str
    at: float
    seconds: float
    target: str | int
    share: float
    seed: int

    def __str__(self) -> str:
        target = self.target if isinstance(self.target, str) else f"process {self.target}"
        share = f", {self.share:.0%} of the calls" if self.kind in CALL_FAULTS else ""
        return f"{self.at:7.3f} s  {self.kind} ({target}, {self.seconds:.3f} s{share})"


def draw_faults(random: Random, seconds: float, processes: int) -> list[Fault]:
    """In the order of their times; all are over after `seconds`. Most runs have a few kinds of faults only, because
    some cover up for others: nothing that was read is old when every other process is killed.
    """
    kinds = [*CALL_FAULTS, *EVENTS]
    some = random.sample(kinds, random.choice((2, 3, 5, len(kinds))))
    weights = [EVENTS.get(kind, 2) for kind in some]
    faults = []
    for _ in range(random.choice((0, 2, 4, 8, 12, 16, 24))):
        kind = random.choices(some, weights)[0]
        at = random.uniform(0, seconds * 0.8)
        if kind in CALL_FAULTS:
            target: str | int = random.choice(CALL_FAULTS[kind])
            lasts = random.choice((0.05, 0.5, 3.0, 10.0))
        else:
            target, lasts = random.randrange(processes), random.choice((0.01, 0.3, 2.0, 8.0))
        share, seed = random.choice((0.05, 0.2, 0.5, 1.0)), random.getrandbits(32)
        lasts = min(seconds - at, lasts)
        faults.append(Fault(kind=kind, at=at, seconds=lasts, target=target, share=share, seed=seed))
    return sorted(faults, key=lambda fault: fault.at)


@dataclass(slots=True)
class Faults:
    """The faults of a run, and how often each kind was injected so far."""

    faults: Sequence[Fault]
    injected: Counter[str] = field(default_factory=Counter)
    _windows: dict[str, list[tuple[Fault, Random]]] = field(default_factory=dict)
    """By server."""

    def __post_init__(self) -> None:
        for each in self.faults:
            if each.kind in CALL_FAULTS:
                self._windows.setdefault(str(each.target), []).append((each, Random(each.seed)))

    @property
    def events(self) -> list[Fault]:
        return [each for each in self.faults if each.kind in EVENTS]

    def heal(self) -> None:
        self._windows = {}

    def happens(self, kind: str, server: str, now: float) -> bool:
        """Whether this call of the server has this fault."""
        for fault, random in self._windows.get(server, ()):
            if fault.kind == kind and fault.at <= now < fault.at + fault.seconds and random.random() < fault.share:
                self.injected[kind] += 1
                return True
        return False

    def any_now(self, server: str, now: float) -> bool:
        """Whether a call of this server may have a fault."""
        windows = self._windows.get(server)
        return windows is not None and any(fault.at <= now < fault.at + fault.seconds for fault, _ in windows)

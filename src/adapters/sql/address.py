"""Which database this is, in words for people."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """`setting` is the path of the setting that names the database, `place` a file or a server, without its secrets.
    `secrets` must not show in a sentence, whatever a driver says; `describe` makes text of what it says."""

    setting: str
    place: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    describe: Callable[[object], str] = str

    def away(self, reason: object) -> str:
        return f"The read database {self.place} ({self.setting}) does not answer: {self.redacted(reason)}."

    def reported(self, reason: object, remedy: str = "") -> str:
        """The database answers, with an error. `remedy` says what to do, where that is known."""
        advice = f"; {remedy}" if remedy else ""
        return f"The read database {self.place} ({self.setting}) reported an error: {self.redacted(reason)}{advice}."

    def redacted(self, reason: object) -> str:
        """The first line of what a driver said, fit to stand in a sentence."""
        line = (self.describe(reason).strip().splitlines() or [type(reason).__name__])[0].strip().rstrip(".:")
        for secret in self.secrets:
            line = line.replace(secret, "***")
        return line

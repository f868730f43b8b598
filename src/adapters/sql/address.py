"""Names a read database to people, and makes the errors that say what is wrong with it. Importing it does not import
SQLAlchemy."""

from collections.abc import Callable
from dataclasses import dataclass, field

from application.errors import ReadDbUnavailable, SchemaOutdated


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """`setting` is the path of the setting that names the database, `place` a file or a server, without its secrets.
    `secrets` are masked in every message; `describe` makes text of what a driver raised."""

    setting: str
    place: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    describe: Callable[[object], str] = str

    def unreachable(self, reason: object) -> ReadDbUnavailable:
        return self.unavailable(f"does not answer: {self.redacted(reason)}")

    def reported(self, reason: object, remedy: str = "") -> ReadDbUnavailable:
        """The database answers with an error. `remedy` says what to do, where that is known."""
        advice = f"; {remedy}" if remedy else ""
        return self.unavailable(f"reported an error: {self.redacted(reason)}{advice}")

    def without_tables(self) -> SchemaOutdated:
        return self.outdated("has no tables yet; run `postlog init`")

    def without_live_row(self) -> ReadDbUnavailable:
        return self.unavailable(
            "does not have the one row in its table read_db that names the live rows; restore the database, or drop "
            "its tables and run `postlog init`"
        )

    def unavailable(self, what: str) -> ReadDbUnavailable:
        return ReadDbUnavailable(self._sentence(what), path=self.setting)

    def outdated(self, what: str) -> SchemaOutdated:
        return SchemaOutdated(self._sentence(what), path=self.setting)

    def redacted(self, reason: object) -> str:
        """The first line of what a driver said, without secrets, to be used inside a sentence."""
        line = (self.describe(reason).strip().splitlines() or [type(reason).__name__])[0].strip().rstrip(".:")
        for secret in self.secrets:
            line = line.replace(secret, "***")
        return line

    def _sentence(self, what: str) -> str:
        return f"The read database {self.place} ({self.setting}) {what}."

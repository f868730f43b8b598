"""Make what a store needs before its first use: tables, indexes, topic. Used by `postlog init`; repeatable.

The login that the service uses from day to day, with the least rights that work, made by an administrator.

Is a server that we need there? Asked by readiness and by `postlog doctor`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.errors import PostlogError


class Provisioning(Protocol):
    async def provision(self) -> list[str]:
        """Make what is missing and answer one sentence for each thing made; [] when all was there. Never drops
        anything.
        """
        ...

    async def check(self) -> str | None:
        """Raises `SchemaOutdated` with the command to run when what the service needs is not there. Returns a sentence
        on what it could not look at, if anything."""
        ...


class LoginNotMade(PostlogError):
    """The login can't be made as the addresses ask; trying again won't help. `path` names the address to blame: a
    setting of the service's, or the variable that holds the administrator's."""

    code = "login-not-made"


def names_too_little(setting: str, missing: Sequence[str]) -> LoginNotMade:
    return LoginNotMade(
        f"{setting} names no {' and no '.join(missing)}; `postlog init` makes the login that it names, with the "
        f"password from there.",
        path=setting,
    )


def may_do_more(setting: str, login: str, reasons: Sequence[str]) -> LoginNotMade:
    """`reasons` go on from "it": "is a superuser"."""
    return LoginNotMade(
        f"The login '{login}' that {setting} names may do more than the service needs: it {' and '.join(reasons)}. "
        f"Name another login there.",
        path=setting,
    )


class Logins(Protocol):
    """Login, password and database are those that the service's own address names. Used by `postlog init`, which
    provisions tables and indexes between the two steps, as the administrator; both are repeatable.

    A step answers one sentence for each thing it made or changed, and for what the login may do beyond its rights that
    Postlog can't take from it; no sentence has a password in it. Raises `LoginNotMade`, and `Unavailable` when the
    server does not answer.
    """

    @property
    def tables_url(self) -> str:
        """The service's database by the administrator's login, who makes and owns what is in it."""
        ...

    async def make_database(self) -> list[str]:
        """The database, when it is missing. The first that is asked of the server: an administrator's address that
        will not do is told here."""
        ...

    async def make_login(self) -> list[str]:
        """The login, when it is missing; its password, anew each time; and its rights: what the service does, nothing
        else. A login that may do more already, an administrator's above all, is refused and left as it is."""
        ...


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

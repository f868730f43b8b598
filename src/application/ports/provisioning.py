"""Before a store is used: create its tables, indexes or topic, create the service's login, probe its server."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.errors import PostlogError


class Provisioning(Protocol):
    """Used by `postlog init`; repeatable."""

    async def provision(self) -> list[str]:
        """Create what is missing. Returns one sentence for each thing created, [] if nothing was missing. Never drops
        anything.
        """
        ...

    async def check(self) -> str | None:
        """Raises `SchemaOutdated`, with the command to run, if something that the service needs is missing. Returns a
        sentence on what it could not check, if anything.
        """
        ...


class LoginNotMade(PostlogError):
    """The login can't be created with the given addresses; retrying does not help. `path` names the wrong address: a
    setting of the service, or the variable that holds the administrator's address.
    """

    code = "login-not-made"


def names_too_little(setting: str, missing: Sequence[str]) -> LoginNotMade:
    return LoginNotMade(
        f"{setting} contains no {' and no '.join(missing)}; `postlog init` creates the login with the name and the "
        f"password given there.",
        path=setting,
    )


def may_do_more(setting: str, login: str, reasons: Sequence[str]) -> LoginNotMade:
    """`reasons` continue after "it": "is a superuser"."""
    return LoginNotMade(
        f"The login '{login}' in {setting} has more rights than the service needs: it {' and '.join(reasons)}. Use "
        f"another login there.",
        path=setting,
    )


class Logins(Protocol):
    """Creates the service's login, with the least rights that suffice, as an administrator. Login, password and
    database are those of the service's own address. Used by `postlog init`, which provisions tables and indexes between
    the two steps; both are repeatable.

    A step returns one sentence for each thing that it created or changed, and for each excess right of the login that
    Postlog can't revoke; no sentence contains a password. Raises `LoginNotMade`, and `Unavailable` if the server does
    not respond.
    """

    @property
    def tables_url(self) -> str:
        """The address of the service's database with the administrator's login, which creates and owns the tables."""
        ...

    async def make_database(self) -> list[str]:
        """Create the database if it is missing. This is the first request to the server, so an unusable administrator's
        address is reported here.
        """
        ...

    async def make_login(self) -> list[str]:
        """Create the login if it is missing, set its password each time, and grant exactly the rights that the service
        needs. A login that has more rights, such as an administrator's, is refused and not changed.
        """
        ...


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """`detail` is one sentence: what responded; or what is wrong, with the path of the setting, and what to do."""

    name: str
    ok: bool
    detail: str


class Probe(Protocol):
    @property
    def name(self) -> str:
        """What is probed; its results have the same name."""
        ...

    async def probe(self) -> ProbeResult:
        """Never raises because a server is unavailable. Returns as soon as that is known; a slow server, such as a busy
        machine on the first connection, has about five seconds.
        """
        ...

"""What `postlog init` makes: indexes, topic, database and tables; and, with administrators' addresses, the logins."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from application.ports.logins import Logins
from domain.errors import PostlogError
from entrypoints.composition.bus import BusParts
from entrypoints.composition.container import container_for
from entrypoints.composition.event_store import LogParts
from entrypoints.composition.jobs import prepare
from entrypoints.composition.lifetime import Lifetime
from entrypoints.composition.logins import as_administrators, chosen_logins
from entrypoints.composition.read_db import ReadDbParts
from entrypoints.settings.administrators import Administrators
from entrypoints.settings.loading import LoadedSettings

_Part = LogParts | BusParts | ReadDbParts


@dataclass(frozen=True, slots=True)
class NotMade:
    """What `part` needs is not all there, for this reason: a sentence."""

    part: str
    reason: str


async def provisioned(loaded: LoadedSettings, administrators: Administrators) -> AsyncIterator[str | NotMade]:
    """Make what is missing; a sentence for each thing made. Where an administrator is given, his login makes what is in
    the database, and then the service's login. A part whose server is away or refuses is in nobody's way: the others
    get what they need. Raises `LoginNotMade` and `CannotOpen` before anything is made."""
    container = prepare(loaded, "init")
    logins = chosen_logins(loaded.settings, administrators)
    if logins:
        container = container_for(as_administrators(loaded.settings, logins))
    by_part = {path.partition(".")[0]: each for path, each in logins.items()}
    async with Lifetime(container) as lifetime:
        for part, opened in (
            ("event_store", lifetime.open_log),
            ("bus", lifetime.open_bus),
            ("read_db", lifetime.open_read_db),
        ):
            try:
                async for sentence in _provisioned(opened, by_part.get(part)):
                    yield sentence
            except PostlogError as error:
                yield NotMade(part, error.message)


async def _provisioned(opened: Callable[[], Awaitable[_Part | None]], login: Logins | None) -> AsyncIterator[str]:
    for sentence in await login.make_database() if login is not None else ():
        yield sentence
    part = await opened()
    if part is not None and part.provisioning is not None:
        for sentence in await part.provisioning.provision():
            yield sentence
    for sentence in await login.make_login() if login is not None else ():
        yield sentence

"""What `postlog init` makes: indexes, topic, database and tables; and, with administrators' addresses, the logins."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from application.ports.provisioning import Logins
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
from entrypoints.settings.model import Settings

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
    container = prepare(loaded, "init", may_make_tables=False)  # or the tables would be there before they are reported
    logins = chosen_logins(loaded.settings, administrators)
    if logins:
        container = container_for(as_administrators(loaded.settings, logins), may_make_tables=False)
    made_by_opening = {"event_store": _log_file_to_make(loaded.settings)}
    by_part = {path.partition(".")[0]: each for path, each in logins.items()}
    async with Lifetime(container) as lifetime:
        for part, opened in (
            ("event_store", lifetime.open_log),
            ("bus", lifetime.open_bus),
            ("read_db", lifetime.open_read_db),
        ):
            try:
                async for sentence in _provisioned(opened, by_part.get(part), made_by_opening.get(part)):
                    yield sentence
            except PostlogError as error:
                yield NotMade(part, error.message)


def _log_file_to_make(settings: Settings) -> str | None:
    """What opening a log on SQLite makes, as a sentence; None when its file is there already."""
    if settings.event_store.adapter != "sqlite":
        return None
    path = Path(settings.event_store.sqlite.path)
    is_there = path.exists() and path.stat().st_size > 0
    return None if is_there else f"Made the event log {path}: a SQLite file with its tables."


async def _provisioned(
    opened: Callable[[], Awaitable[_Part | None]], login: Logins | None, made_by_opening: str | None
) -> AsyncIterator[str]:
    for sentence in await login.make_database() if login is not None else ():
        yield sentence
    part = await opened()
    if made_by_opening is not None:
        yield made_by_opening
    if part is not None and part.provisioning is not None:
        for sentence in await part.provisioning.provision():
            yield sentence
    for sentence in await login.make_login() if login is not None else ():
        yield sentence

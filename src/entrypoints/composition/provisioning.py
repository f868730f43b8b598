"""What `postlog init` makes: indexes, topic, database and tables; and, with administrators' addresses, the logins."""

from collections.abc import AsyncIterator

from entrypoints.composition.container import Container, container_for
from entrypoints.composition.jobs import prepare
from entrypoints.composition.lifetime import Lifetime
from entrypoints.composition.logins import as_administrators, chosen_logins
from entrypoints.settings.administrators import Administrators
from entrypoints.settings.loading import LoadedSettings


async def provisioned(loaded: LoadedSettings, administrators: Administrators) -> AsyncIterator[str]:
    """Make what is missing; a sentence for each thing made. Where an administrator is given, his login makes what is in
    the database, and then the service's login. Raises `Unavailable` for a server that is away, `LoginNotMade`, and
    `CannotOpen`."""
    container = prepare(loaded, "init")
    logins = chosen_logins(loaded.settings, administrators)
    for each in logins.values():
        for sentence in await each.make_database():
            yield sentence
    if logins:
        container = container_for(as_administrators(loaded.settings, logins))
    async for sentence in _indexes_topic_and_tables(container):
        yield sentence
    for each in logins.values():
        for sentence in await each.make_login():
            yield sentence


async def _indexes_topic_and_tables(container: Container) -> AsyncIterator[str]:
    async with Lifetime(container) as lifetime:
        for part in (await lifetime.open_log(), container.bus(), await lifetime.open_read_db()):
            if part is not None and part.provisioning is not None:
                for sentence in await part.provisioning.provision():
                    yield sentence

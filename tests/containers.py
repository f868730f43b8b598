"""Containers of the tests: the application's own, in memory, with single parts replaced."""

from dependency_injector import providers

from entrypoints.composition.container import Container, container_for
from entrypoints.settings.model import Bus, EventStore, ReadDb, Settings

IN_MEMORY = Settings(event_store=EventStore(adapter="memory"), bus=Bus(adapter="log"), read_db=ReadDb(adapter="memory"))
"""A log and a read database in memory; the projector reads the log itself."""


def container_with(settings: Settings = IN_MEMORY, **parts: object) -> Container:
    """`parts` take the place of what the providers of these names would build."""
    container = container_for(settings)
    for name, part in parts.items():
        container.providers[name].override(providers.Object(part))
    return container

"""The beginning of every job of the command line: settings checked, logging configured, the container made."""

from msgspec.structs import replace

from entrypoints.composition.container import Container, container_for
from entrypoints.observability import configure_logging
from entrypoints.settings.loading import DEFAULT, LoadedSettings, refuse_memory


def prepare(loaded: LoadedSettings, verb: str, *, make_tables: bool = True) -> Container:
    """A job prints its results, and logs warnings and errors only, unless the settings ask for more. Raises
    `SettingsError` when a part lives in memory, which this process could not see."""
    refuse_memory(loaded, verb)
    is_asked_for = loaded.sources["log.level"] != DEFAULT
    configure_logging(loaded.settings.log if is_asked_for else replace(loaded.settings.log, level="warning"))
    return container_for(loaded.settings, make_tables=make_tables, process=verb)

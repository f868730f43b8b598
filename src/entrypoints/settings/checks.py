"""What no single setting shows: values that don't fit each other, or the verb that is to run."""

from collections.abc import Mapping
from pathlib import Path

from entrypoints.settings.model import Settings
from entrypoints.settings.problems import Problem, SettingsError
from entrypoints.settings.tree import value_at

DEFAULT = "default"
"""The source of what nobody has set."""

_ADDRESSES = {"sqlite": ("path",), "postgres": ("url", "url_file"), "sqlserver": ("url", "url_file")}

_DURABLE = {
    "event_store.adapter": "sqlite or mongo",
    "bus.adapter": "log or kafka",
    "read_db.adapter": "sqlite, postgres or sqlserver",
}


def contradictions(settings: Settings, sources: Mapping[str, str]) -> list[Problem]:
    found = (_one_file_for_both(settings), _memory_log(settings), _login(settings))
    return [Problem(path, sentence, sources.get(path)) for path, sentence in filter(None, found)]


def refuse_memory(settings: Settings, sources: Mapping[str, str], verb: str) -> None:
    """Raises `SettingsError` when a part lives in memory, where the process of `verb` could not see it."""
    problems = [
        Problem(
            path,
            f"is memory, which lives and dies with one `postlog run`; `postlog {verb}` needs {others}",
            sources.get(path),
        )
        for path, others in _DURABLE.items()
        if value_at(settings, path) == "memory"
    ]
    if problems:
        raise SettingsError(problems)


def require_bus(settings: Settings, sources: Mapping[str, str]) -> None:
    """Raises `SettingsError` when projectors follow the log itself, so that there is nothing to publish to."""
    path = "bus.adapter"
    if settings.bus.adapter == "log":
        sentence = "is log: projectors follow the log itself, and need no relay; a relay needs kafka"
        raise SettingsError([Problem(path, sentence, sources.get(path))])


def require_files(settings: Settings, sources: Mapping[str, str], *parts: str) -> None:
    """Raises `SettingsError` when there is no file yet to look at, for a part (`event_store`, `read_db`) that is in a
    file: opening it would make an empty one."""
    problems = []
    for part in parts:
        path = f"{part}.sqlite.path"
        file = value_at(settings, path)
        if value_at(settings, f"{part}.adapter") == "sqlite" and not Path(file).exists():
            sentence = (
                f"is {file}, where nothing is ({Path(file).absolute()}); name the right file or folder, or begin with "
                "`postlog run`"
            )
            problems.append(Problem(path, sentence, sources.get(path)))
    if problems:
        raise SettingsError(problems)


def named_read_dbs(settings: Settings, sources: Mapping[str, str]) -> frozenset[str]:
    """The adapter that queries are answered from, and those whose address the settings give. Nobody chose a default,
    nor the file in the folder POSTLOG_DATA, which an image sets whichever adapter is used."""
    chosen = {
        adapter
        for adapter, names in _ADDRESSES.items()
        for name in names
        if sources[f"read_db.{adapter}.{name}"] not in (DEFAULT, "POSTLOG_DATA")
    }
    return frozenset({settings.read_db.adapter, *chosen})


def _one_file_for_both(settings: Settings) -> tuple[str, str] | None:
    log, read_db = settings.event_store, settings.read_db
    if log.adapter != "sqlite" or read_db.adapter != "sqlite":
        return None
    if Path(log.sqlite.path).resolve() != Path(read_db.sqlite.path).resolve():
        return None
    return "read_db.sqlite.path", "is the log's file (event_store.sqlite.path); the two need a file each"


def _memory_log(settings: Settings) -> tuple[str, str] | None:
    if settings.event_store.adapter != "memory" or settings.read_db.adapter == "memory":
        return None
    return (
        "read_db.adapter",
        f"is {settings.read_db.adapter}, which would outlive a log in memory (event_store.adapter); make both memory",
    )


def _login(settings: Settings) -> tuple[str, str] | None:
    kafka = settings.bus.kafka
    if settings.bus.adapter != "kafka" or not kafka.security.startswith("sasl"):
        return None
    if kafka.username is not None and kafka.password is not None:
        return None
    return "bus.kafka.security", f"is {kafka.security}, which needs bus.kafka.username and bus.kafka.password"

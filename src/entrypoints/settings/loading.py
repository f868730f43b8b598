"""Settings from everywhere, the stronger over the weaker:

option > `POSTLOG__…` variable > `PORT` / `POSTLOG_DATA` > file > default of the command > default in code.

What no single setting shows: values that don't fit each other, or the verb that is to run.

Settings as one line of JSON, passwords included, from a process to one that it starts: over a pipe, never as
arguments or variables, which others can see.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from entrypoints.settings.leaves import Leaf, Problem, SettingsError, groups, is_secret, leaves, unknown, value_at
from entrypoints.settings.model import Settings
from entrypoints.settings.secret import Secret
from entrypoints.settings.sources import (
    CONFIG_VARIABLE,
    InvalidValue,
    RawValue,
    convert,
    long_variables,
    secrets_from_files,
    short_variables,
)


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """`sources` says for every path where its value came from: `default`, a file and line, a variable, an option."""

    settings: Settings
    sources: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Option:
    """A command-line option that sets `path`. `name` is how it is written: `--port`."""

    path: str
    text: str
    name: str


def load_settings(
    *,
    environ: Mapping[str, str],
    options: Sequence[Option] = (),
    config_file: str | None = None,
    defaults: Mapping[str, str] = {},
) -> LoadedSettings:
    """Read, merge, convert, check. `config_file` is what `--config` names; `defaults` are those of the command, by
    path, where they are not those of the model. Raises `SettingsError` with everything that is wrong."""
    from_file, problems = _settings_file(config_file, environ)
    from_variables, wrong_variables = long_variables(environ)
    from_options, wrong_options = _options(options)
    problems += wrong_variables + wrong_options
    of_command = {path: RawValue(text, DEFAULT) for path, text in defaults.items()}
    given = {**of_command, **from_file, **short_variables(environ), **from_variables, **from_options}
    values, wrong_values = _converted(given)
    problems += wrong_values
    sources = {path: given[path].source for path in values}
    problems += secrets_from_files(values, sources)
    settings = _build(values)
    if not problems:
        problems = contradictions(settings, sources)
    if problems:
        raise SettingsError(problems)
    return LoadedSettings(settings, {path: sources.get(path, DEFAULT) for path in leaves()})


def _settings_file(config_file: str | None, environ: Mapping[str, str]) -> tuple[dict[str, RawValue], list[Problem]]:
    name = config_file or environ.get(CONFIG_VARIABLE)
    if not name:
        return {}, []
    from entrypoints.settings.sources import read_settings_file  # PyYAML takes 50 ms that few starts need

    try:
        return read_settings_file(Path(name), "--config" if config_file else CONFIG_VARIABLE)
    except SettingsError as error:
        return {}, list(error.problems)


def _converted(given: Mapping[str, RawValue]) -> tuple[dict[str, Any], list[Problem]]:
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for path, leaf in leaves().items():
        if path not in given or (leaf.kind is Secret and given[path].text is None):
            continue
        try:
            values[path] = convert(leaf, given[path])
        except InvalidValue as error:
            problems.append(Problem(path, str(error), given[path].source))
    return values, problems


def _options(options: Sequence[Option]) -> tuple[dict[str, RawValue], list[Problem]]:
    given: dict[str, RawValue] = {}
    problems: list[Problem] = []
    for option in options:
        if is_secret(option.path) and str(Secret(option.text)) != option.text:
            problems.append(Problem(option.path, _shown(leaves()[option.path]), option.name))
        elif option.path in leaves():
            given[option.path] = RawValue(option.text, option.name)
        elif option.path in groups():
            problems.append(Problem(option.path, "is a group of settings; it has no value of its own", option.name))
        else:
            problems.append(unknown(option.path, option.name))
    return given, problems


def _shown(leaf: Leaf) -> str:
    return (
        f"holds a password, and everybody on this machine can read command lines; give it as {leaf.variable}, or in a "
        f"file that {leaf.path}_file names"
    )


def _build(values: Mapping[str, Any]) -> Settings:
    tree: dict[str, Any] = {}
    for path, value in values.items():
        *parents, name = path.split(".")
        group = tree
        for parent in parents:
            group = group.setdefault(parent, {})
        group[name] = value
    return msgspec.convert(tree, Settings, dec_hook=_as_it_is)


def _as_it_is(_: type, value: Secret) -> Secret:
    return value


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


PARENT_PROCESS = "the service that began this"


def to_line(settings: Settings) -> bytes:
    return msgspec.json.encode(settings)


def from_line(line: bytes) -> LoadedSettings:
    """Raises `msgspec.DecodeError`."""
    return LoadedSettings(msgspec.json.decode(line, type=Settings), dict.fromkeys(leaves(), PARENT_PROCESS))

"""Settings from all sources, merged, converted and checked. The stronger source wins:

option > `POSTLOG__…` variable > `PORT` / `POSTLOG_DATA` > file > default of the command > default in code.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from entrypoints.settings.addresses import is_loopback
from entrypoints.settings.auth import auth_problems
from entrypoints.settings.leaves import (
    Leaf,
    Problem,
    SettingsError,
    groups,
    is_secret,
    leaves,
    unknown_setting,
    value_at,
)
from entrypoints.settings.model import KafkaOAuth, Settings
from entrypoints.settings.secret import Secret
from entrypoints.settings.sources import (
    CONFIG_VARIABLE,
    InvalidValue,
    RawValue,
    convert,
    long_variables,
    read_settings_file,
    secrets_from_files,
    short_variables,
)

DEFAULT = "default"
"""The source of a setting that is not given."""


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """`sources` has the origin of every value by path: `default`, a file and line, a variable, an option."""

    settings: Settings
    sources: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Option:
    """A command-line option that sets `path`. `name` is the option as the user writes it: `--port`."""

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
    """Read, merge, convert, check. `config_file` is the file of `--config`; `defaults` are the command's own, by path,
    where they differ from the model's. Raises `SettingsError` with all problems."""
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
        problems = _contradictions(settings, sources)
    if problems:
        raise SettingsError(problems)
    return LoadedSettings(settings, {path: sources.get(path, DEFAULT) for path in leaves()})


def _settings_file(config_file: str | None, environ: Mapping[str, str]) -> tuple[dict[str, RawValue], list[Problem]]:
    name = config_file or environ.get(CONFIG_VARIABLE)
    if not name:
        return {}, []
    try:
        return read_settings_file(Path(name), "--config" if config_file else CONFIG_VARIABLE)
    except SettingsError as error:
        return {}, list(error.problems)


def _options(options: Sequence[Option]) -> tuple[dict[str, RawValue], list[Problem]]:
    given: dict[str, RawValue] = {}
    problems: list[Problem] = []
    for option in options:
        if is_secret(option.path) and str(Secret(option.text)) != option.text:
            problems.append(Problem(option.path, _visible_password(leaves()[option.path]), option.name))
        elif option.path in leaves():
            given[option.path] = RawValue(option.text, option.name)
        elif option.path in groups():
            sentence = "is a group of settings; it can't have a value of its own"
            problems.append(Problem(option.path, sentence, option.name))
        else:
            problems.append(unknown_setting(option.path, option.name))
    return given, problems


def _visible_password(leaf: Leaf) -> str:
    return (
        f"contains a password, and every user of this machine can read command lines; set {leaf.variable}, or "
        f"{leaf.path}_file to a file that contains it"
    )


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


def _build(values: Mapping[str, Any]) -> Settings:
    tree: dict[str, Any] = {}
    for path, value in values.items():
        *parents, name = path.split(".")
        group = tree
        for parent in parents:
            group = group.setdefault(parent, {})
        group[name] = value
    return msgspec.convert(tree, Settings, dec_hook=_unchanged)


def _unchanged(_: type, value: Secret) -> Secret:
    return value


# --- settings that contradict each other ---


def _contradictions(settings: Settings, sources: Mapping[str, str]) -> list[Problem]:
    found = (
        _one_file_for_both(settings),
        _memory_log(settings),
        _login(settings),
        _pair(settings, "http.tls", "certificate", "key"),
        _pair(settings, "worker.tls", "certificate", "key"),
        _pair(settings, "bus.kafka", "certificate_file", "key_file"),
        *auth_problems(settings),
    )
    return [Problem(path, sentence, sources.get(path)) for path, sentence in filter(None, found)]


def _one_file_for_both(settings: Settings) -> tuple[str, str] | None:
    log, read_db = settings.event_store, settings.read_db
    if log.adapter != "sqlite" or read_db.adapter != "sqlite":
        return None
    if Path(log.sqlite.path).resolve() != Path(read_db.sqlite.path).resolve():
        return None
    return "read_db.sqlite.path", "is also the log's file (event_store.sqlite.path); use a separate file for each"


def _memory_log(settings: Settings) -> tuple[str, str] | None:
    if settings.event_store.adapter != "memory" or settings.read_db.adapter == "memory":
        return None
    adapter = settings.read_db.adapter
    return "read_db.adapter", f"is {adapter}, but the log is in memory (event_store.adapter); use memory for both"


def _login(settings: Settings) -> tuple[str, str] | None:
    kafka = settings.bus.kafka
    if settings.bus.adapter != "kafka" or not kafka.security.startswith("sasl"):
        return None
    if kafka.sasl_mechanism == "OAUTHBEARER":
        return _oauth(kafka.oauth)
    if kafka.username is not None and kafka.password is not None:
        return None
    return "bus.kafka.security", f"is {kafka.security}, which needs bus.kafka.username and bus.kafka.password"


def _oauth(oauth: KafkaOAuth) -> tuple[str, str] | None:
    of_client = (oauth.token_url, oauth.client_id, oauth.client_secret)
    if oauth.token_file is not None and any(of_client):
        return "bus.kafka.oauth.token_file", "and bus.kafka.oauth.token_url are two sources of tokens; remove one"
    if oauth.token_file is not None or all(of_client):
        return None
    names = "bus.kafka.oauth.token_file, or bus.kafka.oauth.token_url with client_id and client_secret"
    return "bus.kafka.sasl_mechanism", f"is OAUTHBEARER, which needs {names}"


def _pair(settings: Settings, group: str, one: str, other: str) -> tuple[str, str] | None:
    given = [name for name in (one, other) if value_at(settings, f"{group}.{name}") is not None]
    if len(given) != 1:
        return None
    missing = other if given == [one] else one
    return f"{group}.{given[0]}", f"needs {group}.{missing}, too"


# --- what a single verb needs of the settings ---

_DURABLE = {
    "event_store.adapter": "sqlite or mongo",
    "bus.adapter": "log or kafka",
    "read_db.adapter": "sqlite, postgres or sqlserver",
}
_ADDRESSES = {"sqlite": ("path",), "postgres": ("url", "url_file"), "sqlserver": ("url", "url_file")}


def refuse_memory(loaded: LoadedSettings, verb: str) -> None:
    """Raises `SettingsError` when a part is in memory, which the process of `verb` could not share."""
    _raise_any(
        Problem(
            path,
            f"is memory, which only a single `postlog run` process can use; `postlog {verb}` needs {others}",
            loaded.sources.get(path),
        )
        for path, others in _DURABLE.items()
        if value_at(loaded.settings, path) == "memory"
    )


def require_authentication(loaded: LoadedSettings) -> None:
    """Raises `SettingsError` when other machines can reach a service that believes every name."""
    settings, path = loaded.settings, "http.host"
    if settings.auth.mode != "none" or settings.auth.trust_usernames or is_loopback(settings.http.host):
        return
    sentence = (
        f"is {settings.http.host}, where other machines can act in any name (auth.mode: none); listen on 127.0.0.1, "
        "set auth.mode to gateway or jwt, or set auth.trust_usernames: true if only trusted clients reach it"
    )
    raise SettingsError([Problem(path, sentence, loaded.sources.get(path))])


def require_bus(loaded: LoadedSettings) -> None:
    """Raises `SettingsError` when projectors read the log directly, so that there is nothing to publish to."""
    path = "bus.adapter"
    if loaded.settings.bus.adapter == "log":
        sentence = "is log: projectors read the log directly, so no relay is needed; a relay needs kafka"
        raise SettingsError([Problem(path, sentence, loaded.sources.get(path))])


def require_files(loaded: LoadedSettings, *parts: str) -> None:
    """Raises `SettingsError` when the SQLite file of a part (`event_store`, `read_db`) does not exist: opening it would
    create an empty one."""
    files = {
        f"{part}.sqlite.path": Path(value_at(loaded.settings, f"{part}.sqlite.path"))
        for part in parts
        if value_at(loaded.settings, f"{part}.adapter") == "sqlite"
    }
    _raise_any(
        Problem(
            path,
            f"is {file}, which does not exist ({file.absolute()}); name the right file or folder, or start with "
            "`postlog run`",
            loaded.sources.get(path),
        )
        for path, file in files.items()
        if not file.exists()
    )


def _raise_any(problems: Iterable[Problem]) -> None:
    found = list(problems)
    if found:
        raise SettingsError(found)


def named_read_dbs(loaded: LoadedSettings) -> frozenset[str]:
    """The read database that answers queries, and those whose address the settings give. A default does not count, nor
    the file in the folder POSTLOG_DATA, which a container image sets whichever adapter is used."""
    chosen = {
        adapter
        for adapter, names in _ADDRESSES.items()
        for name in names
        if loaded.sources[f"read_db.{adapter}.{name}"] not in (DEFAULT, "POSTLOG_DATA")
    }
    return frozenset({loaded.settings.read_db.adapter, *chosen})


# --- settings for a process that this one starts ---

PARENT_PROCESS = "the service that started this process"


def for_child(settings: Settings) -> LoadedSettings:
    return LoadedSettings(settings, dict.fromkeys(leaves(), PARENT_PROCESS))

"""Settings from everywhere, the stronger over the weaker:

option > `POSTLOG__…` variable > `PORT` / `POSTLOG_DATA` > file > default of the command > default in code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from entrypoints.settings.checks import DEFAULT, contradictions
from entrypoints.settings.conversion import Given, NotConvertible, convert
from entrypoints.settings.environment import CONFIG_VARIABLE, long_variables, short_variables
from entrypoints.settings.model import Settings
from entrypoints.settings.problems import Problem, SettingsError, unknown
from entrypoints.settings.secret import Secret
from entrypoints.settings.secret_files import secrets_from_files
from entrypoints.settings.tree import Leaf, groups, is_secret, leaves


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
    of_command = {path: Given(text, DEFAULT) for path, text in defaults.items()}
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


def _settings_file(config_file: str | None, environ: Mapping[str, str]) -> tuple[dict[str, Given], list[Problem]]:
    name = config_file or environ.get(CONFIG_VARIABLE)
    if not name:
        return {}, []
    from entrypoints.settings.yaml_file import read_settings_file  # PyYAML takes 50 ms that few starts need

    try:
        return read_settings_file(Path(name), "--config" if config_file else CONFIG_VARIABLE)
    except SettingsError as error:
        return {}, list(error.problems)


def _converted(given: Mapping[str, Given]) -> tuple[dict[str, Any], list[Problem]]:
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for path, leaf in leaves().items():
        if path not in given or (leaf.kind is Secret and given[path].text is None):
            continue
        try:
            values[path] = convert(leaf, given[path])
        except NotConvertible as error:
            problems.append(Problem(path, str(error), given[path].source))
    return values, problems


def _options(options: Sequence[Option]) -> tuple[dict[str, Given], list[Problem]]:
    given: dict[str, Given] = {}
    problems: list[Problem] = []
    for option in options:
        if is_secret(option.path) and str(Secret(option.text)) != option.text:
            problems.append(Problem(option.path, _shown(leaves()[option.path]), option.name))
        elif option.path in leaves():
            given[option.path] = Given(option.text, option.name)
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

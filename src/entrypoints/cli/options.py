"""The options by which every command takes its settings.

A post's id as an argument.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import click

from domain.ids import PostId
from entrypoints.settings.leaves import leaves
from entrypoints.settings.loading import LoadedSettings, Option, load_settings

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def settings_options(function: Decorated) -> Decorated:
    """Adds `--config FILE` and `--set PATH=VALUE`; the command gets them as `config_file` and `assignments`."""
    config = click.option("--config", "config_file", metavar="FILE", type=click.Path(), help="Settings file (YAML).")
    assign = click.option(
        "--set",
        "assignments",
        metavar="PATH=VALUE",
        multiple=True,
        shell_complete=_settings_that_begin_with,
        help="One setting, as in --set log.level=debug.",
    )
    return config(assign(function))


def _settings_that_begin_with(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """For a shell that completes `--set`: the paths of settings, and behind a path what it may be."""
    path, equals, _value = incomplete.partition("=")
    if not equals:
        return [f"{each}=" for each in leaves() if each.startswith(incomplete)]
    leaf = leaves().get(path)
    choices = () if leaf is None else ("true", "false") if leaf.kind is bool else leaf.choices
    return [f"{path}={each}" for each in choices if f"{path}={each}".startswith(incomplete)]


def listening_options(function: Decorated) -> Decorated:
    """Adds `--host` and `--port`."""
    host = click.option("--host", help="Address to listen on (http.host).")
    port = click.option("--port", help="Port to listen on (http.port); 0 takes a free one.")
    return host(port(function))


def worker_options(function: Decorated) -> Decorated:
    """Adds `--host` and `--port` of a worker."""
    host = click.option("--host", help="Address for its health and metrics (worker.host).")
    port = click.option("--port", help="Port for its health and metrics (worker.port); 0 takes a free one.")
    return host(port(function))


def settings_from(
    ctx: click.Context,
    config_file: str | None,
    assignments: Sequence[str],
    *options: Option | None,
    defaults: Mapping[str, str] = {},
) -> LoadedSettings:
    """Load the settings that this command line, the environment and the files give, over the command's own `defaults`.
    Raises `SettingsError`, and `click.UsageError` for a `--set` without a path and a value."""
    given = [_assignment(text) for text in assignments] + [option for option in options if option]
    return load_settings(
        environ=os.environ,
        options=given,
        config_file=config_file or ctx.find_root().obj,
        defaults=defaults,
    )


def option(path: str, text: str | None, name: str) -> Option | None:
    return None if text is None else Option(path, text, name)


def _assignment(text: str) -> Option:
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise click.UsageError(f"--set takes PATH=VALUE, as in --set http.port=8080, not {path!r}.")
    return Option(path, value, f"--set {path}")


class PostIdParameter(click.ParamType[PostId]):
    """A UUID in any spelling; as the log spells it."""

    name = "post id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> PostId:
        try:
            return PostId(str(UUID(str(value))))
        except ValueError:
            self.fail(f"{value!r} is not a post id, which is a UUID.", param, ctx)

"""Options and arguments that several verbs share. Every verb takes its settings the same way: options that set one
setting are collected while click parses the line, and `load(ctx)` reads all sources."""

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import UUID

import click

from domain.ids import PostId
from entrypoints.settings.leaves import leaves
from entrypoints.settings.loading import LoadedSettings, Option, load_settings

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_CONFIG, _ASSIGNMENTS, _OPTIONS = (f"postlog.{name}" for name in ("config", "assignments", "options"))


def load(ctx: click.Context, defaults: Mapping[str, str] = {}) -> LoadedSettings:
    """The settings of the command line, the environment and the files; `defaults` are the verb's own. Raises
    `SettingsError`."""
    return load_settings(
        environ=os.environ,
        options=[*ctx.meta.get(_ASSIGNMENTS, ()), *ctx.meta.get(_OPTIONS, ())],
        config_file=ctx.meta.get(_CONFIG) or ctx.find_root().obj,
        defaults=defaults,
    )


def settings_options(function: Decorated) -> Decorated:
    """Adds `--config FILE` and `--set PATH=VALUE`, for `load`."""
    config = click.option(
        "--config",
        metavar="FILE",
        type=click.Path(),
        expose_value=False,
        callback=_keep_config,
        help="Settings file (YAML).",
    )
    assign = click.option(
        "--set",
        metavar="PATH=VALUE",
        multiple=True,
        expose_value=False,
        callback=_keep_assignments,
        shell_complete=_complete_assignment,
        help="Set one setting, as in --set log.level=debug.",
    )
    return config(assign(function))


def setting_option(name: str, path: str, help_text: str) -> Callable[[Decorated], Decorated]:
    """Adds an option that sets `path`, for `load`."""

    def keep(ctx: click.Context, _: click.Parameter, text: str | None) -> None:
        if text is not None:
            ctx.meta.setdefault(_OPTIONS, []).append(Option(path, text, name))

    return click.option(name, expose_value=False, callback=keep, help=f"{help_text} ({path}).")


def listening_options(function: Decorated) -> Decorated:
    """Adds `--host` and `--port`."""
    host = setting_option("--host", "http.host", "Address to listen on")
    port = setting_option("--port", "http.port", "Port to listen on; 0 selects a free one")
    return host(port(function))


def worker_options(function: Decorated) -> Decorated:
    """Adds `--host` and `--port` of a worker."""
    host = setting_option("--host", "worker.host", "Address of the health and metrics endpoints")
    port = setting_option("--port", "worker.port", "Port of the health and metrics endpoints; 0 selects a free one")
    return host(port(function))


class PostIdParameter(click.ParamType[PostId]):
    """A UUID in any spelling; converted to the log's spelling."""

    name = "post id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> PostId:
        try:
            return PostId(str(UUID(str(value))))
        except ValueError:
            self.fail(f"{value!r} is not a post id, which is a UUID.", param, ctx)


def _keep_config(ctx: click.Context, _: click.Parameter, file: str | None) -> None:
    ctx.meta[_CONFIG] = file


def _keep_assignments(ctx: click.Context, _: click.Parameter, texts: tuple[str, ...]) -> None:
    ctx.meta[_ASSIGNMENTS] = [_assignment(text) for text in texts]


def _assignment(text: str) -> Option:
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise click.UsageError(f"--set takes PATH=VALUE, as in --set http.port=8080, not {path!r}.")
    return Option(path, value, f"--set {path}")


def _complete_assignment(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """For the shell: paths of settings, and after a path the allowed values."""
    path, equals, _value = incomplete.partition("=")
    if not equals:
        return [f"{each}=" for each in leaves() if each.startswith(incomplete)]
    leaf = leaves().get(path)
    choices = () if leaf is None else ("true", "false") if leaf.kind is bool else leaf.choices
    return [f"{path}={each}" for each in choices if f"{path}={each}".startswith(incomplete)]

"""`postlog completion`: the script with which a shell completes verbs and options."""

import os
from pathlib import PurePath

import click
import rich_click
from click.shell_completion import get_completion_class

from entrypoints.cli import exit_codes

_SHELLS = ("bash", "zsh", "fish")


@rich_click.command("completion", epilog=exit_codes.epilog('eval "$(postlog completion bash)", in ~/.bashrc'))
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
@click.pass_context
def command(ctx: click.Context, shell: str | None) -> None:
    """Print the script that makes a shell complete `postlog`. Without SHELL, it is for the current shell."""
    name = shell or PurePath(os.environ.get("SHELL", "")).name
    completion = get_completion_class(name) if name in _SHELLS else None
    if completion is None:
        raise click.UsageError(f"Name your shell: {', '.join(_SHELLS)}.")
    root = ctx.find_root()
    click.echo(completion(root.command, {}, "postlog", "_POSTLOG_COMPLETE").source())

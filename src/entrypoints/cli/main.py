"""`postlog`: a file a verb, loaded when it is called. Every failure ends in one sentence on stderr and a status."""

import logging
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click
import rich_click
from click.shell_completion import CompletionItem

from domain.errors import PostlogError
from entrypoints.cli import exit_codes
from entrypoints.cli.output import one_line
from entrypoints.settings.leaves import SettingsError
from entrypoints.settings.secret import mask

PROGRAM = "postlog"
VERBS = {
    "run": "services.run",
    "serve": "services.serve",
    "relay": "services.relay",
    "project": "services.project",
    "init": "init.command",
    "import": "import_posts.command",
    "import-dotnet": "import_dotnet.command",
    "rebuild": "rebuild.command",
    "audit": "audit.command",
    "events": "events.command",
    "parked": "parked.command",
    "backup": "backup.backup_command",
    "restore": "backup.restore_command",
    "config": "config.command",
    "doctor": "doctor.command",
    "completion": "completion.command",
}
"""Module and name of each verb's command; the module is imported when the verb is called."""

logger = logging.getLogger(__name__)


class _ReaderGone(Exception):
    """Whoever read stdout has closed it, as `head` does when it has enough."""


class _Verbs(rich_click.RichGroup):
    """Imports the file of a verb when the verb is asked for, and no other."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click hands it to us)
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        module, name = VERBS[cmd_name].split(".")
        command: click.Command = getattr(import_module(f"entrypoints.cli.{module}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in VERBS:
            nearest = get_close_matches(args[0], VERBS, n=1)
            hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
            raise click.UsageError(f"No such command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Without importing any verb, which would take longer than a Tab should."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(verb) for verb in VERBS if verb.startswith(incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGone from error  # which click would end with status 1


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        click.echo(f"{PROGRAM} {version(PROGRAM)}")
        ctx.exit()


@rich_click.command(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=exit_codes.epilog(
        "postlog run",
        data="done, but something is wrong with the data",
        job=True,
    ),
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Print the version."
)
@click.option(
    "--config", "config_file", metavar="FILE", type=click.Path(), help="Settings file (YAML); also after the command."
)
@click.pass_context
def postlog(ctx: click.Context, config_file: str | None) -> None:
    """A social-media post service with CQRS and event sourcing."""
    ctx.obj = config_file


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line and answer its exit status."""
    try:
        status = _invoke(arguments)
        if status == exit_codes.INTERRUPTED:
            click.echo("Interrupted.", err=True)
        sys.stdout.flush()
    except (BrokenPipeError, _ReaderGone):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter stumbles when it flushes
        return exit_codes.DONE
    return status


def _invoke(arguments: Sequence[str]) -> int:
    try:
        status: Any = postlog.main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
    except click.UsageError as error:
        return _complain(f"{error.format_message()}{_where_to_look(error.ctx)}")
    except click.ClickException as error:
        return _complain(error.format_message())
    except click.Abort:
        return exit_codes.INTERRUPTED
    except SettingsError as error:
        return _complain(str(error))
    except PostlogError as error:
        return _complain(error.message)
    except _ReaderGone:
        raise
    except OSError as error:
        return _complain(_os_sentence(error))
    except Exception as error:
        logger.exception("unexpected error")
        _complain(f"Something unexpected happened, a fault of Postlog itself: {type(error).__name__}: {error}")
        return exit_codes.FAULT
    return status if isinstance(status, int) else exit_codes.DONE


def _complain(sentence: str) -> int:
    click.echo("\n".join(map(one_line, f"Error: {mask(sentence)}".split("\n"))), err=True)
    return exit_codes.COULD_NOT_RUN


def _where_to_look(ctx: click.Context | None) -> str:
    return f" See `{ctx.command_path} --help`." if ctx else ""


def _os_sentence(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}." if error.filename else f"{reason}."


if __name__ == "__main__":
    main()

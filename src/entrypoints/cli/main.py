"""`postlog`: the table of verbs, and the frame around them. Every failure ends in one sentence on stderr and an exit
status."""

import gc
import logging
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version
from typing import Any, NamedTuple

import click
import rich_click
from click.shell_completion import CompletionItem

from domain.errors import PostlogError
from entrypoints.cli import exit_codes
from entrypoints.cli.output import one_line
from entrypoints.settings.leaves import SettingsError
from entrypoints.settings.secret import mask

PROGRAM = "postlog"


class Verb(NamedTuple):
    """Module and name of its command, and the first sentence of its help."""

    module: str
    command: str
    summary: str


VERBS = {
    "run": Verb("services", "run", "Run the whole service in one process: commands, queries and the projector."),
    "serve": Verb("services", "serve", "Serve the command side or the query side only."),
    "relay": Verb("services", "relay", "Publish the log to the bus."),
    "project": Verb("services", "project", "Keep a read database up to date with the log."),
    "init": Verb("init", "command", "Create missing indexes, topics, tables and logins; existing data is kept."),
    "import": Verb("import_posts", "command", "Import posts from FILE (- for stdin), in UTF-8."),
    "import-dotnet": Verb("import_dotnet", "command", "Import all history of the .NET course's system at MONGO_URL."),
    "rebuild": Verb("rebuild", "command", "Recompute the read database from the log while it is being served."),
    "audit": Verb("audit", "command", "Compare the read database with the log, row by row and field by field."),
    "events": Verb("events", "command", "Show the events of a post, check the log, or remove what follows a gap."),
    "parked": Verb("parked", "command", "Show or retry posts with an event that could not be projected."),
    "backup": Verb("backup", "backup", "Copy the log, which is a SQLite file, to FILE."),
    "restore": Verb("backup", "restore", "Replace the log with FILE, a copy that `postlog backup` created."),
    "config": Verb("config", "command", "Print the settings in use, each with its source."),
    "doctor": Verb("doctor", "command", "Check settings, servers, schema, log and rows."),
    "completion": Verb("completion", "command", "Print the script that makes a shell complete `postlog`."),
}
"""The module of a verb is imported when the verb is called, and no other: `postlog --help` and the completion of verbs
are quick, and `postlog config` loads neither a driver nor the web framework."""

_SERVICES = "services"

logger = logging.getLogger(__name__)


def load_verb(name: str) -> click.Command:
    verb = VERBS[name]
    command: click.Command = getattr(import_module(f"entrypoints.cli.{verb.module}"), verb.command)
    return command


class _ReaderGone(Exception):
    """The reader of stdout has closed it, as `head` does when it has enough."""


class _Verbs(rich_click.RichGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click passes it)
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """For the list of verbs in the help: name and summary only."""
        verb = VERBS.get(cmd_name)
        return rich_click.RichCommand(name=cmd_name, help=verb.summary) if verb else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """For the verb that is called, or whose options are completed."""
        if args and args[0] in VERBS:
            if VERBS[args[0]].module == _SERVICES:
                exit_codes.end_cleanly_on_signals()
                gc.disable()  # nothing that a start creates is garbage, and collecting takes a twentieth of its time
            return args[0], load_verb(args[0]), args[1:]
        if args and not args[0].startswith("-"):
            nearest = get_close_matches(args[0], VERBS, n=1)
            hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
            raise click.UsageError(f"No such command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(verb) for verb in VERBS if verb.startswith(incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGone from error  # click would end with status 1


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
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
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(),
    help="Settings file (YAML); may also follow the command.",
)
@click.pass_context
def postlog(ctx: click.Context, config_file: str | None) -> None:
    """A social-media post service with CQRS and event sourcing."""
    ctx.obj = config_file


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Execute one command line and return its exit status."""
    try:
        status = _invoke(arguments)
        if status == exit_codes.INTERRUPTED:
            click.echo("Interrupted.", err=True)
        sys.stdout.flush()
    except (BrokenPipeError, _ReaderGone):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter would fail to flush at exit
        return exit_codes.DONE
    return status


def _invoke(arguments: Sequence[str]) -> int:
    try:
        status: Any = postlog.main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
    except click.UsageError as error:
        return _report(f"{error.format_message()}{_help_hint(error.ctx)}")
    except click.ClickException as error:
        return _report(error.format_message())
    except click.Abort:
        return exit_codes.INTERRUPTED
    except SettingsError as error:
        return _report(str(error))
    except PostlogError as error:
        return _report(error.message)
    except _ReaderGone:
        raise
    except OSError as error:
        return _report(_os_sentence(error))
    except Exception as error:
        logger.exception("unexpected error")
        _report(f"Internal error. This is a bug in Postlog: {type(error).__name__}: {error}")
        return exit_codes.FAULT
    return status if isinstance(status, int) else exit_codes.DONE


def _report(sentence: str) -> int:
    click.echo("\n".join(map(one_line, f"Error: {mask(sentence)}".split("\n"))), err=True)
    return exit_codes.COULD_NOT_RUN


def _help_hint(ctx: click.Context | None) -> str:
    return f" See `{ctx.command_path} --help`." if ctx else ""


def _os_sentence(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}." if error.filename else f"{reason}."


if __name__ == "__main__":
    main()

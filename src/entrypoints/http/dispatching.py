"""A command on its way to the dispatcher, with what its request's headers say. Where `If-Match` names several versions,
any of them will do.
"""

from msgspec import Struct

from application.errors import VersionMismatch
from application.mediator import CommandDispatcher, CommandResult
from domain.commands import CreatePost, PostCommand
from entrypoints.http.command_context import command_context
from entrypoints.http.conditional import NO_VERSION, expected_versions
from entrypoints.http.exchange import Exchange


async def dispatch(
    commands: CommandDispatcher, exchange: Exchange, command: PostCommand, path: str, content: Struct | str | None
) -> CommandResult:
    """`path` is the canonical one of the request, `content` what its body or query says. Raises what the command's
    handler raises, and `MalformedRequest` for a header."""
    if b"if-match" not in exchange.headers:
        return await commands.dispatch(command, command_context(exchange, path, content, None))
    expected = expected_versions(exchange)
    if expected is None:  # any version of a post that exists, which a new one does not
        version = NO_VERSION if isinstance(command, CreatePost) else None
        return await commands.dispatch(command, command_context(exchange, path, content, version))
    untried = set(expected[1:])
    version = expected[0]
    while True:
        try:
            return await commands.dispatch(command, command_context(exchange, path, content, version))
        except VersionMismatch as error:
            if error.current_version not in untried:
                raise
            version = error.current_version
            untried.remove(version)

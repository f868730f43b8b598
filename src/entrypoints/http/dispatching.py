"""A command on its way to the dispatcher, with what its request's headers say. Where `If-Match` names several versions,
any of them will do.
"""

from msgspec import Struct

from application.errors import VersionMismatch
from application.mediator import CommandDispatcher, CommandResult
from domain.commands import CreatePost, PostCommand
from entrypoints.http.command_context import command_context
from entrypoints.http.conditional import NO_VERSION, expected_versions
from entrypoints.serving.exchange import Exchange

_NO_VERSION_NAMED = (
    "If-Match names no version: weak tags (W/) never match, nor do tags that this service did not make. Send the "
    'version in double quotes, like "3".'
)


async def dispatch(
    commands: CommandDispatcher, exchange: Exchange, command: PostCommand, path: str, content: Struct | str | None
) -> CommandResult:
    """`path` is the canonical one of the request, `content` what its body or query says. Raises what the command's
    handler raises, and `MalformedRequest` for a header."""
    expected = _expected(exchange, command)
    untried = set(expected)
    version = expected[0] if expected else None
    while True:
        untried.discard(version)
        try:
            return await commands.dispatch(command, command_context(exchange, path, content, version))
        except VersionMismatch as error:
            if version == NO_VERSION:
                raise VersionMismatch(_NO_VERSION_NAMED, current_version=error.current_version) from error
            if error.current_version not in untried:
                raise
            version = error.current_version


def _expected(exchange: Exchange, command: PostCommand) -> tuple[int, ...]:
    """Empty: any version will do. Raises `VersionMismatch` for a new post, which has none yet."""
    if b"if-match" not in exchange.headers:
        return ()
    expected = expected_versions(exchange)
    if not isinstance(command, CreatePost):
        return expected or ()
    if expected is None or 0 not in expected:
        raise VersionMismatch("A new post has no version yet; send it without If-Match.", current_version=0)
    return ()

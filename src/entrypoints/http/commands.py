"""The eight commands: read the request, build the command, dispatch it, respond with version and position.

A command's context comes from the headers: `Idempotency-Key`, `If-Match`, `traceparent`, the correlation id. When
`If-Match` names several versions, any of them matches.
"""

import dataclasses

from litestar import delete, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp
from msgspec import UNSET, Struct
from msgspec.structs import replace

from application.errors import MalformedRequest, VersionMismatch
from application.mediator import CommandContext, CommandDispatcher, CommandResult, IdempotencyKey
from domain.callers import Role
from domain.commands import (
    AddComment,
    CreatePost,
    EditComment,
    EditMessage,
    LikePost,
    PostCommand,
    RemoveComment,
    RemovePost,
    UnlikePost,
)
from domain.ids import CommentId, PostId
from entrypoints.http.bodies import BodyReader
from entrypoints.http.conditional import NO_VERSION, expected_versions
from entrypoints.http.parameters import POSTS, REMOVER, USERNAME, comment_path, like_path, post_path, read_query
from entrypoints.http.schemas import (
    Body,
    CommentDone,
    Done,
    EditedComment,
    NewComment,
    NewLike,
    NewMessage,
    NewPost,
    signed,
)
from entrypoints.http.services import HttpServices
from entrypoints.serving.request_context import RequestContext, context_of, request_digest
from entrypoints.serving.responses import Headers, RawResponse, etag, json_response
from entrypoints.serving.routing import HttpRequest, comment_id_segment, post_id_segment, text_of_segment

_NO_VERSION_NAMED = (
    "If-Match names no version: weak tags (W/) never match, nor do tags of another service. Send the version in double "
    'quotes, like "3".'
)
_NAME_IN_QUERY = "the name is the query parameter username, like ?username=ben"


class CommandEndpoints:
    def __init__(self, services: HttpServices, commands: CommandDispatcher) -> None:
        limit = services.max_body_bytes
        self._commands = commands
        self._clock = services.clock
        self._ids = services.ids
        is_caller_known = services.access is not None
        self._remover = REMOVER if is_caller_known else USERNAME
        self._new_post = BodyReader(signed(NewPost) if is_caller_known else NewPost, limit)
        self._new_message = BodyReader(signed(NewMessage) if is_caller_known else NewMessage, limit)
        self._new_like = BodyReader(signed(NewLike) if is_caller_known else NewLike, limit)
        self._new_comment = BodyReader(signed(NewComment) if is_caller_known else NewComment, limit)
        self._edited_comment = BodyReader(signed(EditedComment) if is_caller_known else EditedComment, limit)

    def handlers(self) -> list[HTTPRouteHandler]:
        a_post = POSTS + "/{id:str}"
        a_comment = a_post + "/comments/{comment_id:str}"
        return [
            post(POSTS)(self.create_post),
            delete(a_post, status_code=200)(self.remove_post),
            put(a_post + "/message")(self.edit_message),
            post(a_post + "/likes", status_code=200)(self.like_post),
            delete(a_post + "/likes/{username:str}", status_code=200)(self.unlike_post),
            post(a_post + "/comments")(self.add_comment),
            put(a_comment)(self.edit_comment),
            delete(a_comment, status_code=200)(self.remove_comment),
        ]

    async def create_post(self, request: HttpRequest) -> ASGIApp:
        _no_query(request)
        body = _signed_by(request, await self._new_post.read(request), "author")
        command = CreatePost(
            post_id=PostId(self._ids.new()),
            author=body.author,
            message=body.message,
            date_posted=self._clock.now(),
        )
        result = await self._dispatch(request, command, POSTS, body)
        return _done(201, result, [(b"location", post_path(result.post_id).encode())])

    async def edit_message(self, request: HttpRequest) -> ASGIApp:
        post_id = _post_id(request)
        body = _signed_by(request, await self._new_message.read(request))
        command = EditMessage(
            post_id=post_id, message=body.message, username=body.username, edited_at=self._clock.now()
        )
        return _done(200, await self._dispatch(request, command, f"{post_path(post_id)}/message", body))

    async def like_post(self, request: HttpRequest) -> ASGIApp:
        post_id = _post_id(request)
        body = _signed_by(request, await self._new_like.read_optional(request) or self._new_like.shape())
        command = LikePost(post_id=post_id, username=body.username)
        return _done(200, await self._dispatch(request, command, f"{post_path(post_id)}/likes", body))

    async def unlike_post(self, request: HttpRequest) -> ASGIApp:
        _no_body(request, "the name is in the path")
        post_id = _post_id(request)
        username = text_of_segment(request.scope, "username")
        command = UnlikePost(post_id=post_id, username=username)
        return _done(200, await self._dispatch(request, command, like_path(post_id, username), None))

    async def add_comment(self, request: HttpRequest) -> ASGIApp:
        post_id = _post_id(request)
        body = _signed_by(request, await self._new_comment.read(request))
        command = AddComment(
            post_id=post_id,
            comment_id=CommentId(self._ids.new()),
            comment=body.comment,
            username=body.username,
            comment_date=self._clock.now(),
        )
        result = await self._dispatch(request, command, f"{post_path(post_id)}/comments", body)
        return _commented(result, result.comment_id or command.comment_id)

    async def edit_comment(self, request: HttpRequest) -> ASGIApp:
        post_id, comment_id = _post_id(request), comment_id_segment(request.scope)
        body = _signed_by(request, await self._edited_comment.read(request))
        command = EditComment(
            post_id=post_id,
            comment_id=comment_id,
            comment=body.comment,
            username=body.username,
            edit_date=self._clock.now(),
        )
        return _done(200, await self._dispatch(request, command, comment_path(post_id, comment_id), body))

    async def remove_comment(self, request: HttpRequest) -> ASGIApp:
        _no_body(request, _NAME_IN_QUERY)
        post_id, comment_id = post_id_segment(request.scope), comment_id_segment(request.scope)
        username = self._actor_in(request)
        command = RemoveComment(post_id=post_id, comment_id=comment_id, username=username)
        return _done(200, await self._dispatch(request, command, comment_path(post_id, comment_id), username))

    async def remove_post(self, request: HttpRequest) -> ASGIApp:
        _no_body(request, _NAME_IN_QUERY)
        post_id = post_id_segment(request.scope)
        username = self._actor_in(request)
        command = RemovePost(post_id=post_id, username=username)
        return _done(200, await self._dispatch(request, command, post_path(post_id), username))

    def _actor_in(self, request: HttpRequest) -> str:
        """The user of a command without a body. A moderator is named by the event, whoever wrote what is removed."""
        caller = context_of(request.scope).caller
        username: str | None = read_query(request.scope, (self._remover,)).get("username")
        if caller is not None and (username is None or caller.has(Role.MODERATOR)):
            return caller.name
        return username or ""

    async def _dispatch(
        self, request: HttpRequest, command: PostCommand, path: str, content: Struct | str | None
    ) -> CommandResult:
        """As the request's caller. `path` is the canonical one of the request, `content` what its body or query says.
        Raises what the command's handler raises, and `MalformedRequest` for a header."""
        context = context_of(request.scope)
        if context.caller is not None:
            command = dataclasses.replace(command, caller=context.caller)
        expected = _expected(context, command)
        untried = set(expected)
        version = expected[0] if expected else None
        while True:
            untried.discard(version)
            try:
                return await self._commands.dispatch(command, _command_context(context, path, content, version))
            except VersionMismatch as error:
                if version == NO_VERSION:
                    raise VersionMismatch(_NO_VERSION_NAMED, current_version=error.current_version) from error
                if error.current_version not in untried:
                    raise
                version = error.current_version


def _signed_by(request: HttpRequest, body: Body, field: str = "username") -> Body:
    """The body with the caller's name where it has none. It is what the digest of an idempotency key is made of, so
    another caller can't send the request again."""
    caller = context_of(request.scope).caller
    if caller is None or getattr(body, field) is not UNSET:
        return body
    return replace(body, **{field: caller.name})


def _command_context(
    request: RequestContext, path: str, content: Struct | str | None, expected_version: int | None
) -> CommandContext:
    """Raises `MalformedRequest`."""
    key = request.idempotency_key
    return CommandContext(
        correlation_id=request.correlation_id,
        traceparent=request.traceparent,
        idempotency_key=None if key is None else IdempotencyKey(key, request_digest(request.method, path, content)),
        expected_version=expected_version,
    )


def _expected(context: RequestContext, command: PostCommand) -> tuple[int, ...]:
    """Empty: any version matches. Raises `VersionMismatch` for a new post, which has no version yet."""
    if b"if-match" not in context.headers:
        return ()
    expected = expected_versions(context)
    if not isinstance(command, CreatePost):
        return expected or ()
    if expected is None or 0 not in expected:
        raise VersionMismatch("A new post has no version yet; send it without If-Match.", current_version=0)
    return ()


def _post_id(request: HttpRequest) -> PostId:
    """Of a command that takes no query parameters."""
    _no_query(request)
    return post_id_segment(request.scope)


def _no_query(request: HttpRequest) -> None:
    if request.scope["query_string"]:
        read_query(request.scope, ())


def _no_body(request: HttpRequest, instead: str) -> None:
    """The body of a DELETE would be ignored. Raises `MalformedRequest`."""
    headers = context_of(request.scope).headers
    if headers.get(b"content-length", b"0").strip(b"0") or b"transfer-encoding" in headers:
        raise MalformedRequest(f"This DELETE takes no body; {instead}.", path="body")


def _done(status: int, result: CommandResult, headers: Headers | None = None) -> RawResponse:
    content = Done(id=result.post_id, post_id=result.post_id, version=result.version, position=result.position)
    return json_response(status, content, [etag(result.version), *(headers or [])])


def _commented(result: CommandResult, comment_id: CommentId) -> RawResponse:
    content = CommentDone(
        id=result.post_id,
        post_id=result.post_id,
        comment_id=comment_id,
        version=result.version,
        position=result.position,
    )
    location = comment_path(result.post_id, comment_id).encode()
    return json_response(201, content, [etag(result.version), (b"location", location)])

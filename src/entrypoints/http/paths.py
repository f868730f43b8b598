"""The API's paths, as they are written out."""

from urllib.parse import quote

from domain.ids import CommentId, PostId

POSTS = "/api/v1/posts"
READ_DB = "/api/v1/read-db"
REBUILDS = READ_DB + "/rebuilds"


def post_path(post_id: PostId) -> str:
    return f"{POSTS}/{post_id}"


def comment_path(post_id: PostId, comment_id: CommentId) -> str:
    return f"{POSTS}/{post_id}/comments/{comment_id}"


def rebuild_path(rebuild_id: str) -> str:
    return f"{REBUILDS}/{rebuild_id}"


def like_path(post_id: PostId, username: str) -> str:
    return f"{POSTS}/{post_id}/likes/{quote(username, safe='', errors='surrogatepass')}"

"""What people with a SQL client or a reporting tool are promised: the live slot, without what was removed.

Each view is both slots one under the other, of which the live row lets one through; planners run only that one.
"""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, Select, literal_column, select, union_all
from sqlalchemy.schema import CreateView

from adapters.sql.tables import SLOTS, read_db
from application.ports.read_db import Slot
from application.rows import PostStatus


def create_views() -> Mapping[str, CreateView]:
    """By the view's name."""
    return {
        "posts": CreateView(union_all(_posts("a"), _posts("b")), "posts"),
        "comments": CreateView(union_all(_comments("a"), _comments("b")), "comments"),
    }


def _posts(slot: Slot) -> Select[*tuple[object, ...]]:
    posts = SLOTS[slot].posts.c
    shown = (posts.post_id, posts.author, posts.date_posted, posts.message, posts.likes, posts.version)
    return select(*shown).where(posts.status == literal_column(str(PostStatus.LIVE.value)), _is_live(slot))


def _comments(slot: Slot) -> Select[*tuple[object, ...]]:
    comments = SLOTS[slot].comments.c
    shown = (comments.comment_id, comments.post_id, comments.username, comments.comment, comments.comment_date)
    return select(*shown, comments.edited).where(_is_live(slot))


def _is_live(slot: Slot) -> ColumnElement[bool]:
    return select(read_db.c.slot).scalar_subquery() == literal_column(f"'{slot}'")

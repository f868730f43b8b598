"""The statements by which readers are answered, one an answer."""

from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    Table,
    bindparam,
    literal_column,
    select,
    union_all,
)

from adapters.sql import answer_parts
from adapters.sql.answer_parts import Part
from adapters.sql.backend import SqlBackend
from adapters.sql.row_order import is_below
from adapters.sql.tables import SLOTS
from adapters.sql.types import Id, Instant
from application.ports.read_db import Slot
from application.rows import PostStatus

Statement = Part | CompoundSelect[*tuple[Any, ...]]

NEWEST_COMMENTS = 100


def stamp() -> Statement:
    return answer_parts.stamp()


def posts_by_id(backend: SqlBackend, slot: Slot) -> Statement:
    """The posts in the key set, each with its newest comments."""
    tables = SLOTS[slot]
    wanted = backend.key_set([tables.posts.c.post_id])
    found = select(tables.posts).join_from(wanted, tables.posts, tables.posts.c.post_id == wanted.c.post_id)
    newest = backend.newest_per_post(wanted, tables.comments, NEWEST_COMMENTS)
    return union_all(
        answer_parts.stamp(),
        answer_parts.parked(wanted),
        answer_parts.posts(found.where(_is_live(tables.posts)).subquery("found")),
        answer_parts.comments(newest.subquery("newest")),
    )


class PageOfPosts(NamedTuple):
    """What a page asks for, without the values."""

    of_author: bool
    has_comments: bool | None
    min_likes: bool
    goes_on: bool


@cache
def page_of_posts(slot: Slot, asked: PageOfPosts) -> Statement:
    """Parameters: `at_most`; `author` and `min_likes` where asked for; `after_at` and `after_id` when it `goes_on`."""
    posts = SLOTS[slot].posts
    matching = select(posts).where(_is_live(posts), *_conditions(posts, asked))
    page = _newest_first(matching, posts.c.date_posted, posts.c.post_id, goes_on=asked.goes_on)
    return union_all(answer_parts.stamp(), answer_parts.posts(page.subquery("page")))


def page_of_comments(backend: SqlBackend, slot: Slot, *, goes_on: bool) -> Statement:
    """Of one post, which is both the key set and the parameter `of_post`. Other parameters as for posts."""
    posts, comments = SLOTS[slot].posts, SLOTS[slot].comments
    its_own = comments.c.post_id == bindparam("of_post")
    page = _newest_first(
        select(comments).where(its_own), comments.c.comment_date, comments.c.comment_id, goes_on=goes_on
    )
    post = select(posts).where(posts.c.post_id == bindparam("of_post"), _is_live(posts))
    return union_all(
        answer_parts.stamp(),
        answer_parts.parked(backend.key_set([posts.c.post_id])),
        answer_parts.posts(post.subquery("found")),
        answer_parts.comments(page.subquery("page")),
    )


def _is_live(posts: Table) -> ColumnElement[bool]:
    return posts.c.status == literal_column(str(PostStatus.LIVE.value))


def _conditions(posts: Table, asked: PageOfPosts) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if asked.of_author:
        conditions.append(posts.c.author_folded == bindparam("author"))
    if asked.min_likes:
        conditions.append(posts.c.likes >= bindparam("min_likes"))
    if asked.has_comments is not None:
        conditions.append(posts.c.comments_count > 0 if asked.has_comments else posts.c.comments_count == 0)
    return conditions


def _newest_first(
    rows: Select[*tuple[Any, ...]], at: ColumnElement[Any], key: ColumnElement[Any], *, goes_on: bool
) -> Select[*tuple[Any, ...]]:
    if goes_on:
        last_seen = bindparam("after_at", type_=Instant()), bindparam("after_id", type_=Id())
        rows = rows.where(is_below(at, key, *last_seen))
    # Without an offset SQLAlchemy leaves out the order in what it writes for SQL Server.
    return rows.order_by(at.desc(), key.desc()).limit(bindparam("at_most")).offset(0)

"""The tables of a read database, the same in every engine, and the views for people.

Posts and comments exist twice, in the slots `a` and `b`; the one row of `read_db` names the slot that readers see, and
the generation in it. `generations` has a row for every build, whose checkpoints and parked streams carry its number.

The views `posts` and `comments` are the contract for people with a SQL client or a reporting tool: the live slot,
without what was removed. Each view is a UNION ALL of both slots, of which the live row lets one through; planners run
only that one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Index,
    Integer,
    MetaData,
    Select,
    SmallInteger,
    Table,
    UnicodeText,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.schema import CreateView

from adapters.sql.types import Id, Instant, OrdinalText
from application.ports.read_db import Slot
from application.rows import PostStatus

ONLY_ROW = 1
"""The id of the one row of `read_db`."""

metadata = MetaData()


@dataclass(frozen=True, slots=True)
class SlotTables:
    """Their columns begin with those of `PostRow` and `CommentRow`, in the same order; `author_folded` comes last."""

    posts: Table
    comments: Table


def _posts(slot: Slot) -> Table:
    name = f"posts_{slot}"
    posts = Table(
        name,
        metadata,
        Column("post_id", Id, primary_key=True),
        Column("status", SmallInteger, nullable=False),
        Column("author", UnicodeText, nullable=False),
        Column("date_posted", Instant, nullable=False),
        Column("message", UnicodeText, nullable=False),
        Column("likes", BigInteger, nullable=False),
        Column("comments_count", Integer, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("author_folded", OrdinalText, nullable=False),
    )
    Index(f"{name}_newest", posts.c.date_posted, posts.c.post_id)
    Index(f"{name}_newest_of_author", posts.c.author_folded, posts.c.date_posted, posts.c.post_id)
    return posts


def _comments(slot: Slot) -> Table:
    name = f"comments_{slot}"
    comments = Table(
        name,
        metadata,
        Column("post_id", Id, primary_key=True),
        Column("comment_id", Id, primary_key=True),
        Column("username", UnicodeText, nullable=False),
        Column("comment", UnicodeText, nullable=False),
        Column("comment_date", Instant, nullable=False),
        Column("edited", Boolean, nullable=False),
    )
    Index(f"{name}_newest", comments.c.post_id, comments.c.comment_date, comments.c.comment_id)
    return comments


SLOTS: Mapping[Slot, SlotTables] = {
    "a": SlotTables(_posts("a"), _comments("a")),
    "b": SlotTables(_posts("b"), _comments("b")),
}

read_db = Table(
    "read_db",
    metadata,
    Column("id", SmallInteger, CheckConstraint(f"id = {ONLY_ROW}"), primary_key=True, autoincrement=False),
    Column("generation", Integer, nullable=False),
    Column("slot", OrdinalText, nullable=False),
    Column("log_id", Id),
    Column("partitions", Integer, nullable=False),
    Column("ready", Boolean, nullable=False),
)

generations = Table(
    "generations",
    metadata,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("slot", OrdinalText, nullable=False),
    Column("state", OrdinalText, nullable=False),
    Column("log_id", Id),
    Column("position", BigInteger, nullable=False),
    Column("commit_id", OrdinalText, nullable=False),
    Column("target", BigInteger, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("error", UnicodeText),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    Column("commit_position", BigInteger, nullable=False),
    Column("commit_id", OrdinalText, nullable=False),
    Column("topic_id", OrdinalText),
    Column("next_offset", BigInteger),
)

parked_streams = Table(
    "parked_streams",
    metadata,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("post_id", Id, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("waiting_version", BigInteger, nullable=False),
    Column("code", OrdinalText, nullable=False),
    Column("reason", UnicodeText, nullable=False),
    Column("parked_at", Instant, nullable=False),
)


def create_views() -> Mapping[str, CreateView]:
    """By the view's name."""
    return {
        "posts": CreateView(union_all(_posts_view("a"), _posts_view("b")), "posts"),
        "comments": CreateView(union_all(_comments_view("a"), _comments_view("b")), "comments"),
    }


def _posts_view(slot: Slot) -> Select[*tuple[object, ...]]:
    posts = SLOTS[slot].posts.c
    shown = (posts.post_id, posts.author, posts.date_posted, posts.message, posts.likes, posts.version)
    return select(*shown).where(posts.status == literal_column(str(PostStatus.LIVE.value)), _is_live(slot))


def _comments_view(slot: Slot) -> Select[*tuple[object, ...]]:
    comments = SLOTS[slot].comments.c
    shown = (comments.comment_id, comments.post_id, comments.username, comments.comment, comments.comment_date)
    return select(*shown, comments.edited).where(_is_live(slot))


def _is_live(slot: Slot) -> ColumnElement[bool]:
    return select(read_db.c.slot).scalar_subquery() == literal_column(f"'{slot}'")

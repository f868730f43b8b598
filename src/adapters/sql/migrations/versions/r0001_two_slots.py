"""Two slots of posts and comments, and the row that names the live one."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from adapters.sql.types import Id, Instant, OrdinalText

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_POSTS = """CREATE VIEW posts AS
SELECT posts_a.post_id, posts_a.author, posts_a.date_posted, posts_a.message, posts_a.likes, posts_a.version
FROM posts_a WHERE posts_a.status = 1 AND (SELECT read_db.slot FROM read_db) = 'a'
UNION ALL
SELECT posts_b.post_id, posts_b.author, posts_b.date_posted, posts_b.message, posts_b.likes, posts_b.version
FROM posts_b WHERE posts_b.status = 1 AND (SELECT read_db.slot FROM read_db) = 'b'"""

_COMMENTS = """CREATE VIEW comments AS
SELECT comments_a.comment_id, comments_a.post_id, comments_a.username, comments_a.comment, comments_a.comment_date,
comments_a.edited
FROM comments_a WHERE (SELECT read_db.slot FROM read_db) = 'a'
UNION ALL
SELECT comments_b.comment_id, comments_b.post_id, comments_b.username, comments_b.comment, comments_b.comment_date,
comments_b.edited
FROM comments_b WHERE (SELECT read_db.slot FROM read_db) = 'b'"""


def upgrade() -> None:
    for slot in ("a", "b"):
        _make_posts(f"posts_{slot}")
        _make_comments(f"comments_{slot}")
    _make_read_db()
    _make_generations()
    _make_checkpoints()
    _make_parked_streams()
    op.execute(_POSTS)
    op.execute(_COMMENTS)


def _make_posts(name: str) -> None:
    op.create_table(
        name,
        sa.Column("post_id", Id, primary_key=True),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("author", sa.UnicodeText, nullable=False),
        sa.Column("date_posted", Instant, nullable=False),
        sa.Column("message", sa.UnicodeText, nullable=False),
        sa.Column("likes", sa.BigInteger, nullable=False),
        sa.Column("comments_count", sa.Integer, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("author_folded", OrdinalText, nullable=False),
    )
    op.create_index(f"{name}_newest", name, ["date_posted", "post_id"])
    op.create_index(f"{name}_newest_of_author", name, ["author_folded", "date_posted", "post_id"])


def _make_comments(name: str) -> None:
    op.create_table(
        name,
        sa.Column("post_id", Id, primary_key=True),
        sa.Column("comment_id", Id, primary_key=True),
        sa.Column("username", sa.UnicodeText, nullable=False),
        sa.Column("comment", sa.UnicodeText, nullable=False),
        sa.Column("comment_date", Instant, nullable=False),
        sa.Column("edited", sa.Boolean, nullable=False),
    )
    op.create_index(f"{name}_newest", name, ["post_id", "comment_date", "comment_id"])


def _make_read_db() -> None:
    live = op.create_table(
        "read_db",
        sa.Column("id", sa.SmallInteger, sa.CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("slot", OrdinalText, nullable=False),
        sa.Column("log_id", Id),
        sa.Column("partitions", sa.Integer, nullable=False),
        sa.Column("ready", sa.Boolean, nullable=False),
    )
    op.bulk_insert(live, [{"id": 1, "generation": 1, "slot": "a", "partitions": 1, "ready": False}])


def _make_generations() -> None:
    generations = op.create_table(
        "generations",
        sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("slot", OrdinalText, nullable=False),
        sa.Column("state", OrdinalText, nullable=False),
        sa.Column("log_id", Id),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("commit_id", OrdinalText, nullable=False),
        sa.Column("target", sa.BigInteger, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("started_at", Instant, nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        sa.Column("ended_at", Instant),
        sa.Column("error", sa.UnicodeText),
    )
    now = datetime.now(UTC)
    first = {"generation": 1, "slot": "a", "state": "live", "started_at": now, "updated_at": now}
    op.bulk_insert(generations, [{**first, "position": 0, "commit_id": "", "target": 0, "events": 0}])


def _make_checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("commit_position", sa.BigInteger, nullable=False),
        sa.Column("commit_id", OrdinalText, nullable=False),
        sa.Column("topic_id", OrdinalText),
        sa.Column("next_offset", sa.BigInteger),
    )


def _make_parked_streams() -> None:
    op.create_table(
        "parked_streams",
        sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("post_id", Id, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("waiting_version", sa.BigInteger, nullable=False),
        sa.Column("code", OrdinalText, nullable=False),
        sa.Column("reason", sa.UnicodeText, nullable=False),
        sa.Column("parked_at", Instant, nullable=False),
    )

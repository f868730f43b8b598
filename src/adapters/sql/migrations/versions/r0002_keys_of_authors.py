"""Recomputes `author_folded` of existing posts by `domain.names.name_key`; it was `str.casefold`."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from adapters.sql.rows import author_folded
from adapters.sql.types import Id, OrdinalText

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_POSTS_AT_ONCE = 5_000


def upgrade() -> None:
    for slot in ("a", "b"):
        posts = sa.table(
            f"posts_{slot}",
            sa.column("post_id", Id),
            sa.column("author", sa.UnicodeText),
            sa.column("author_folded", OrdinalText),
        )
        last: str | None = None
        while page := _page(posts, last):
            last = page[-1].post_id
            changed = [
                {"changed": post.post_id, "key": key}
                for post in page
                if (key := author_folded(post.author)) != post.author_folded
            ]
            if changed:
                renew = posts.update().where(posts.c.post_id == sa.bindparam("changed"))
                op.get_bind().execute(renew.values(author_folded=sa.bindparam("key")), changed)


def _page(posts: sa.TableClause, after: str | None) -> list[Any]:
    following = sa.select(posts).order_by(posts.c.post_id).limit(_POSTS_AT_ONCE)
    if after is not None:
        following = following.where(posts.c.post_id > after)
    return list(op.get_bind().execute(following))

"""Answers readers from the slot that was live when we last heard of it. Each answer tells which slot is live; after a
swap it is the other one, and that one is asked then.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from adapters.sql import read_statements
from adapters.sql.answers import ReadResult, read_result
from adapters.sql.backend import SqlBackend, consistent_read
from adapters.sql.read_statements import PageOfPosts, Statement
from adapters.sql.rows import author_folded
from adapters.sql.tables import SLOTS
from application.ports.post_views import CommentKeyset, PostFilter, PostKey, PostWithComments, Stamp, Stamped
from application.ports.read_db import Slot
from application.rows import CommentRow, PostRow
from domain.ids import PostId


class Reading:
    def __init__(self, backend: SqlBackend) -> None:
        self._backend = backend
        self._slot: Slot = "a"
        self._stamp = read_statements.stamp()
        self._by_id = {slot: read_statements.posts_by_id(backend, slot) for slot in SLOTS}
        self._comments = {
            (slot, goes_on): read_statements.page_of_comments(backend, slot, goes_on=goes_on)
            for slot in SLOTS
            for goes_on in (False, True)
        }

    def stamp(self) -> Stamp:
        return self._ask(lambda _: self._stamp, {}).stamp

    def posts_by_id(self, post_ids: Sequence[PostId]) -> dict[PostId, Stamped[PostWithComments | None]]:
        keys = self._backend.key_values([(post_id,) for post_id in post_ids])
        answer = self._ask(self._by_id.__getitem__, keys)
        found = {post.post_id: PostWithComments(post, answer.comments.get(post.post_id, [])) for post in answer.posts}
        return {post_id: Stamped(_stamp_of(answer, post_id), found.get(post_id)) for post_id in post_ids}

    def posts(self, wanted: PostFilter, limit: int, after: PostKey | None) -> Stamped[list[PostRow]]:
        asked = PageOfPosts(
            of_author=wanted.author is not None,
            has_comments=wanted.has_comments,
            min_likes=wanted.min_likes is not None,
            goes_on=after is not None,
        )
        values = {"at_most": limit, "author": author_folded(wanted.author or ""), "min_likes": wanted.min_likes}
        if after is not None:
            values |= {"after_at": after.date_posted, "after_id": after.post_id}
        answer = self._ask(lambda slot: read_statements.page_of_posts(slot, asked), values)
        return Stamped(answer.stamp, answer.posts)

    def comments(self, post_id: PostId, limit: int, after: CommentKeyset | None) -> Stamped[list[CommentRow] | None]:
        values = {**self._backend.key_values([(post_id,)]), "of_post": post_id, "at_most": limit}
        if after is not None:
            values |= {"after_at": after.comment_date, "after_id": after.comment_id}
        answer = self._ask(lambda slot: self._comments[slot, after is not None], values)
        comments = answer.comments.get(post_id, []) if answer.posts else None
        return Stamped(_stamp_of(answer, post_id), comments)

    def _ask(self, statement: Callable[[Slot], Statement], values: Mapping[str, Any]) -> ReadResult:
        with self._backend.engine.connect() as connection:

            def ask() -> ReadResult:
                return self._answer_from_live_slot(connection, statement, values)

            before, answer = consistent_read(self._backend, connection, ask, _agree)
            return replace(answer, stamp=before.stamp)

    def _answer_from_live_slot(
        self, connection: Connection, statement: Callable[[Slot], Statement], values: Mapping[str, Any]
    ) -> ReadResult:
        while True:
            slot = self._slot
            answer = read_result(connection.execute(statement(slot), values))
            if answer.slot == slot:
                return answer
            self._slot = answer.slot


def _agree(before: ReadResult, after: ReadResult) -> bool:
    """Other rows than these may have moved on: the position from before is one that these rows have reached."""
    generations = before.stamp.generation, after.stamp.generation
    return generations[0] == generations[1] and replace(before, stamp=after.stamp) == after


def _stamp_of(answer: ReadResult, post_id: PostId) -> Stamp:
    parked_at = answer.parked_at.get(post_id)
    return answer.stamp if parked_at is None else replace(answer.stamp, post_parked_at=parked_at)

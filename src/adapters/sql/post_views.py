"""Rows for queries, from the live slot.

One statement reads all that one answer needs: in every engine a statement reads one snapshot of the database, whatever
happens to the tables meanwhile. The statement is a UNION ALL whose rows have one shape; `tag` says what a row is:

    tag         post_id  comment_id  name      text     at            n1          n2              n3          n4
    STAMP                            slot                             generation  position        parked      ready
    PARKED      post_id                                               position
    POST        post_id              author    message  date_posted   likes       comments_count  version
    COMMENT     post_id  comment_id  username  comment  comment_date  edited
    CHECKPOINT                                                        partition   position        partitions

The statement reads the slot that was live at the last answer, and the stamp names the slot that is live now. If they
differ, there was a swap, and the other slot is read.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Connection,
    FromClause,
    Select,
    Table,
    UnicodeText,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.exc import NoResultFound
from sqlalchemy.types import TypeEngine

from adapters.sql.backend import SqlBackend, consistent_read
from adapters.sql.batched_lookup import BatchedLookup
from adapters.sql.database import Database, SqlPort, in_thread
from adapters.sql.rows import author_folded
from adapters.sql.tables import SLOTS, checkpoints, parked_streams, read_db
from adapters.sql.types import Id, Instant, is_below
from application.partitioning import partition_of
from application.ports.post_views import CommentKeyset, PostFilter, PostKey, PostWithComments, Stamp, Stamped
from application.ports.read_db import Slot
from application.rows import CommentRow, PostRow, PostStatus
from domain.ids import PostId

NEWEST_COMMENTS = 100


class SqlPostViews(SqlPort):
    def __init__(self, database: Database, seconds: float | None = None) -> None:
        super().__init__(database, seconds)
        self._lookup = BatchedLookup(self._posts_by_id)
        self._slot: Slot = "a"
        self._stamp_only = stamp_part()
        self._by_id = {slot: posts_by_id(self._backend, slot) for slot in SLOTS}
        self._comments = {
            (slot, continues): page_of_comments(self._backend, slot, continues=continues)
            for slot in SLOTS
            for continues in (False, True)
        }

    async def post(self, post_id: PostId) -> Stamped[PostWithComments | None]:
        return await self._lookup.get(post_id)

    @in_thread
    def _posts_by_id(self, post_ids: Sequence[PostId]) -> Mapping[PostId, Stamped[PostWithComments | None]]:
        keys = self._backend.key_values([(post_id,) for post_id in post_ids])
        result = self._read(self._by_id.__getitem__, keys)
        found = {post.post_id: PostWithComments(post, result.comments.get(post.post_id, [])) for post in result.posts}
        return {post_id: Stamped(result.stamp_of(post_id), found.get(post_id)) for post_id in post_ids}

    @in_thread
    def posts(self, wanted: PostFilter, limit: int, after: PostKey | None) -> Stamped[list[PostRow]]:
        shape = PageOfPosts(
            of_author=wanted.author is not None,
            has_comments=wanted.has_comments,
            min_likes=wanted.min_likes is not None,
            continues=after is not None,
        )
        values = {"at_most": limit, "author": author_folded(wanted.author or ""), "min_likes": wanted.min_likes}
        if after is not None:
            values |= {"after_at": after.date_posted, "after_id": after.post_id}
        result = self._read(lambda slot: page_of_posts(slot, shape), values)
        return Stamped(result.stamp, result.posts)

    @in_thread
    def comments(self, post_id: PostId, limit: int, after: CommentKeyset | None) -> Stamped[list[CommentRow] | None]:
        values = {**self._backend.key_values([(post_id,)]), "of_post": post_id, "at_most": limit}
        if after is not None:
            values |= {"after_at": after.comment_date, "after_id": after.comment_id}
        result = self._read(lambda slot: self._comments[slot, after is not None], values)
        comments = result.comments.get(post_id, []) if result.posts else None
        return Stamped(result.stamp_of(post_id), comments)

    @in_thread
    def stamp(self) -> Stamp:
        return self._read(lambda _: self._stamp_only, {}).stamp

    def _read(self, statement: "Callable[[Slot], Statement]", values: Mapping[str, Any]) -> "ReadResult":
        with self._backend.engine.connect() as connection:
            before, result = consistent_read(
                self._backend, connection, lambda: self._read_live_slot(connection, statement, values), _agree
            )
            return replace(result, stamp=before.stamp, positions=before.positions)

    def _read_live_slot(
        self, connection: Connection, statement: "Callable[[Slot], Statement]", values: Mapping[str, Any]
    ) -> "ReadResult":
        while True:
            slot = self._slot
            result = ReadResult.of(connection.execute(statement(slot), values))
            if result.slot == slot:
                return result
            self._slot = result.slot


class Tag(IntEnum):
    STAMP = 0
    PARKED = 1
    POST = 2
    COMMENT = 3
    CHECKPOINT = 4


@dataclass(frozen=True, slots=True)
class ReadResult:
    """Posts and comments are newest first; `parked_at` has the position from which on a requested post is parked.
    `positions` are those of the partitions, which are `partitions`, where the statement asks for them."""

    slot: Slot
    stamp: Stamp
    parked_at: dict[PostId, int]
    posts: list[PostRow]
    comments: dict[PostId, list[CommentRow]]
    partitions: int
    positions: dict[int, int]

    @classmethod
    def of(cls, rows: Iterable[tuple[Any, ...]]) -> "ReadResult":
        """Raises SQLAlchemy's `NoResultFound` when no row names the live slot."""
        stamps: list[tuple[Slot, Stamp]] = []
        parked_at: dict[PostId, int] = {}
        posts: list[PostRow] = []
        comments: defaultdict[PostId, list[CommentRow]] = defaultdict(list)
        partitions, positions = 1, dict[int, int]()
        for tag, post_id, comment_id, name, text, at, n1, n2, n3, n4 in rows:
            if tag == Tag.COMMENT:
                comments[post_id].append(CommentRow(post_id, comment_id, name, text, at, bool(n1)))
            elif tag == Tag.POST:
                posts.append(PostRow(post_id, PostStatus.LIVE, name, at, text, n1, n2, n3))
            elif tag == Tag.PARKED:
                parked_at[post_id] = n1
            elif tag == Tag.CHECKPOINT:
                positions[n1], partitions = n2, n3
            else:
                stamps.append((name, Stamp(generation=n1, position=n2, parked=n3, ready=bool(n4))))
        posts.sort(key=_post_age, reverse=True)
        for of_post in comments.values():
            of_post.sort(key=_comment_age, reverse=True)
        if not stamps:
            raise NoResultFound
        [(slot, stamp)] = stamps
        return cls(slot, stamp, parked_at, posts, dict(comments), partitions, positions)

    def stamp_of(self, post_id: PostId) -> Stamp:
        """Of a post that was asked for: as new as its own partition."""
        position = self.positions.get(partition_of(post_id, self.partitions), 0)
        return replace(self.stamp, position=position, post_parked_at=self.parked_at.get(post_id))


def _post_age(post: PostRow) -> tuple[object, ...]:
    return post.date_posted, post.post_id


def _comment_age(comment: CommentRow) -> tuple[object, ...]:
    return comment.comment_date, comment.comment_id


def _agree(before: ReadResult, after: ReadResult) -> bool:
    """The positions may differ, since other posts may have changed; these rows had reached the earlier one."""
    generations = before.stamp.generation, after.stamp.generation
    return generations[0] == generations[1] and replace(before, stamp=after.stamp, positions=after.positions) == after


# The statements, one an answer

Part = Select[*tuple[Any, ...]]
Statement = Part | CompoundSelect[*tuple[Any, ...]]


def posts_by_id(backend: SqlBackend, slot: Slot) -> Statement:
    """The posts in the key set, each with its newest comments."""
    tables = SLOTS[slot]
    wanted = backend.key_set([tables.posts.c.post_id])
    found = select(tables.posts).join_from(wanted, tables.posts, tables.posts.c.post_id == wanted.c.post_id)
    newest = backend.newest_per_post(wanted, tables.comments, NEWEST_COMMENTS)
    return union_all(
        stamp_part(),
        _parked_part(wanted),
        _post_part(found.where(_is_live(tables.posts)).subquery("found")),
        _comment_part(newest.subquery("newest")),
        _checkpoints_part(),
    )


class PageOfPosts(NamedTuple):
    """Which conditions a page has, without their values."""

    of_author: bool
    has_comments: bool | None
    min_likes: bool
    continues: bool


@cache
def page_of_posts(slot: Slot, shape: PageOfPosts) -> Statement:
    """Parameters: `at_most`; `author` and `min_likes` where the page has them; `after_at` and `after_id` when it
    `continues`."""
    posts = SLOTS[slot].posts
    matching = select(posts).where(_is_live(posts), *_conditions(posts, shape))
    page = _newest_first(matching, posts.c.date_posted, posts.c.post_id, continues=shape.continues)
    return union_all(stamp_part(), _post_part(page.subquery("page")))


def page_of_comments(backend: SqlBackend, slot: Slot, *, continues: bool) -> Statement:
    """Of one post, which is both the key set and the parameter `of_post`. Other parameters as for posts."""
    posts, comments = SLOTS[slot].posts, SLOTS[slot].comments
    of_post = select(comments).where(comments.c.post_id == bindparam("of_post"))
    page = _newest_first(of_post, comments.c.comment_date, comments.c.comment_id, continues=continues)
    post = select(posts).where(posts.c.post_id == bindparam("of_post"), _is_live(posts))
    return union_all(
        stamp_part(),
        _parked_part(backend.key_set([posts.c.post_id])),
        _post_part(post.subquery("found")),
        _comment_part(page.subquery("page")),
        _checkpoints_part(),
    )


def _is_live(posts: Table) -> ColumnElement[bool]:
    return posts.c.status == literal_column(str(PostStatus.LIVE.value))


def _conditions(posts: Table, shape: PageOfPosts) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if shape.of_author:
        conditions.append(posts.c.author_folded == bindparam("author"))
    if shape.min_likes:
        conditions.append(posts.c.likes >= bindparam("min_likes"))
    if shape.has_comments is not None:
        conditions.append(posts.c.comments_count > 0 if shape.has_comments else posts.c.comments_count == 0)
    return conditions


def _newest_first(rows: Part, at: ColumnElement[Any], key: ColumnElement[Any], *, continues: bool) -> Part:
    if continues:
        last_seen = bindparam("after_at", type_=Instant()), bindparam("after_id", type_=Id())
        rows = rows.where(is_below(at, key, *last_seen))
    # Without an offset SQLAlchemy leaves out the order in what it writes for SQL Server.
    return rows.order_by(at.desc(), key.desc()).limit(bindparam("at_most")).offset(0)


# The parts of a statement

_COLUMNS: dict[str, TypeEngine[Any]] = {
    "post_id": Id(),
    "comment_id": Id(),
    "name": UnicodeText(),
    "text": UnicodeText(),
    "at": Instant(),
    "n1": BigInteger(),
    "n2": BigInteger(),
    "n3": BigInteger(),
    "n4": BigInteger(),
}


def stamp_part() -> Part:
    """How new the rows are: the lowest checkpoint, and 0 while one is missing. The slot is text without a collation:
    SQL Server refuses a union of texts that have different ones."""
    is_counted = (checkpoints.c.generation == read_db.c.generation, checkpoints.c.partition < read_db.c.partitions)
    lowest = case((func.count() < read_db.c.partitions, 0), else_=func.min(checkpoints.c.position))
    position = select(lowest).select_from(checkpoints).where(*is_counted).correlate(read_db)
    of_generation = parked_streams.c.generation == read_db.c.generation
    parked = select(func.count()).select_from(parked_streams).where(of_generation).correlate(read_db)
    return _part(
        Tag.STAMP,
        read_db,
        name=case((read_db.c.slot == literal_column("'a'"), literal_column("'a'")), else_=literal_column("'b'")),
        n1=read_db.c.generation,
        n2=position.scalar_subquery(),
        n3=parked.scalar_subquery(),
        n4=case((read_db.c.ready == true(), 1), else_=0),
    )


def _parked_part(wanted: FromClause) -> Part:
    """The parked posts among those in the key set."""
    rows = wanted.join(parked_streams, parked_streams.c.post_id == wanted.c.post_id)
    part = _part(Tag.PARKED, rows, post_id=parked_streams.c.post_id, n1=parked_streams.c.position)
    return part.where(parked_streams.c.generation == select(read_db.c.generation).scalar_subquery())


def _checkpoints_part() -> Part:
    """Those of the live generation: a post is as new as its own partition."""
    is_counted = (checkpoints.c.generation == read_db.c.generation) & (checkpoints.c.partition < read_db.c.partitions)
    return _part(
        Tag.CHECKPOINT,
        read_db.join(checkpoints, is_counted),
        n1=checkpoints.c.partition,
        n2=checkpoints.c.position,
        n3=read_db.c.partitions,
    )


def _post_part(rows: FromClause) -> Part:
    """`rows` has the columns of a posts table."""
    return _part(
        Tag.POST,
        rows,
        post_id=rows.c.post_id,
        name=rows.c.author,
        text=rows.c.message,
        at=rows.c.date_posted,
        n1=rows.c.likes,
        n2=rows.c.comments_count,
        n3=rows.c.version,
    )


def _comment_part(rows: FromClause) -> Part:
    """`rows` has the columns of a comments table."""
    return _part(
        Tag.COMMENT,
        rows,
        post_id=rows.c.post_id,
        comment_id=rows.c.comment_id,
        name=rows.c.username,
        text=rows.c.comment,
        at=rows.c.comment_date,
        n1=case((rows.c.edited == true(), 1), else_=0),
    )


def _part(tag: Tag, source: FromClause, **values: ColumnElement[Any]) -> Part:
    """SQL derives a column's type from all parts of a union, so an empty place needs a type as well."""
    columns = [
        (values[name] if name in values else cast(null(), type_)).label(name) for name, type_ in _COLUMNS.items()
    ]
    return select(literal_column(str(tag.value)).label("tag"), *columns).select_from(source)

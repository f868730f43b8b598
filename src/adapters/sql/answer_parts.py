"""The parts of a statement that answers a reader; `answers` says what they look like."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    UnicodeText,
    case,
    cast,
    func,
    literal_column,
    null,
    select,
    true,
)
from sqlalchemy.types import TypeEngine

from adapters.sql.answers import Tag
from adapters.sql.tables import checkpoints, parked_streams, read_db
from adapters.sql.types import Id, Instant

Part = Select[*tuple[Any, ...]]

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


def stamp() -> Part:
    """How new the rows are: the lowest checkpoint, and 0 while one is missing. The slot comes as a text of no
    collation: SQL Server puts no texts of several under one another.
    """
    is_counted = (checkpoints.c.generation == read_db.c.generation, checkpoints.c.partition < read_db.c.partitions)
    lowest = case((func.count() < read_db.c.partitions, 0), else_=func.min(checkpoints.c.position))
    position = select(lowest).select_from(checkpoints).where(*is_counted).correlate(read_db)
    is_ours = parked_streams.c.generation == read_db.c.generation
    parked = select(func.count()).select_from(parked_streams).where(is_ours).correlate(read_db)
    return _part(
        Tag.STAMP,
        read_db,
        name=case((read_db.c.slot == literal_column("'a'"), literal_column("'a'")), else_=literal_column("'b'")),
        n1=read_db.c.generation,
        n2=position.scalar_subquery(),
        n3=parked.scalar_subquery(),
        n4=case((read_db.c.ready == true(), 1), else_=0),
    )


def parked(wanted: FromClause) -> Part:
    """From which position on the posts in the key set are parked, if they are."""
    rows = wanted.join(parked_streams, parked_streams.c.post_id == wanted.c.post_id)
    part = _part(Tag.PARKED, rows, post_id=parked_streams.c.post_id, n1=parked_streams.c.position)
    return part.where(parked_streams.c.generation == select(read_db.c.generation).scalar_subquery())


def posts(rows: FromClause) -> Part:
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


def comments(rows: FromClause) -> Part:
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
    """SQL takes a column's type from all parts of a union, so an empty place needs one as well."""
    columns = [
        (values[name] if name in values else cast(null(), type_)).label(name) for name, type_ in _COLUMNS.items()
    ]
    return select(literal_column(str(tag.value)).label("tag"), *columns).select_from(source)

"""The statements for SQL Server, as far as they can be tested without a server, which not every test run has."""

import re
from typing import Any

import pytest
from sqlalchemy import Executable, insert, select
from sqlalchemy.dialects import mssql
from sqlalchemy.schema import CreateTable

from adapters.sql import post_views
from adapters.sql.post_views import PageOfPosts
from adapters.sql.tables import SLOTS, checkpoints, metadata, read_db
from adapters.sqlserver.dialect import key_set, key_values, lock_first, newest_per_post
from contracts.read_db_handle import post_id

DIALECT: Any = mssql.dialect(paramstyle="named", deprecate_large_types=True)  # type: ignore[no-untyped-call]
DIALECT._supports_offset_fetch = True  # known only once it is connected to a current server


class Statements:
    """The part of a backend that builds statements."""

    key_set = staticmethod(key_set)
    newest_per_post = staticmethod(newest_per_post)


STATEMENTS: Any = Statements()


def sql(statement: Executable) -> str:
    compiled: Any = statement.compile(dialect=DIALECT)  # type: ignore[attr-defined]
    return re.sub(r"(?<=param_)\d+", "n", " ".join(str(compiled).split()))


# Columns


def column(table: str, name: str) -> str:
    lines = map(str.strip, str(CreateTable(metadata.tables[table]).compile(dialect=DIALECT)).splitlines())
    return next(line for line in lines if line.startswith(f"{name} ")).rstrip(", ")


@pytest.mark.parametrize(
    ("table", "name", "definition"),
    [
        ("posts_a", "post_id", "post_id CHAR(36) COLLATE Latin1_General_BIN2 NOT NULL"),
        ("posts_a", "author", "author NVARCHAR(max) NOT NULL"),
        ("posts_a", "author_folded", "author_folded NVARCHAR(400) COLLATE Latin1_General_BIN2 NOT NULL"),
        ("posts_a", "date_posted", "date_posted DATETIME2(3) NOT NULL"),
        ("posts_a", "likes", "likes BIGINT NOT NULL"),
        ("comments_b", "edited", "edited BIT NOT NULL"),
        ("checkpoints", "generation", "generation INTEGER NOT NULL"),
    ],
)
def test_columns_have_the_type_that_holds_what_other_engines_hold(table: str, name: str, definition: str) -> None:
    assert column(table, name) == definition


def test_no_key_of_an_index_is_longer_than_an_index_takes() -> None:
    """1,700 bytes, or 900 of the table's own key; `nvarchar(max)` is in none."""
    length = {"CHAR(36)": 36, "NVARCHAR(400)": 800, "DATETIME2(3)": 7, "INTEGER": 4, "SMALLINT": 2}
    for table in metadata.tables.values():
        for columns, most in [(table.primary_key.columns, 900), *((index.columns, 1_700) for index in table.indexes)]:
            types = [each.type.compile(DIALECT).partition(" COLLATE")[0] for each in columns]
            assert sum(length[type_] for type_ in types) <= most


# Queries


def test_pages_are_ordered_limited_and_continued_by_an_index() -> None:
    statement = sql(post_views.page_of_posts("a", PageOfPosts(True, None, False, True)))
    assert statement.endswith(
        "WHERE posts_a.status = 1 AND posts_a.author_folded = :author AND "
        "(posts_a.date_posted <= CAST(:after_at AS DATETIME2(3)) AND "
        "(posts_a.date_posted < CAST(:after_at AS DATETIME2(3)) OR posts_a.post_id < :after_id)) "
        "ORDER BY posts_a.date_posted DESC, posts_a.post_id DESC OFFSET :param_n ROWS FETCH FIRST :at_most ROWS ONLY) "
        "AS page"
    )


def test_newest_comments_are_selected_for_each_post() -> None:
    statement = sql(post_views.posts_by_id(STATEMENTS, "b"))
    assert "LATERAL" not in statement
    assert "AS wanted CROSS APPLY (SELECT TOP __[POSTCOMPILE_param_n] comments_b.post_id AS post_id, " in statement
    assert "WHERE comments_b.post_id = wanted.post_id ORDER BY comments_b.comment_date DESC" in statement


def test_texts_in_one_column_of_a_union_have_one_collation() -> None:
    """SQL Server refuses several. An id has its own collation, also where it is missing; the slot has none."""
    statement = sql(post_views.posts_by_id(STATEMENTS, "a"))
    assert "CAST(NULL AS CHAR(36)) COLLATE Latin1_General_BIN2 AS post_id" in statement
    assert "CASE WHEN (read_db.slot = 'a') THEN 'a' ELSE 'b' END AS name" in statement
    assert "read_db.slot AS" not in statement


def test_keys_have_the_type_and_the_collation_of_the_columns_that_they_are_compared_with() -> None:
    """So that the table's index finds them, and SQL Server compares them at all."""
    keys = key_set(list(SLOTS["a"].comments.primary_key.columns))
    assert sql(select(keys)) == (
        "SELECT wanted.post_id, wanted.comment_id FROM (SELECT [post_id] COLLATE Latin1_General_BIN2 AS [post_id], "
        "[comment_id] COLLATE Latin1_General_BIN2 AS [comment_id] FROM OPENJSON(:wanted) WITH "
        "([post_id] CHAR(36) '$[0]', [comment_id] CHAR(36) '$[1]')) AS wanted"
    )
    assert key_values([(post_id(1), post_id(2)), (post_id(3), post_id(4))]) == {
        "wanted": f'[["{post_id(1)}","{post_id(2)}"],["{post_id(3)}","{post_id(4)}"]]'
    }


# Locks


class Recorder:
    """Stands in for a connection."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, object]] = []

    def execute(self, statement: Executable, values: object) -> None:
        self.sent.append((sql(statement), values))


def locked_first(statement: Executable, **values: object) -> list[tuple[str, object]]:
    recorder: Any = Recorder()
    lock_first(recorder, statement, [], values, {})
    return list(recorder.sent)


def test_rows_selected_for_update_are_touched_first() -> None:
    """SQLAlchemy leaves FOR UPDATE out of its SQL for SQL Server."""
    statement = select(checkpoints).where(checkpoints.c.partition == 3).with_for_update()
    row_keys = "UPDATE checkpoints WITH (ROWLOCK) SET position=checkpoints.position"
    assert "UPDATE" not in sql(statement)
    assert locked_first(statement, of=7) == [
        (f"{row_keys} WHERE checkpoints.partition = :partition_1", {"of": 7}),
    ]
    assert locked_first(select(read_db).with_for_update(read=True)) == [
        ("UPDATE read_db WITH (ROWLOCK) SET generation=read_db.generation", {})
    ]


@pytest.mark.parametrize("statement", [select(checkpoints), insert(checkpoints)])
def test_other_statements_are_unchanged(statement: Executable) -> None:
    assert locked_first(statement) == []

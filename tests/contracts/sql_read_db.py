"""What every read database in SQL must do beside the ports' contracts. An adapter adopts it with a subclass named
`Test…` and the fixture `new_sql_database`: a callable whose answers are read databases, not yet opened, on one and the
same place, which is empty at first.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from sqlalchemy import Inspector, inspect, literal_column, select, table, text, update
from sqlalchemy import column as sql_column
from sqlalchemy import insert as insert_into
from sqlalchemy.exc import DBAPIError

from adapters.sql.backend import SqlBackend
from adapters.sql.migrations.upgrade import newest, upgrade
from adapters.sql.projection_store import SELECT_CHECKPOINTS
from adapters.sql.read_db import SqlReadDb, TimeLimits
from adapters.sql.rows import from_comment, from_post
from adapters.sql.schema import REVISION
from adapters.sql.tables import SLOTS, checkpoints, read_db
from application.errors import ReadDbUnavailable, SchemaOutdated
from application.ports.post_views import PostFilter
from application.ports.read_db import ProjectionBatch, RowChanges, Rows
from application.rows import PostRow, PostStatus
from contracts.read_db_handle import (
    LOG,
    NOON,
    TEXTS,
    OpenReadDb,
    ReadDbHandle,
    checkpoint,
    comment,
    comment_key,
    moves,
    parked,
    post,
    post_id,
)

T = TypeVar("T")

NewSqlReadDb = Callable[[], SqlReadDb]

_POSTS_OF_REVISION_0001 = (
    "post_id",
    "status",
    "author",
    "date_posted",
    "message",
    "likes",
    "comments_count",
    "version",
    "author_folded",
)


async def all_methods(database: SqlReadDb) -> list[BaseException | None]:
    """The outcome of each, with arguments that any database takes."""
    store, views, parked = database.projection_store, database.post_views, database.parked_streams
    batch = ProjectionBatch(1, moves((None, checkpoint(1))))
    return await asyncio.gather(
        store.live(),
        store.checkpoints(1),
        store.project(batch, lambda _: RowChanges()),
        store.claim(1, LOG, 1),
        store.mark_ready(1),
        views.post(post_id(1)),
        views.posts(PostFilter(), 10, None),
        views.comments(post_id(1), 10, None),
        views.stamp(),
        parked.parked(),
        parked.parked_stream(post_id(1)),
        database.provisioning.check(),
        database.provisioning.provision(),
        return_exceptions=True,
    )


async def with_backend(read_db: SqlReadDb, work: Callable[[SqlBackend], T]) -> T:
    """`work` in a thread of the read database."""
    database = (await read_db._loaded()).database
    return await database.run(lambda: work(database.backend))


def handle_of(database: SqlReadDb) -> ReadDbHandle:
    async def swap() -> None:
        await with_backend(database, _swap)

    return ReadDbHandle(database.projection_store, database.post_views, database.parked_streams, swap)


def read_db_opener(new_sql_database: NewSqlReadDb) -> OpenReadDb:
    @asynccontextmanager
    async def opened() -> AsyncIterator[ReadDbHandle]:
        async with new_sql_database() as database:
            await database.provisioning.provision()
            yield handle_of(database)

    return opened


async def query(database: SqlReadDb, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """As somebody with a SQL client would ask."""

    def ask(backend: SqlBackend) -> list[tuple[Any, ...]]:
        with backend.writing() as connection:
            found = connection.execute(text(statement), values)
            return [tuple(row) for row in found] if found.returns_rows else []

    return await with_backend(database, ask)


def _swap(backend: SqlBackend) -> None:
    with backend.writing() as connection:
        live = connection.execute(select(read_db)).one()
        connection.execute(SELECT_CHECKPOINTS.with_for_update(), {"of": live.generation}).all()
        following = literal_column(str(live.generation + 1))
        others = [column for column in checkpoints.c if column.name != "generation"]
        copies = select(following, *others).where(checkpoints.c.generation == live.generation)
        connection.execute(insert_into(checkpoints).from_select(["generation", *(c.name for c in others)], copies))
        slot = "b" if live.slot == "a" else "a"
        connection.execute(update(read_db).values(generation=live.generation + 1, slot=slot))


class SqlReadDbContract:
    @pytest.fixture
    async def empty(self, new_sql_database: NewSqlReadDb) -> AsyncIterator[SqlReadDb]:
        """Open, without tables."""
        async with new_sql_database() as database:
            yield database

    @pytest.fixture
    async def database(self, empty: SqlReadDb) -> SqlReadDb:
        """Open, with its tables."""
        await empty.provisioning.provision()
        return empty

    # Tables

    async def test_tables_are_made_once(self, empty: SqlReadDb) -> None:
        [made] = await empty.provisioning.provision()
        assert made == f"Created the tables of the read database {empty.address.place} (revision {REVISION})."
        assert await empty.provisioning.provision() == []
        await empty.provisioning.check()

    async def test_processes_that_make_them_at_once_make_them_once(
        self, empty: SqlReadDb, new_sql_database: NewSqlReadDb
    ) -> None:
        async with new_sql_database() as other:
            provisionings = [each.provisioning for each in (empty, other) for _ in range(3)]
            made = await asyncio.gather(*(provisioning.provision() for provisioning in provisionings))
        assert sorted(map(len, made)) == [0, 0, 0, 0, 0, 1]

    async def test_a_database_without_tables_is_told_what_to_run(self, empty: SqlReadDb) -> None:
        sentence = f"{empty.address.setting}) has no tables yet; run `postlog init`."
        for asked in (empty.provisioning.check(), empty.post_views.stamp(), empty.projection_store.live()):
            with pytest.raises(SchemaOutdated) as caught:
                await asked
            assert caught.value.message.endswith(sentence)
            assert caught.value.path == empty.address.setting

    async def test_tables_of_another_revision_are_told_what_to_run(self, database: SqlReadDb) -> None:
        await query(database, "UPDATE postlog_version SET version_num = '0000'")
        with pytest.raises(
            SchemaOutdated, match=rf"has tables of revision 0000, .* needs {REVISION}; run `postlog init`\."
        ):
            await database.provisioning.check()
        with pytest.raises(SchemaOutdated, match=r"revision 0000, which this Postlog does not know; run a newer one\."):
            await database.provisioning.provision()

    async def test_a_process_older_than_the_tables_is_told_to_be_upgraded(self, database: SqlReadDb) -> None:
        """`postlog init` would not help: it has upgraded them, in a newer version."""
        await query(database, "UPDATE postlog_version SET version_num = '9999'")
        for asked in (database.provisioning.check, database.provisioning.provision):
            with pytest.raises(SchemaOutdated, match=r"revision 9999, which this Postlog does not know; run a newer"):
                await asked()

    async def test_somebody_elses_tables_are_left_alone(self, empty: SqlReadDb) -> None:
        await query(empty, "CREATE TABLE posts (theirs integer)")
        with pytest.raises(SchemaOutdated, match=r"has posts already, .* give it a database of its own"):
            await empty.provisioning.provision()
        assert await query(empty, "SELECT * FROM posts") == []

    async def test_names_are_taken_as_the_server_compares_them(self, empty: SqlReadDb) -> None:
        """Some take "Comments" for comments. Whichever: `init` and what it says before and after agree."""
        await query(empty, 'CREATE TABLE "Comments" (theirs integer)')
        provisioning = empty.provisioning
        same_name = await with_backend(empty, _has_comments)
        if same_name:
            for asked in (provisioning.provision(), provisioning.check()):
                with pytest.raises(SchemaOutdated, match="has Comments already, which Postlog did not create"):
                    await asked
        else:
            await provisioning.provision()
            await provisioning.check()
            assert (await empty.post_views.stamp()).position == 0
        assert await query(empty, 'SELECT theirs FROM "Comments"') == []

    @pytest.mark.parametrize("theirs", [["5f2a"], ["5f2a", "77b0"], ["0001"], []], ids=len)
    async def test_another_programs_alembic_version_is_left_alone(self, empty: SqlReadDb, theirs: list[str]) -> None:
        await query(empty, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        for revision in theirs:
            await query(empty, "INSERT INTO alembic_version VALUES (:revision)", revision=revision)
        provisioning = empty.provisioning
        with pytest.raises(SchemaOutdated, match="has no tables yet; run `postlog init`"):
            await provisioning.check()
        assert len(await provisioning.provision()) == 1
        await provisioning.check()
        assert await provisioning.provision() == []
        found = await query(empty, "SELECT version_num FROM alembic_version ORDER BY version_num")
        assert found == [(revision,) for revision in theirs]

    @pytest.mark.parametrize("with_theirs", [False, True])
    async def test_a_database_from_before_the_revision_had_a_table_of_its_own_is_brought_over(
        self, empty: SqlReadDb, with_theirs: bool
    ) -> None:
        database = empty
        await with_backend(database, lambda backend: _upgrade(backend, "0002"))
        await query(database, "DROP TABLE postlog_version")
        await query(database, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        revisions = sorted(["0002", *(["5f2a"] if with_theirs else [])])
        for revision in revisions:
            await query(database, "INSERT INTO alembic_version VALUES (:revision)", revision=revision)
        provisioning, place = database.provisioning, database.address.place
        moved = f"Moved the revision of the read database {place} from alembic_version to postlog_version."
        upgraded = [] if REVISION == "0002" else [upgrade_of(database, "0002")]
        assert await provisioning.provision() == [moved, *upgraded]
        assert await query(database, "SELECT version_num FROM postlog_version") == [(REVISION,)]
        assert await provisioning.provision() == []
        await provisioning.check()
        if with_theirs:
            theirs = await query(database, "SELECT version_num FROM alembic_version ORDER BY version_num")
            assert theirs == [(revision,) for revision in revisions]

    async def test_several_revisions_at_once_are_said(self, database: SqlReadDb) -> None:
        await query(database, "INSERT INTO postlog_version VALUES ('0000')")
        for asked in (database.provisioning.check(), database.provisioning.provision()):
            with pytest.raises(SchemaOutdated, match="has 2 rows in postlog_version"):
                await asked

    async def test_a_live_row_that_was_deleted_is_said(self, database: SqlReadDb) -> None:
        await query(database, "DELETE FROM read_db")
        for asked in (database.post_views.stamp(), database.projection_store.live()):
            with pytest.raises(ReadDbUnavailable, match="does not have the one row in its table read_db"):
                await asked

    async def test_new_tables_are_those_that_the_revisions_lead_to(self, empty: SqlReadDb) -> None:
        await empty.provisioning.provision()
        made = await with_backend(empty, _schema)
        await with_backend(empty, _drop_all)
        await with_backend(empty, _upgrade)
        assert await with_backend(empty, _schema) == made
        await empty.provisioning.check()
        assert newest() == REVISION

    async def test_posts_of_revision_0001_are_found_by_any_form_of_their_authors_name(self, empty: SqlReadDb) -> None:
        """There the key of a name was the name in casefold."""
        database = empty
        await with_backend(database, lambda backend: _upgrade(backend, "0001"))
        authors = ["Zo\u00eb", "Zoe\u0308", "stra\u00dfe", "\u017fam", "sam", " Bob "]
        rows = [post(n, author=author) for n, author in enumerate(authors)]
        await with_backend(database, lambda backend: _insert_posts_of_revision_0001(backend, rows))
        assert await database.provisioning.provision() == [upgrade_of(database, "0001")]
        found = {
            asked: {row.author for row in (await database.post_views.posts(PostFilter(author=asked), 10, None)).value}
            for asked in ("ZO\u00cb", "Stra\u00dfe", "Sam", "Bob")
        }
        assert found == {
            "ZO\u00cb": {"Zo\u00eb", "Zoe\u0308"},
            "Stra\u00dfe": {"stra\u00dfe"},
            "Sam": {"sam"},
            "Bob": {" Bob "},
        }

    # Probe

    async def test_the_probe_tells_whether_it_answers(self, empty: SqlReadDb, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(empty, "_limits", TimeLimits(probe=60.0))  # however busy the machine is
        result = await empty.probe.probe()
        assert (result.name, result.ok) == ("read_db", False)
        assert "run `postlog init`" in result.detail
        await empty.provisioning.provision()
        result = await empty.probe.probe()
        assert (result.name, result.ok) == ("read_db", True)
        assert result.detail == f"The read database {empty.address.place} answers."

    async def test_a_closed_database_is_away(self, new_sql_database: NewSqlReadDb) -> None:
        async with new_sql_database() as database:
            pass
        with pytest.raises(ReadDbUnavailable, match="it is closed"):
            await database.post_views.stamp()
        assert not (await database.probe.probe()).ok

    # Views for people

    async def test_people_see_posts_and_comments_that_were_not_removed(self, database: SqlReadDb) -> None:
        unseen = [post(n, status=status) for n, status in ((2, PostStatus.REMOVED), (3, PostStatus.EMPTY))]
        row = post(1, author=TEXTS["latin"], likes=2**40, version=7)
        reply = comment(1, 1, comment=TEXTS["emoji"], edited=True)
        await handle_of(database).write(RowChanges(posts=[row, *unseen], comments=[reply]))
        posts = await query(database, "SELECT post_id, author, message, likes, version FROM posts")
        assert [(str(found[0]), *found[1:]) for found in posts] == [(post_id(1), row.author, "Hello", 2**40, 7)]
        found = await query(database, "SELECT comment_id, post_id, username, comment, edited FROM comments")
        assert [(str(each[0]), str(each[1]), *each[2:]) for each in found] == [
            (reply.comment_id, post_id(1), "Bob", TEXTS["emoji"], True)
        ]
        noon = await query(
            database, "SELECT count(*) FROM posts WHERE CAST(date_posted AS VARCHAR(40)) LIKE '2026-11-23%'"
        )
        assert noon == [(1,)]

    async def test_people_see_the_live_slot(self, database: SqlReadDb) -> None:
        handle = handle_of(database)
        await handle.write(RowChanges(posts=[post(1)], comments=[comment(1, 1)]))
        await handle.swap()
        assert await query(database, "SELECT * FROM posts") == []
        assert await query(database, "SELECT * FROM comments") == []
        await handle.write(RowChanges(posts=[post(1, message="new")], comments=[comment(1, 1)]), generation=2)
        assert await query(database, "SELECT message, likes FROM posts") == [("new", 0)]
        assert await query(database, "SELECT comment FROM comments") == [("Nice",)]

    # Transactions

    @pytest.mark.parametrize("count", [1, 100])
    async def test_rows_and_checkpoints_are_one_transaction(self, database: SqlReadDb, count: int) -> None:
        """What can't be written, posts without a message, comes after comments that could be."""
        handle = handle_of(database)
        broken = [post(n, message=None) for n in range(count)]
        changes = RowChanges(comments=[comment(1, n) for n in range(count)], posts=broken, parked=[parked(1)])
        with pytest.raises(ReadDbUnavailable, match="reported an error"):
            await handle.store.project(ProjectionBatch(1, moves((None, checkpoint(1)))), lambda _: changes)
        rows = await handle.rows([post_id(0), post_id(1)], [comment_key(1, 0)])
        assert rows == Rows(posts={}, comments={}, parked={})
        assert await handle.store.checkpoints(1) == {}

    async def test_a_checkpoint_that_can_not_be_moved_takes_the_rows_back(self, database: SqlReadDb) -> None:
        handle = handle_of(database)
        await handle.write(RowChanges())
        nowhere = checkpoint(2, commit_id=None)
        with pytest.raises(ReadDbUnavailable, match="reported an error"):
            await handle.store.project(
                ProjectionBatch(1, moves((checkpoint(1), nowhere))), lambda _: RowChanges(posts=[post(1)])
            )
        assert (await handle.rows([post_id(1)])).posts == {}
        assert await handle.store.checkpoints(1) == {0: checkpoint(1)}

    async def test_many_new_rows_are_loaded_at_once(self, database: SqlReadDb) -> None:
        posts = [post(n, author=author, message=author) for n, author in enumerate(TEXTS.values())]
        posts += [post(n, date_posted=NOON - timedelta(milliseconds=n)) for n in range(100, 6_000)]
        comments = [comment(n, n, comment=text, edited=n % 2 == 0) for n, text in enumerate(TEXTS.values())]

        def load(backend: SqlBackend) -> None:
            with backend.writing() as connection:
                backend.load(connection, SLOTS["a"].posts, (from_post(row) for row in posts))
                backend.load(connection, SLOTS["a"].comments, (from_comment(row) for row in comments))
                backend.load(connection, SLOTS["a"].comments, iter(()))

        await with_backend(database, load)
        keys = [(row.post_id, row.comment_id) for row in comments]
        rows = await handle_of(database).rows([row.post_id for row in posts], keys)
        assert rows.posts == {row.post_id: row for row in posts}
        assert list(rows.comments.values()) == comments

    async def test_what_fails_while_it_is_loaded_leaves_nothing(self, database: SqlReadDb) -> None:
        def load(backend: SqlBackend) -> None:
            with backend.writing() as connection:
                rows = [from_post(post(n)) for n in (*range(100), 0)]
                backend.load(connection, SLOTS["a"].posts, rows)

        with pytest.raises(ReadDbUnavailable, match="reported an error"):
            await with_backend(database, load)
        assert await query(database, "SELECT count(*) FROM posts_a") == [(0,)]


def _schema(backend: SqlBackend) -> object:
    """Everything about the tables but the order in which they and their columns were made."""
    with backend.engine.connect() as connection:
        there = inspect(connection)
        tables = {
            name: (
                sorted(str({**column, "type": repr(column["type"])}) for column in there.get_columns(name)),
                there.get_pk_constraint(name)["constrained_columns"],
                sorted(map(str, there.get_indexes(name))),
                _checks(there, name),
            )
            for name in sorted(there.get_table_names())
        }
        views = {name: " ".join(there.get_view_definition(name).split()) for name in there.get_view_names()}
        first = [connection.execute(text(f"SELECT * FROM {name}")).one() for name in ("read_db", "postlog_version")]
        build = "SELECT generation, slot, state, log_id, position, commit_id, target, events, ended_at FROM generations"
        return tables, views, first, connection.execute(text(build)).one()


def _has_comments(backend: SqlBackend) -> bool:
    with backend.engine.connect() as connection:
        try:
            connection.execute(text("SELECT theirs FROM comments")).all()
        except DBAPIError:
            return False
        return True


def _checks(there: Inspector, table: str) -> list[str]:
    try:
        return sorted(each["sqltext"] for each in there.get_check_constraints(table))
    except NotImplementedError:
        return []  # SQLAlchemy can't look for them in SQL Server


def _drop_all(backend: SqlBackend) -> None:
    with backend.writing() as connection:
        there = inspect(connection)
        for kind, names in (("VIEW", there.get_view_names()), ("TABLE", there.get_table_names())):
            for name in names:
                connection.execute(text(f"DROP {kind} {name}"))


def _upgrade(backend: SqlBackend, revision: str = "head") -> None:
    with backend.writing() as connection:
        upgrade(connection, revision)


def upgrade_of(database: SqlReadDb, revision: str) -> str:
    return f"Upgraded the read database {database.address.place} from revision {revision} to {REVISION}."


def _insert_posts_of_revision_0001(backend: SqlBackend, rows: Sequence[PostRow]) -> None:
    with backend.writing() as connection:
        for tables in SLOTS.values():
            columns = [column for column in tables.posts.c if column.name in _POSTS_OF_REVISION_0001]
            old = table(tables.posts.name, *(sql_column(each.name, each.type) for each in columns))
            for row in rows:
                stored = dict(zip(tables.posts.c.keys(), from_post(row), strict=True))
                values = {name: stored[name] for name in _POSTS_OF_REVISION_0001}
                connection.execute(old.insert().values({**values, "author_folded": row.author.casefold()}))

"""Which tables there are, by their revision. Alembic, which takes long to import, is needed only where older tables are
brought up to date: an empty database gets today's tables at once.
"""

from datetime import UTC, datetime

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select

from adapters.sql.address import Address
from adapters.sql.attempts import not_made
from adapters.sql.backend import SqlBackend
from adapters.sql.tables import ONLY_ROW, generations, metadata, read_db
from adapters.sql.views import create_views
from application.errors import SchemaOutdated

REVISION = "0002"
"""The newest in `migrations/versions`."""

_revisions = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


class Schema:
    def __init__(self, backend: SqlBackend, address: Address) -> None:
        self._backend = backend
        self._address = address

    def check(self) -> None:
        with self._backend.engine.connect() as connection:
            found = _revision(connection)
        if found is None:
            raise SchemaOutdated(not_made(self._address), path=self._address.setting)
        if found != REVISION:
            raise self._outdated(
                f"has tables of revision {found}, and this version of Postlog needs {REVISION}; run `postlog init`"
            )

    def provision(self) -> list[str]:
        with self._backend.engine.connect() as connection:
            if _revision(connection) == REVISION:
                return []
        with self._backend.writing() as connection:
            self._backend.lock_schema(connection)
            match _revision(connection):
                case None:
                    return [self._make(connection)]
                case str(found) if found != REVISION:
                    return [self._upgrade(connection, found)]
                case _:
                    return []

    def _make(self, connection: Connection) -> str:
        views = create_views()
        there = inspect(connection)
        taken = {*there.get_table_names(), *there.get_view_names()} & {*metadata.tables, *views}
        if taken:
            raise self._outdated(
                f"has {', '.join(sorted(taken))} already, which Postlog did not make; give it a database of its own"
            )
        metadata.create_all(connection, checkfirst=False)
        for view in views.values():
            connection.execute(view)
        _note_revision(connection)
        _insert_first_rows(connection)
        return f"Made the tables of the read database {self._address.place} (revision {REVISION})."

    def _upgrade(self, connection: Connection, found: str) -> str:
        from adapters.sql.migrations.upgrade import is_known, upgrade

        if not is_known(found):
            raise self._outdated(f"has tables of revision {found}, which this Postlog does not know; run a newer one")
        upgrade(connection)
        return f"Brought the read database {self._address.place} from revision {found} to {REVISION}."

    def _outdated(self, what: str) -> SchemaOutdated:
        setting = self._address.setting
        return SchemaOutdated(f"The read database {self._address.place} ({setting}) {what}.", path=setting)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_revisions.name):
        return None
    return connection.execute(select(_revisions.c.version_num)).scalar_one_or_none()


def _note_revision(connection: Connection) -> None:
    _revisions.create(connection)
    connection.execute(insert(_revisions).values(version_num=REVISION))


def _insert_first_rows(connection: Connection) -> None:
    now = datetime.now(UTC)
    live = {"generation": 1, "slot": "a"}
    build = {"state": "live", "position": 0, "commit_id": "", "target": 0, "events": 0}
    connection.execute(insert(read_db).values(**live, id=ONLY_ROW, partitions=1, ready=False))
    connection.execute(insert(generations).values(**live, **build, started_at=now, updated_at=now))

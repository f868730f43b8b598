"""Creates the tables, upgrades older ones, and checks their revision. Alembic, which takes long to import, is used only
to upgrade older tables: an empty database gets the current tables at once.
"""

from datetime import UTC, datetime

from sqlalchemy import Column, Connection, Inspector, MetaData, String, Table, insert, inspect, select, text

from adapters.sql.address import Address
from adapters.sql.backend import SqlBackend
from adapters.sql.database import SqlPort, in_thread
from adapters.sql.logins import VERSION_TABLE
from adapters.sql.tables import ONLY_ROW, checkpoints, create_views, generations, metadata, parked_streams, read_db
from application.errors import SchemaOutdated

REVISION = "0002"
"""The newest in `migrations/versions`."""

_OLD_VERSION_TABLE = "alembic_version"
"""Where older versions of Postlog kept the revision: any program that uses Alembic has a table of this name."""

_REVISIONS_IN_OLD_TABLE = {"0001", "0002"}
_ONLY_OURS = (read_db, generations, checkpoints, parked_streams)
"""If all of them exist, the tables are ours and not another program's."""


def _version_table(name: str) -> Table:
    return Table(name, MetaData(), Column("version_num", String(32), primary_key=True))


class SqlProvisioning(SqlPort):
    @in_thread
    def provision(self) -> list[str]:
        return self._schema.provision()

    @in_thread
    def check(self) -> None:
        """Raises also for a database that takes no writes, and for a login without the rights."""
        self._schema.check()
        self._schema.check_writable()
        self._schema.check_rights()

    @in_thread
    def check_tables(self, *, for_writing: bool) -> None:
        """For probes: `for_writing` when rows are to be written; readers may use a replica."""
        self._schema.check()
        if for_writing:
            self._schema.check_writable()

    @property
    def _schema(self) -> "Schema":
        return Schema(self._backend, self._database.address)


class Schema:
    def __init__(self, backend: SqlBackend, address: Address) -> None:
        self._backend = backend
        self._address = address

    def check(self) -> None:
        """Raises `SchemaOutdated`."""
        with self._backend.engine.connect() as connection:
            found = self._revision(connection)
            taken = _taken(inspect(connection)) if found is None else []
        if taken:
            raise self._taken(taken)
        if found is None:
            raise self._address.without_tables()
        if found > REVISION:
            raise self._unknown(found)
        if found != REVISION:
            raise self._address.outdated(
                f"has tables of revision {found}, and this version of Postlog needs {REVISION}; run `postlog init`"
            )

    def check_writable(self) -> None:
        """Raises `ReadDbUnavailable` for a database that takes no writes from any login."""
        with self._backend.engine.connect() as connection:
            self._require_writable(connection)

    def check_rights(self) -> None:
        """Raises `ReadDbUnavailable` for a login without a right that projectors or rebuilds need."""
        with self._backend.engine.connect() as connection:
            self._require_rights(connection)

    def provision(self) -> list[str]:
        """Raises `SchemaOutdated` when a newer version of Postlog created the tables, and `ReadDbUnavailable` also when
        they can't be written."""
        with self._backend.engine.connect() as connection:
            self._require_writable(connection)
            if self._revision(connection) == REVISION and inspect(connection).has_table(VERSION_TABLE):
                self._require_rights(connection)
                return []
        with self._backend.writing() as connection:
            self._backend.lock_schema(connection)
            match self._revision(connection):
                case None:
                    return [self._create(connection)]
                case str(found):
                    moved = self._move_revision(connection)
                    return moved if found == REVISION else [*moved, self._upgrade(connection, found)]

    def _create(self, connection: Connection) -> str:
        if taken := _taken(inspect(connection)):
            raise self._taken(taken)
        metadata.create_all(connection, checkfirst=False)
        for view in create_views().values():
            connection.execute(view)
        _record_revision(connection)
        _insert_first_rows(connection)
        return f"Created the tables of the read database {self._address.place} (revision {REVISION})."

    def _move_revision(self, connection: Connection) -> list[str]:
        """To a table of its own. A table that another program uses too is left as it is."""
        if inspect(connection).has_table(VERSION_TABLE):
            return []
        if len(_revisions(connection, _OLD_VERSION_TABLE)) > 1:
            _record_revision(connection)
        elif connection.dialect.name == "mssql":
            connection.execute(text(f"EXEC sp_rename '{_OLD_VERSION_TABLE}', '{VERSION_TABLE}', 'OBJECT'"))
        else:
            connection.execute(text(f"ALTER TABLE {_OLD_VERSION_TABLE} RENAME TO {VERSION_TABLE}"))
        place = self._address.place
        return [f"Moved the revision of the read database {place} from {_OLD_VERSION_TABLE} to {VERSION_TABLE}."]

    def _upgrade(self, connection: Connection, found: str) -> str:
        from adapters.sql.migrations.upgrade import is_known, upgrade

        if not is_known(found):
            raise self._unknown(found)
        upgrade(connection)
        return f"Upgraded the read database {self._address.place} from revision {found} to {REVISION}."

    def _require_writable(self, connection: Connection) -> None:
        if self._backend.is_read_only(connection):
            raise self._address.unavailable(
                "takes no writes: it is read-only. After a failover, name the server that takes them, or let this one "
                "take writes again"
            )

    def _require_rights(self, connection: Connection) -> None:
        if missing := self._backend.missing_rights(connection):
            reason = f"the login may not {', '.join(missing)}"
            remedy = "`postlog init` with an administrator's address gives the login its rights"
            raise self._address.reported(reason, remedy)

    def _revision(self, connection: Connection) -> str | None:
        there = inspect(connection)
        if there.has_table(VERSION_TABLE):
            found = _revisions(connection, VERSION_TABLE)
            if len(found) > 1:
                raise self._address.outdated(
                    f"has {len(found)} rows in {VERSION_TABLE}; keep only the one with the revision of the tables"
                )
            return next(iter(found), None)
        if there.has_table(_OLD_VERSION_TABLE) and all(there.has_table(table.name) for table in _ONLY_OURS):
            return next(iter(_revisions(connection, _OLD_VERSION_TABLE) & _REVISIONS_IN_OLD_TABLE), None)
        return None

    def _unknown(self, revision: str) -> SchemaOutdated:
        return self._address.outdated(
            f"has tables of revision {revision}, which this Postlog does not know; run a newer one"
        )

    def _taken(self, names: list[str]) -> SchemaOutdated:
        return self._address.outdated(
            f"has {', '.join(names)} already, which Postlog did not create; give it a database of its own"
        )


def _taken(there: Inspector) -> list[str]:
    """Existing tables and views with our names, as the server compares names, and as it spells them."""
    spelled = {name.casefold(): name for name in (*there.get_table_names(), *there.get_view_names())}
    ours = (*metadata.tables, *create_views())
    return sorted(spelled[name] for name in ours if name in spelled and there.has_table(name))


def _revisions(connection: Connection, table: str) -> set[str]:
    return set(connection.execute(select(_version_table(table).c.version_num)).scalars())


def _record_revision(connection: Connection) -> None:
    revisions = _version_table(VERSION_TABLE)
    revisions.create(connection)
    connection.execute(insert(revisions).values(version_num=REVISION))


def _insert_first_rows(connection: Connection) -> None:
    now = datetime.now(UTC)
    live = {"generation": 1, "slot": "a"}
    build = {"state": "live", "position": 0, "commit_id": "", "target": 0, "events": 0}
    connection.execute(insert(read_db).values(**live, id=ONLY_ROW, partitions=1, ready=False))
    connection.execute(insert(generations).values(**live, **build, started_at=now, updated_at=now))

"""The rights of the service's login in PostgreSQL, as statements."""

from collections.abc import Iterator

from psycopg import sql

from adapters.sql.logins import READ_AND_WRITE, ServiceLogin, rights, slot_tables

MORE_THAN_NEEDED = """
SELECT reason FROM pg_roles AS role, LATERAL (VALUES
    (role.rolname = current_user, 'is the administrator''s own'),
    (role.rolsuper, 'is a superuser'),
    (role.rolcreaterole, 'may make roles'),
    (role.rolcreatedb, 'may make databases'),
    (role.rolreplication, 'may replicate'),
    (role.rolbypassrls, 'bypasses row security'),
    (EXISTS (SELECT FROM pg_auth_members WHERE member = role.oid), 'is a member of other roles'),
    (EXISTS (
        SELECT FROM pg_shdepend AS owned
        LEFT JOIN pg_database AS here ON here.oid = owned.dbid AND here.datname = current_database()
        LEFT JOIN pg_class AS kept
            ON here.oid IS NOT NULL AND owned.classid = 'pg_class'::regclass AND kept.oid = owned.objid
        WHERE owned.refclassid = 'pg_authid'::regclass AND owned.refobjid = role.oid AND owned.deptype = 'o'
            AND kept.relpersistence IS DISTINCT FROM 't'
    ), 'owns databases, schemas or tables')
) AS more (holds, reason)
WHERE role.rolname = %s AND more.holds
"""
"""Why a login is unfit for the service. What it makes for a transaction (temporary tables) does not count."""

ANSWERED_FOR = """
SELECT 'database', datname, acl.* FROM pg_database, aclexplode(datacl) AS acl WHERE datname = current_database()
UNION ALL SELECT 'schema', nspname, acl.* FROM pg_namespace, aclexplode(nspacl) AS acl WHERE nspname = 'public'
UNION ALL SELECT 'table', relname, acl.* FROM pg_class, aclexplode(relacl) AS acl
    WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT 'tables to come', defaclrole::regrole::text, acl.* FROM pg_default_acl, aclexplode(defaclacl) AS acl
    WHERE defaclnamespace = 'public'::regnamespace
"""
"""Every right that somebody has on what is Postlog's: to see whether the statements below changed any."""


def statements(login: ServiceLogin) -> Iterator[sql.Composed]:
    """In one transaction, so that a service that runs meanwhile loses nothing."""
    names = {"login": sql.Identifier(login.name), "database": sql.Identifier(login.database)}
    for text in (
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC, {login}",
        "GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {login}",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "REVOKE ALL ON SCHEMA public FROM {login}",
        "GRANT USAGE ON SCHEMA public TO {login}",
        "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {login}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM {login}",
    ):
        yield sql.SQL(text).format(**names)
    for table, allowed in rights().items():
        yield _grant(allowed, table, login)
    for table in slot_tables():
        yield _grant(("TRUNCATE",), table, login)
    yield sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {allowed} ON TABLES TO {login}").format(
        allowed=_listed(READ_AND_WRITE), **names
    )


def _grant(allowed: tuple[str, ...], table: str, login: ServiceLogin) -> sql.Composed:
    return sql.SQL("GRANT {allowed} ON TABLE {table} TO {login}").format(
        allowed=_listed(allowed), table=sql.Identifier("public", table), login=sql.Identifier(login.name)
    )


def _listed(allowed: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.SQL, allowed))
